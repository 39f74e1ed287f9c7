"""`prismicx demo`: the reference service, told as a story on real servers."""

from pathlib import Path
from typing import Annotated

import typer

from prismicx.cli.command import failing_clearly, finish
from prismicx.cli.output import print_json


def demo(
    *,
    postgres_dsn: Annotated[
        str | None,
        typer.Option(metavar="DSN", help="A PostgreSQL of your own; its login may create roles and databases."),
    ] = None,
    mongo_uri: Annotated[str | None, typer.Option(metavar="URI", help="A MongoDB of your own, a replica set.")] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the embedded servers' data there, to look at it afterwards."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as one JSON object.")] = False,
) -> None:
    """Watch tenants being created, used and kept apart, on servers that it starts by itself, in less than a minute."""
    from prismicx.demo.story import run  # noqa: PLC0415  # loads the drivers

    with failing_clearly(as_json=as_json):
        told = finish(run(postgres_dsn=postgres_dsn, mongo_uri=mongo_uri, keep=keep, as_json=as_json))
        if as_json:
            print_json(told)
