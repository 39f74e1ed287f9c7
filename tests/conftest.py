"""What every test shares: our own pytest plugin, and how Hypothesis runs."""

from hypothesis import settings

pytest_plugins = ["pytester", "prismicx.testing.plugin"]

# Time per example says nothing on a machine that several workers share.
settings.register_profile("prismicx", deadline=None)
settings.load_profile("prismicx")
