"""The command line: `prismicx …`. Every command is one file's function; what they share is in `command.py`."""

from prismicx.cli.entry import app

__all__ = ["app"]
