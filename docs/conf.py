"""Settings of the documentation; built with ``python -m sphinx -W -b html docs docs/_build/html``.

Nothing is fetched while it is built, and no built page fetches anything.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cryvision
from cryvision.bundle import Bundle

sys.path.insert(0, str(Path(__file__).resolve().parent / "_ext"))
from substitutions import substitutions

# The tutorials train in processes of their own; TensorFlow's greetings are not part of a lesson.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "cryvision"
author = "The cryvision developers"
copyright = "the cryvision developers, Apache-2.0"
version = release = cryvision.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "generated_pages",
]
exclude_patterns = ["_build", "_ext", "jupyter_execute"]
default_role = "py:obj"

myst_enable_extensions = ["colon_fence", "deflist", "substitution"]
myst_heading_anchors = 3

# Settings that the pages name are those of the bundle that ships.
myst_substitutions = substitutions(Bundle.load())

# What a page shows is what this version does: its cells run at every build, and must not fail.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 900  # a training takes a minute, and longer on a machine that is busy
nb_merge_streams = True

autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # takes "onset_s, offset_s : float"
napoleon_use_rtype = False

copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["output.css"]
html_title = f"cryvision {version}"
html_copy_source = False
html_show_sourcelink = False
