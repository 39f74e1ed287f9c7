"""The service that a command works for: its own container, found by `module:attribute`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

import typer

from prismicx.container import Container
from prismicx.domain.placement import EntityMapping
from prismicx.settings import Settings

_HINT: Final = "--mappings"


def container_of(attribute: str | None, settings: Settings) -> Container:
    """Return the service's container; without an attribute, one that knows the registry only.

    Args:
        attribute: `module:attribute`, looked for from the working directory on: a sequence of `EntityMapping`, which
            then holds for each database that is configured, or a function from `Settings` to the service's `Container`.
        settings: for the container.

    Raises:
        typer.BadParameter: it leads to neither.
    """
    if attribute is None:
        return Container(settings=settings)
    found = imported(attribute, hint=_HINT)
    if isinstance(found, Sequence) and all(isinstance(mapping, EntityMapping) for mapping in found):
        return Container(settings=settings, postgres_mappings=found, mongo_mappings=found)
    made = found(settings) if callable(found) else None
    if made is None or not callable(getattr(made, "backends", None)):
        raise _refused(f"{attribute} is neither a sequence of EntityMapping nor a function returning a Container")
    return cast("Container", made)  # dependency-injector's containers are of no class of ours at run time


def imported(attribute: str, *, hint: str) -> object:
    """Return what `module:attribute` leads to, looked for from the working directory on.

    Raises:
        typer.BadParameter: it leads nowhere; the message names the option, `hint`.
    """
    module_name, _, name = attribute.partition(":")
    if not module_name or not name:
        raise _refused(f"{attribute!r} is not of the form module:attribute", hint)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that no file of the working directory stands in for an installed package
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise _refused(f"there is no module {error.name}", hint) from error
    try:
        return getattr(module, name)
    except AttributeError:
        raise _refused(f"module {module_name} has no {name}", hint) from None


def _refused(reason: str, hint: str = _HINT) -> typer.BadParameter:
    return typer.BadParameter(reason, param_hint=hint)
