"""The proof of tenant, made by the service: a keyed hash without which the database believes no tenant's name."""

from __future__ import annotations

import hashlib
import time
from struct import Struct
from typing import Final

from pydantic import SecretStr

from prismicx.domain.identifiers import TenantId
from prismicx.domain.secret_keys import checked_keys, listed_keys

OPEN: Final = b"open"
"""What a message begins with whose hash opens a transaction."""

HOLD: Final = b"hold"
"""What a message begins with whose hash the database keeps during a transaction."""

_PID_AND_TIME: Final = Struct("!iq")
_MOST_KEYS: Final = 2
_BLOCK: Final = 64  # bytes, of SHA-256
_ID_LENGTH: Final = 16


class ProofKey:
    """A key of HMAC-SHA-256, in the two forms that the computation needs; neither is ever shown.

    Attributes:
        id: sixteen hexadecimal digits that name the key, are part of each of its proofs, and betray nothing of it.

    Source: RFC 2104.
    """

    __slots__ = ("_after_inner", "_after_outer", "_inner", "_outer", "id")

    def __init__(self, key: str) -> None:
        plain = key.encode("ascii")
        block = (plain if len(plain) <= _BLOCK else hashlib.sha256(plain).digest()).ljust(_BLOCK, b"\0")
        self._inner = bytes(byte ^ 0x36 for byte in block)
        self._outer = bytes(byte ^ 0x5C for byte in block)
        # Hashed once: between two units of work `hmac` would look its algorithm up anew, which takes longer than this.
        self._after_inner = hashlib.sha256(self._inner)
        self._after_outer = hashlib.sha256(self._outer)
        self.id = self.mac(b"name")[:_ID_LENGTH]

    @property
    def stored(self) -> tuple[str, bytes, bytes]:
        """What the database keeps: id, inner and outer padded key. As secret as the key itself."""
        return self.id, self._inner, self._outer

    def mac(self, message: bytes) -> str:
        """Return HMAC-SHA-256 of a message, as lower-case hexadecimal digits."""
        inner, outer = self._after_inner.copy(), self._after_outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest()

    def __repr__(self) -> str:
        return f"ProofKey({self.id!r})"


class TenantProof:
    """Proves to the database for which tenant a transaction is begun.

    Args:
        keys: the current one, which proves, and while keys change the one before it, which the database goes on to
            accept. Each is at least 32 printable ASCII characters without comma or space, made at random
            (`openssl rand -hex 32`), and for one database only.

    Raises:
        SettingsError: a key does not fit, there is none, or there are more than two; no message shows a key.
    """

    __slots__ = ("keys",)

    def __init__(self, *keys: SecretStr | str) -> None:
        plain = checked_keys(keys, of="tenant proof", most=_MOST_KEYS)
        self.keys = tuple(ProofKey(key) for key in plain)

    @classmethod
    def parse(cls, keys: SecretStr) -> TenantProof:
        """Return the proof of keys in one text, with a comma between them, the current one first.

        Raises:
            SettingsError: as the constructor.
        """
        return cls(*listed_keys(keys))

    def for_transaction(self, tenant: TenantId, *, pid: int) -> str:
        """Return the proof that opens one transaction: in one backend, for one tenant, within five minutes.

        The database takes it in the message only that begins the transaction.
        """
        key, issued = self.keys[0], int(time.time())
        return f"{key.id}.{issued}.{key.mac(OPEN + _PID_AND_TIME.pack(pid, issued) + tenant.value.encode())}"

    def __repr__(self) -> str:
        return f"TenantProof({', '.join(key.id for key in self.keys)})"


def opening_message(begin: str, tenant: TenantId, *, proof: TenantProof | None, pid: int, visible: int) -> str:
    """Return the one message that begins a transaction and names its tenant.

    The id is a literal, because a message of two statements binds nothing: hence a validated `TenantId` and nothing
    else.

    Args:
        begin: BEGIN with its options, in capital letters, spaces between them.
        pid: the process that serves the connection.
        visible: bytes of a running message that `pg_stat_activity` shows to every session of the same role. The proof
            comes after them, so that nobody can read it there.
    """
    if proof is None:
        return f"{begin}; SELECT prismicx.set_tenant('{tenant.value}')"
    given = proof.for_transaction(tenant, pid=pid)
    return f"{begin:{visible}}; SELECT prismicx.set_tenant('{tenant.value}', '{given}')"
