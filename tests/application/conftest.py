"""What the tests of the use cases share."""

import pytest
from tests.application.memory import Registry


@pytest.fixture
async def registry() -> Registry:
    backend = Registry()
    await backend.start()
    return backend
