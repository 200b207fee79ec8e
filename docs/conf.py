"""How the documentation is built: offline, from the code, with every example executed."""

import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
sys.path.insert(0, str(HERE.parent))

import batchvet  # noqa: E402 - from the tree that the documentation lies in

project = "batchvet"
author = "The batchvet founders"
copyright = "2026, the batchvet founders"
release = version = batchvet.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx_copybutton",
    "sphinx_design",
    "drawn_math",
    "reference",
    "offline",
]
exclude_patterns = ["_build", "README.md"]
source_suffix = {".md": "markdown"}
nitpicky = False  # the types in docstrings are prose ("path, optional"), which no reference resolves
show_warning_types = True

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = False

numfig = True  # so that equations carry the number of their page: (3.2) is the second of page 3
math_numfig = True
numfig_secnum_depth = 1
math_eqref_format = "Eq. {number}"
html_math_renderer = "drawn"

autodoc_typehints = "none"  # numpydoc's Parameters sections say it in words, with shapes and units
toc_object_entries = False
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

doctest_global_setup = "from sample_run import enter; enter()"
doctest_test_doctest_blocks = ""

html_theme = "pydata_sphinx_theme"
html_title = "batchvet"
html_static_path = ["_static"]
html_css_files = ["batchvet.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "batchvet"},
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_context = {"default_mode": "auto"}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

warnings.filterwarnings("ignore", category=DeprecationWarning)  # of the builder's own libraries
