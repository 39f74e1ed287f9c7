"""One server with access control for each file that needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.logins.platform import guarded_server, served

from prismicx.adapters.beanie import BeanieBackend


@pytest.fixture(scope="package")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server, with the login that may do everything."""
    with guarded_server(tmp_path_factory.mktemp("guarded")) as uri:
        yield uri


@pytest.fixture(scope="module")
async def backend(guarded: str) -> AsyncIterator[BeanieBackend]:
    """A running backend with Acme and Globex in place; a test that changes their users makes them anew."""
    async with served(guarded, "guarded") as backend:
        yield backend
