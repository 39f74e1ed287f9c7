"""Secret keys as an operator gives them: long enough, and in one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import SecretStr

from prismicx.domain.errors import SettingsError

SHORTEST_KEY: Final = 32
"""Characters that a key has at least."""


def checked_keys(keys: Sequence[SecretStr | str], *, of: str, most: int | None = None) -> list[str]:
    """Return the keys themselves, for computing with.

    Args:
        of: what they are for, in errors.
        most: how many there may be; `None` for any number.

    Raises:
        SettingsError: one does not fit, one is there twice, there is none, or there are too many; no message shows a
            key.
    """
    plain = [key.get_secret_value() if isinstance(key, SecretStr) else key for key in keys]
    problems = [*_problems(plain)]
    if not plain:
        problems.append("there is no key")
    if most is not None and len(plain) > most:
        problems.append(f"there are {len(plain)} keys, and {most} at most can be in use")
    if len(set(plain)) < len(plain):
        problems.append("one key is there twice")
    if problems:
        raise SettingsError([f"{of}: {problem}" for problem in problems])
    return plain


def listed_keys(keys: SecretStr) -> list[str]:
    """Return the keys of one text with commas between them."""
    return [key.strip() for key in keys.get_secret_value().split(",")]


def _problems(keys: Sequence[str]) -> Iterator[str]:
    for number, key in enumerate(keys, 1):
        if len(key) < SHORTEST_KEY:
            yield f"key {number} is shorter than {SHORTEST_KEY} characters"
        elif not (key.isascii() and key.isprintable()) or "," in key or " " in key:
            yield f"key {number} has a comma, a space, or a character that is not printable ASCII"
