"""Cursors that only the service itself can have written: opaque texts under a keyed hash."""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass
from typing import Final, Self

from pydantic import SecretStr

from prismicx.domain.errors import InvalidCursorError
from prismicx.domain.secret_keys import checked_keys, listed_keys

_NAME: Final = 5  # bytes; with the hash, whole characters of base64
_HASH: Final = 16  # bytes, of HMAC-SHA-256's 32: as hard to guess as an AES key
SIGNATURE: Final = _NAME + _HASH
"""Bytes of a cursor before its body."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """An opaque place in one query of one tenant: pass it on as `text`, take it back with `Cursor(text)`."""

    text: str

    def __str__(self) -> str:
        return self.text


class CursorKeys:
    """Signs cursors, and knows again what it has signed.

    A cursor is signed, not encrypted: who holds one can read the values of the order's attributes in it.

    Args:
        keys: the first signs, all are believed, so that keys can change while cursors are about. Each is 32 printable
            ASCII characters or more without comma or space, made at random (`openssl rand -hex 32`).

    Raises:
        SettingsError: a key does not fit, is there twice, or there is none; no message shows a key.

    Source: RFC 2104, HMAC with SHA-256, cut to 16 bytes as its section 5 allows.
    """

    __slots__ = ("_known", "_signing")

    def __init__(self, *keys: SecretStr | str) -> None:
        plain = checked_keys(keys, of="cursor keys")
        self._known = {_name(key.encode()): key.encode() for key in plain}
        self._signing = next(iter(self._known.items()))

    @classmethod
    def parse(cls, keys: SecretStr) -> Self:
        """Return the keys of one text, with commas between them, the one that signs first.

        Raises:
            SettingsError: as the constructor.
        """
        return cls(*listed_keys(keys))

    @classmethod
    def random(cls) -> Self:
        """Return a key that nobody else has: what it signs is good for nothing in another process."""
        return cls(secrets.token_urlsafe(32))

    def signed(self, body: bytes, *, context: bytes) -> Cursor:
        """Return a cursor that holds the body, and is good in this context only."""
        name, key = self._signing
        whole = name + _mac(key, context, body) + body
        return Cursor(base64.urlsafe_b64encode(whole).decode("ascii").rstrip("="))

    def body(self, cursor: Cursor, *, context: bytes) -> bytes:
        """Return the body of a cursor that was signed in this context.

        Raises:
            InvalidCursorError: it was damaged or made up, in another context, or under a key that is not among these.
        """
        whole = _decoded(cursor)
        name, mac, body = whole[:_NAME], whole[_NAME:SIGNATURE], whole[SIGNATURE:]
        key = self._known.get(name)
        if key is None:
            raise InvalidCursorError(
                "the cursor was signed with a key that this backend does not have; without `cursor_keys` "
                "(PRISMICX_CURSOR_KEYS), the same in every process, a cursor is good only where it was made"
            )
        if not hmac.compare_digest(mac, _mac(key, context, body)):
            raise InvalidCursorError(
                "the cursor belongs to another query, order or tenant, goes the other way, or was changed"
            )
        return body

    def __repr__(self) -> str:
        return f"CursorKeys({', '.join(name.hex() for name in self._known)})"


def _name(key: bytes) -> bytes:
    return hmac.digest(key, b"name", "sha256")[:_NAME]


def _mac(key: bytes, context: bytes, body: bytes) -> bytes:
    # The length keeps what is at the end of the one from being taken for the beginning of the other.
    return hmac.digest(key, b"%d:%b%b" % (len(context), context, body), "sha256")[:_HASH]


def _decoded(cursor: Cursor) -> bytes:
    try:
        padded = cursor.text + "=" * (-len(cursor.text) % 4)
        whole = base64.b64decode(padded, altchars=b"-_", validate=True)
        is_itself = base64.urlsafe_b64encode(whole).decode("ascii") == padded
    except (AttributeError, TypeError, ValueError):
        is_itself, whole = False, b""
    if not is_itself or len(whole) <= SIGNATURE:
        raise InvalidCursorError("this is not a cursor of prismicx, or it was damaged on the way")
    return whole
