"""Cursors are the service's own: whatever else comes in as one is refused, and keys can change while they are about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from prismicx.domain.cursors import Cursor, CursorKeys
from prismicx.domain.errors import InvalidCursorError, SettingsError

OLD, NEW = "o" * 32, "n" * 32
KEYS = CursorKeys(OLD)
SIGNED = KEYS.signed(b"the body", context=b"the context")


@given(st.binary(min_size=1, max_size=40), st.binary(max_size=40))
def test_a_signed_body_comes_back(body: bytes, context: bytes) -> None:
    assert KEYS.body(KEYS.signed(body, context=context), context=context) == body


def test_it_does_not_in_another_context() -> None:
    with pytest.raises(InvalidCursorError, match="another query, order or tenant"):
        KEYS.body(SIGNED, context=b"another context")


def test_what_ends_the_context_is_not_what_begins_the_body() -> None:
    signed = KEYS.signed(b"b", context=b"the context a")

    with pytest.raises(InvalidCursorError):
        KEYS.body(signed, context=b"the context ")


@pytest.mark.parametrize("place", range(len(SIGNED.text)))
def test_every_character_counts(place: int) -> None:
    other = "A" if SIGNED.text[place] != "A" else "B"

    with pytest.raises(InvalidCursorError):
        KEYS.body(Cursor(SIGNED.text[:place] + other + SIGNED.text[place + 1 :]), context=b"the context")


@pytest.mark.parametrize("text", ["", "x", "!!!!", "é", SIGNED.text[:28], SIGNED.text[:-1], SIGNED.text + "A", None, 1])
def test_what_is_no_cursor_is_refused(text: Any) -> None:
    with pytest.raises(InvalidCursorError):
        KEYS.body(Cursor(text), context=b"the context")


def test_the_error_of_an_unknown_key_says_what_to_set() -> None:
    with pytest.raises(InvalidCursorError, match="PRISMICX_CURSOR_KEYS"):
        CursorKeys.random().body(SIGNED, context=b"the context")


def test_the_first_key_signs_and_all_are_believed() -> None:
    changing = CursorKeys.parse(SecretStr(f"{NEW}, {OLD}"))

    assert changing.body(SIGNED, context=b"the context") == b"the body"
    assert CursorKeys(NEW).body(changing.signed(b"new", context=b""), context=b"") == b"new"
    with pytest.raises(InvalidCursorError):
        KEYS.body(changing.signed(b"new", context=b""), context=b"")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ((), "there is no key"),
        (("short",), "key 1 is shorter than 32 characters"),
        ((OLD, "ü" * 32), "key 2 has a comma, a space, or a character"),
        ((OLD, SecretStr(OLD)), "one key is there twice"),
    ],
)
def test_keys_that_do_not_fit_are_refused_without_being_shown(keys: tuple[Any, ...], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as refused:
        CursorKeys(*keys)

    assert OLD not in str(refused.value)
    assert OLD not in repr(KEYS)
