"""What the tests of the use cases share."""

import pytest
from tests.application.memory import Registry
from tests.application.place import Place


@pytest.fixture
async def registry() -> Registry:
    backend = Registry()
    await backend.start()
    return backend


@pytest.fixture
def place(registry: Registry) -> Place:
    return Place(registry)
