"""Why something failed, in words that every database can keep."""

from __future__ import annotations

from typing import Final

from prismicx.domain.errors import ForeignObjectError

_LONGEST: Final = 2000


def reason_of(error: BaseException) -> str:
    """Return what an error says, or its kind where it says nothing: one storable text of at most 2,000 characters."""
    own = None if isinstance(error, ForeignObjectError) else getattr(error, "reason", None)  # it names the object too
    said = own or str(error) or type(error).__name__
    return str(said)[:_LONGEST].replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
