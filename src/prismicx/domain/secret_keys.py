"""Secret keys as an operator gives them: long enough, and in one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import SecretStr

SHORTEST_KEY: Final = 32
"""Characters that a key has at least."""


def plain_keys(keys: Sequence[SecretStr | str]) -> list[str]:
    """Return the keys themselves, for computing with."""
    return [key.get_secret_value() if isinstance(key, SecretStr) else key for key in keys]


def listed_keys(keys: SecretStr) -> list[str]:
    """Return the keys of one text with commas between them."""
    return [key.strip() for key in keys.get_secret_value().split(",")]


def problems_of_keys(keys: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with them, "key 2 is …" each; no text shows a key."""
    for number, key in enumerate(keys, 1):
        if len(key) < SHORTEST_KEY:
            yield f"key {number} is shorter than {SHORTEST_KEY} characters"
        elif not (key.isascii() and key.isprintable()) or "," in key or " " in key:
            yield f"key {number} has a comma, a space, or a character that is not printable ASCII"
