"""What all commands share: connection options, `--json`, the event loop, and one way to fail."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Final, ParamSpec, TypeVar

import typer

from prismicx.cli.output import Answer, print_answer, print_error, progress
from prismicx.domain.errors import PrismicxError

if TYPE_CHECKING:
    from prismicx.container import Container
    from prismicx.settings import Settings

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

_PANEL: Final = "Databases"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a command: where its databases are, and how it answers."""

    options: Mapping[str, str | None]
    mappings: str | None
    as_json: bool

    def settings(self) -> Settings:
        """Return the settings of the environment with the options in place of it.

        Raises:
            SettingsError: they do not fit.
        """
        from prismicx.settings import Settings  # noqa: PLC0415  # keeps `prismicx --help` fast

        return Settings.load(self.options)

    def container(self) -> Container:
        """Return the service's container, or one without mappings; nothing is connected.

        Raises:
            SettingsError: the settings do not fit.
            typer.BadParameter: `--mappings` leads to nothing that fits.
        """
        from prismicx.cli.service import container_of  # noqa: PLC0415  # loads the drivers

        return container_of(self.mappings, self.settings())

    @asynccontextmanager
    async def services(self) -> AsyncIterator[Container]:
        """Connect to the databases for the length of the block.

        Raises:
            DatabaseUnavailableError: one of them does not answer.
        """
        from prismicx.container import running  # noqa: PLC0415  # loads the drivers

        async with running(self.container()) as container:
            yield container

    def progress(self, doing: str) -> AbstractContextManager[None]:
        """Show a person that something is being done."""
        return progress(doing, as_json=self.as_json)


def command(function: Callable[Concatenate[Call, P], Awaitable[Answer]]) -> Callable[..., None]:
    """Return the asynchronous function as a command for typer, with the options that all of them have.

    The function's own annotations must be objects, not text, so its module does without `from __future__ import
    annotations`.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        shared = {name: kwargs.pop(name) for name in _SHARED}
        as_json, mappings = bool(shared.pop("as_json")), _text(shared.pop("mappings"))
        call = Call({name: _text(value) for name, value in shared.items()}, mappings, as_json)
        with failing_clearly(as_json=as_json):
            answer = finish(function(call, *args, **kwargs))
            print_answer(answer, as_json=as_json)
        if answer.exit_code:
            raise typer.Exit(answer.exit_code)

    own = list(inspect.signature(function).parameters.values())[1:]
    parameters = [*own, *_SHARED.values()]
    # Typer reads both of them.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # any function takes it
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


@contextmanager
def failing_clearly(*, as_json: bool) -> Iterator[None]:
    """End the program with a line and an exit code where the block raises an error of the framework.

    Log events of the block go to standard error: standard output is the answer's.
    """
    with _logging_to_standard_error():
        try:
            yield
        except PrismicxError as error:
            raise typer.Exit(print_error(error, as_json=as_json)) from error


def finish(work: Awaitable[ResultT]) -> ResultT:
    """Run the work to its end and return what it returns."""

    async def finished() -> ResultT:
        return await work

    # Not asyncio.run: before 3.12 it also takes the thread's own event loop away.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(finished())


@contextmanager
def _logging_to_standard_error() -> Iterator[None]:
    import structlog  # noqa: PLC0415  # keeps `prismicx --help` fast

    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr), cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _option(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _setting(name: str, help_text: str, metavar: str) -> inspect.Parameter:
    # Settings reads the environment, not typer: what an option's help shows of it is the name only.
    help_text = f"{help_text} Variable: PRISMICX_{name.upper()}"
    flag = f"--{name.replace('_', '-')}"
    return _option(
        name, Annotated[str | None, typer.Option(flag, help=help_text, metavar=metavar, rich_help_panel=_PANEL)]
    )


_SHARED: Final = {
    parameter.name: parameter
    for parameter in (
        _setting("postgres_dsn", "PostgreSQL, with the application's login.", "DSN"),
        _setting("postgres_admin_dsn", "PostgreSQL, with the login that owns the database.", "DSN"),
        _setting("mongo_uri", "MongoDB, a replica set.", "URI"),
        _setting("mongo_database", "MongoDB's database for all tenants.", "NAME"),
        _setting("registry", "Which of them keeps the registry.", "postgres|mongo"),
        _option(
            "mappings",
            Annotated[
                str | None,
                typer.Option(
                    "--mappings",
                    envvar="PRISMICX_MAPPINGS",
                    help="What the service keeps: its entity mappings, or a function from Settings to its Container.",
                    metavar="MODULE:ATTRIBUTE",
                    rich_help_panel=_PANEL,
                ),
            ],
        ),
        _option("as_json", Annotated[bool, typer.Option("--json", help="Answer as one JSON object.")], default=False),
    )
}
