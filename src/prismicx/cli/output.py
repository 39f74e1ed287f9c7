"""What commands answer: one JSON object for scripts, tables for people, one line for an error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import typer
from pydantic import JsonValue
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from prismicx.domain.errors import (
    CommitOutcomeUnknownError,
    ConnectionLostError,
    DatabaseUnavailableError,
    EmbeddedServerError,
    PrismicxError,
    SecretNotFoundError,
    SettingsError,
)


class ExitCode(IntEnum):
    """What the process ends with."""

    DONE = 0
    REFUSED = 1
    """The domain or a database refused, or what was begun failed."""
    USAGE = 2
    """Options, arguments or settings do not fit; typer uses the same."""
    UNAVAILABLE = 3
    """A database cannot be reached; nothing was done."""
    UNKNOWN = 4
    """The connection broke during commit: it was done, or it was not."""
    HOLES = 5
    """The audit has found holes that are as bad as the caller said, or worse."""
    PAUSED = 6
    """A rollout has paused: more tenants failed than its error budget allows."""
    DRIFT = 7
    """A tenant's schema is not what the registry says."""
    UNWELL = 8
    """A database answers, and is not as units of work need it."""


_EXIT_CODES: Final[Mapping[type[PrismicxError], ExitCode]] = {
    SettingsError: ExitCode.USAGE,
    SecretNotFoundError: ExitCode.USAGE,
    DatabaseUnavailableError: ExitCode.UNAVAILABLE,
    ConnectionLostError: ExitCode.UNAVAILABLE,
    EmbeddedServerError: ExitCode.UNAVAILABLE,
    CommitOutcomeUnknownError: ExitCode.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a command: `data` for `--json`, whose shape is part of the interface, and `view` for people.

    A view that is a text is printed as it is, however wide the terminal. The process ends with `exit_code`.
    """

    data: Mapping[str, JsonValue]
    view: RenderableType
    exit_code: ExitCode = ExitCode.DONE


def print_answer(answer: Answer, *, as_json: bool) -> None:
    """Print the one or the other on standard output."""
    if as_json:
        print_json(answer.data)
    elif isinstance(answer.view, str):
        typer.echo(answer.view)
    else:
        Console().print(answer.view)


def print_error(error: PrismicxError, *, as_json: bool) -> ExitCode:
    """Print why it failed on standard error, and as JSON on standard output where asked for; return the exit code."""
    typer.echo(f"error: {printable(str(error))}", err=True)
    if as_json:
        print_json({"error": {"code": code_of(error), "message": str(error)}})
    return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), ExitCode.REFUSED)


def code_of(error: PrismicxError) -> str:
    """Return the stable code of an error: `tenant_not_found` for `TenantNotFoundError`."""
    name = type(error).__name__.removesuffix("Error")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


@contextmanager
def progress(doing: str, *, as_json: bool) -> Iterator[None]:
    """Show a person that something is being done; a script and a file get nothing."""
    if as_json:
        yield
    else:
        with Console(stderr=True).status(Text(printable(doing))):
            yield


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> RenderableType:
    """Return rows as a table, whose first column is never cut, or a sentence where there are none."""
    if not rows:
        return Text(empty)
    shown = Table(header_style="bold")
    for number, column in enumerate(columns):
        shown.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(printable(cell)) for cell in row))
    return shown


def record(title: str, facts: Mapping[str, str]) -> Table:
    """Return named facts, one a line; those without a value are left out."""
    shown = Table(title=Text(printable(title)), title_justify="left", show_header=False)
    shown.add_column(no_wrap=True, style="bold")
    shown.add_column(overflow="fold")
    for name, fact in facts.items():
        if fact:
            shown.add_row(name, Text(printable(fact)))
    return shown


def printable(text: str) -> str:
    """Return a text that a terminal takes for nothing but text: control characters but the newline are written out."""
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def print_json(data: Mapping[str, JsonValue]) -> None:
    """Print one JSON object on standard output, in ASCII."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=True))
