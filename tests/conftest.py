"""What every test shares: our own pytest plugin, how Hypothesis runs, and an environment without settings."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

pytest_plugins = ["pytester", "prismicx.testing.plugin", "tests.mutants"]

# Time per example says nothing on a machine that several workers share.
settings.register_profile("prismicx", deadline=None)
settings.load_profile("prismicx")


@pytest.fixture(autouse=True, scope="session")
def nothing_is_taken_from_the_environment() -> Iterator[None]:
    """Whoever lends servers to the tests has set variables that no test may take for its own settings."""
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith("PRISMICX_")]:
            patched.delenv(name)
        yield
