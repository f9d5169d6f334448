"""How Sphinx builds these pages: ``sphinx-build -n -W docs OUT``. It needs Graphviz (``dot``)."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]

from telephony import __version__  # noqa: E402  what stands beside these pages, installed or not

project = "agora-telephony"
copyright = "the authors of agora-telephony"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "_ext.directives",
    "_ext.links",
    "_ext.blocks",
]
exclude_patterns = ["_build"]

# --- what the code says of itself ----------------------------------------------------------

default_role = "literal"
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_preserve_defaults = True
autodoc_typehints = "signature"

# Only what has no page here and never will: what others document, …
nitpick_ignore = [
    ("py:class", "datetime.datetime"),
    ("py:class", "ssl.SSLContext"),
    ("py:class", "os.PathLike"),
    ("py:class", "prometheus_client.registry.CollectorRegistry"),
    ("py:class", "Flask"),
    ("py:class", "flask.app.Flask"),
    ("py:class", "flask.blueprints.Blueprint"),
]
nitpick_ignore_regex = [
    # … type variables, …
    ("py:class", r"telephony\.[\w.]+\.[A-Z]"),
    # … and what only type checkers read, of the options and filters that have their own tables.
    ("py:class", r"(.*\.)?(ClientOptions|Match|Unpack)"),
]

# --- looks ---------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"agora-telephony {release}"
html_static_path = ["_static"]
html_css_files = ["house.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

# --- links, asked for with ``sphinx-build -b linkcheck`` --------------------------------------

linkcheck_ignore = [r"https?://"]  # the checks run without a network; `tests/links.py` has the rest
linkcheck_anchors = True
