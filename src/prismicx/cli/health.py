"""`prismicx health`: one look at every database, for people and for what watches over services."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue
from rich.console import Group
from rich.text import Text

from prismicx.cli.command import Call, command
from prismicx.cli.output import Answer, ExitCode, printable, record
from prismicx.domain.health import DEFAULT_PATIENCE, Health

if TYPE_CHECKING:
    from rich.console import RenderableType


@command
async def health(
    call: Call,
    *,
    patience: Annotated[
        float, typer.Option(help="Seconds to wait for each database.", min=0.1, max=600, metavar="SECONDS")
    ] = DEFAULT_PATIENCE,
) -> Answer:
    """Look once at every database of the service: is it there, is the role safe, is everything prepared.

    Without --mappings the registry's tables and collections are looked for, and no others.
    """
    container = call.container()
    found = []
    for backend in dict.fromkeys((*container.backends(), container.registry())):
        with call.progress("looking"):
            found.append(await backend.health(patience=patience))
    good = all(one.is_good for one in found)
    data: dict[str, JsonValue] = {"good": good, "databases": [_data(one) for one in found]}
    return Answer(data, _view(found), _exit_code(found))


def _exit_code(found: Sequence[Health]) -> ExitCode:
    if not all(one.reachable for one in found):
        return ExitCode.UNAVAILABLE
    return ExitCode.DONE if all(one.is_good for one in found) else ExitCode.UNWELL


def _data(one: Health) -> dict[str, JsonValue]:
    return {
        "backend": one.backend,
        "address": one.address,
        "good": one.is_good,
        "reachable": one.reachable,
        "latency": one.latency,
        "role_safe": one.role_safe,
        "prepared": one.prepared,
        "transactions": one.transactions,
        "problems": list(one.problems),
    }


def _view(found: Sequence[Health]) -> "RenderableType":
    shown: list[RenderableType] = []
    for one in found:
        facts = {
            "reachable": _word(one.reachable),
            "latency": "" if one.latency is None else f"{one.latency * 1000:.1f} ms",
            "role safe": _word(one.role_safe),
            "prepared": _word(one.prepared),
            "transactions": _word(one.transactions),
        }
        shown += [record(f"{one.backend} at {one.address}", facts)]
        shown += [Text(printable(problem), style="bold") for problem in one.problems]
    return Group(*shown)


def _word(answer: bool | None) -> str:  # noqa: FBT001  # the answer itself
    return "" if answer is None else ("yes" if answer else "NO")
