"""Twins: a planted bug for each promise, and the proof that the contract's test goes red on it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.testing.contracts.tenants import nothing_to_make

_log: Final = logging.getLogger(__name__)


async def assert_contract_catches(
    test: Callable[..., Awaitable[None]],
    backend: Backend,
    *,
    contract: object | None = None,
    raising: type[BaseException] | tuple[type[BaseException], ...] = (),
    **arguments: Any,
) -> None:
    """Return if this test of a contract goes red on a backend with a planted bug.

    What caught the bug is logged at level INFO, with the attributes `check` and `backend` on the record.

    Args:
        test: a contract's method, such as `UnitOfWorkContract.test_nothing_lasts_without_commit`.
        backend: the mutant, started.
        contract: an instance to run it on, where the attributes of the contract's class are not the right ones.
        raising: further errors that are the test's way to go red, besides a failed assertion.
        arguments: what the test takes besides the backend; `acme`, `globex` and `make_place` are supplied if not given.

    Raises:
        AssertionError: the test stays green: the contract does not notice the bug.
    """
    known = {"acme": TenantId.new(), "globex": TenantId.new(), "make_place": nothing_to_make, "backend": backend}
    wanted = list(inspect.signature(test).parameters)[1:]
    given = {name: value for name, value in (known | arguments).items() if name in wanted}
    others = raising if isinstance(raising, tuple) else (raising,)
    red: tuple[type[BaseException], ...] = (AssertionError, pytest.fail.Exception, *others)
    try:
        await test(contract or _contract_of(test), **given)
    except red:
        check, found_on = f"{Path(test.__code__.co_filename).name}::{test.__name__}", type(backend).__name__
        _log.info("%s goes red on %s", check, found_on, extra={"check": check, "backend": found_on})
        return
    raise AssertionError(f"{test.__qualname__} stays green on {type(backend).__name__} with a planted bug")


def _contract_of(test: Callable[..., Awaitable[None]]) -> object:
    # A contract's own attributes (how many examples, what the backend can) are read from its class.
    name = test.__qualname__.rpartition(".")[0]
    kind: type = test.__globals__[name]
    return kind()
