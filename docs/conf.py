"""Sphinx configuration; `make docs` treats every warning as an error."""

from asteroid_latref import __version__

project = "asteroid_latref"
author = "asteroid_latref contributors"
copyright = "2026, asteroid_latref contributors"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # Google docstrings say more, and closer to what they mean
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Shape", "notes_style"), ("Reference", "notes_style")]

html_theme = "furo"
html_title = f"asteroid_latref {version}"
