"""Structures as JSON that PostgreSQL gives back as it was."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_TEXT_OR_LARGE_FLOAT: Final = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.]*e\+[0-9]+')


def structure_as_json(structure: Any) -> str:
    """Return the structure as JSON in which each float has a fraction.

    `jsonb` writes 1e+16 out in digits: without a fraction it would be read back as an integer, too large at times.
    """
    text = json.dumps(structure)
    return _TEXT_OR_LARGE_FLOAT.sub(_with_fraction, text) if "e+" in text else text


def _with_fraction(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith('"') else f"{float(found[0]):.1f}"
