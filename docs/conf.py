"""How the documentation is built: `sphinx-build -W --keep-going -b html docs docs/_build/html`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # so that the pages show this tree, installed or not

project = "prismicx"
author = "prismicx contributors"
project_copyright = "prismicx contributors, MIT licence"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings are Google's form with code in single backticks, as Markdown has it.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "exclude-members": "model_config, model_post_init, metadata, registry, sync_session, sync_session_class",
}
autodoc_inherit_docstrings = True
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True
python_display_short_literal_types = True
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = "prismicx"
html_static_path = ["_static"]
html_css_files = ["prismicx.css"]
html_copy_source = False
html_show_sourcelink = False
pygments_style = "tango"
pygments_dark_style = "monokai"


def setup(app: Any) -> dict[str, bool]:
    """Join the reading of docstrings, before napoleon's."""
    app.connect("autodoc-process-docstring", _adapt, priority=400)
    return {"parallel_read_safe": True}


def _adapt(_app: Any, kind: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    for number in range(len(lines) - 2):  # an indented block after a colon is code, as in Markdown
        line, between, after = lines[number : number + 3]
        if line.endswith(":") and not line.endswith("::") and not between and after.startswith("    "):
            lines[number] = f"{line}:"
    if kind in ("attribute", "data", "property"):  # an empty comment first: no `Words: words` is taken for a type
        lines[:0] = ["..", ""]
