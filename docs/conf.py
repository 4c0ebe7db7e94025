"""The documentation's Sphinx configuration: `make docs` builds it into build/docs."""

import os
import sys
import warnings
from importlib.metadata import version as installed_version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for scripts, which are not installed

from scripts.docs import api, docstrings, pages  # noqa: E402

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore", category=DeprecationWarning)

project = "jatlab"
author = "the jatlab developers"
copyright = "the jatlab developers, Apache-2.0"
release = version = installed_version("jatlab")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.linkcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_generated"]
root_doc = "index"

# Pages are Markdown. Notebooks are shown with the outputs that are stored in them.
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_mime_priority_overrides = [
    # a widget needs a kernel; the figure that stands beside it is shown in its place
    ("html", "application/vnd.jupyter.widget-view+json", None),
]
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = [
    "mystnb.unknown_mime_type",
    "ref.python",  # two classes of one name in an annotation: either may be linked
]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {
    "members": True,
    "undoc-members": True,
    "ignore-module-all": True,  # a name is described where it is defined, and only there
}
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
default_role = "code"


def linkcode_resolve(domain, info):
    """Where GitHub shows the source of a documented name."""
    place = api.source_place(info["module"], info["fullname"]) if domain == "py" else None
    return place and f"{pages.REPOSITORY}blob/{pages.BRANCH}/{place}"


html_theme = "furo"
html_title = "jatlab"
html_baseurl = pages.SITE
html_static_path = ["_static"]
html_css_files = ["jatlab.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "top_of_page_buttons": [],  # many pages are generated: there is no file to edit
}
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

# The weekly workflow asks for these; `make docs` checks links within the site alone.
linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_workers = 4
linkcheck_ignore = [
    r"https://mybinder\.org/v2/.*",  # would start a machine for every lesson
    r"https://colab\.research\.google\.com/.*",  # asks for a sign-in
]


def setup(app):
    """Write the pages that are made from the code, and read docstrings as they are written here."""
    pages.write_all(Path(app.srcdir))
    app.connect("autodoc-process-docstring", docstrings.process, priority=300)
    app.connect("autodoc-process-signature", docstrings.process_signature)
