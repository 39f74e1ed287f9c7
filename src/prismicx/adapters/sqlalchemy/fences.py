"""Fencing numbers in the database: whoever was overtaken can no longer write."""

from __future__ import annotations

from typing import Final

from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.domain.errors import LeaseLostError

FENCE_STATEMENTS: Final = (
    """\
CREATE TABLE IF NOT EXISTS prismicx.fences (subject text COLLATE "C" NOT NULL, fence bigint NOT NULL,
    CONSTRAINT pk_fences PRIMARY KEY (subject), CONSTRAINT ck_fences_fence CHECK (fence >= 0))""",
)
"""Make the table of the greatest fencing number that was seen of each subject; the owner alone has rights on it."""


async def require_fence(connection: Connection, subject: str, fence: int) -> None:
    """Return if nobody has written under a greater fencing number, and let nobody until this transaction ends.

    It is the first statement of the transaction that writes. Its row stays locked, so that of two workers one waits for
    the other; the one whose number is smaller is refused then, and has not written anything.

    Args:
        subject: what is written to: `tenant/<id>`, or `plugin/<tenant id>/<plugin>`.
        fence: the number of the lease under which it is written; 0 without a lease, which passes only where no worker
            with a lease has ever been.

    Raises:
        LeaseLostError: somebody has.
    """
    if await connection.fetchval(_RAISE, subject, fence) is None:
        raise LeaseLostError(subject, fence=fence)


_RAISE: Final = """
INSERT INTO prismicx.fences AS known (subject, fence) VALUES ($1, $2)
ON CONFLICT (subject) DO UPDATE SET fence = EXCLUDED.fence WHERE known.fence <= EXCLUDED.fence
RETURNING 1"""
