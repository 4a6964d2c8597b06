"""Settings of the documentation: `make docs` builds it into build/docs."""

import re
import sys
from pathlib import Path

from docutils import nodes

sys.path.insert(0, str(Path(__file__).parent))

import api_pages

import handgrad

project = "Handgrad"
author = "The Handgrad developers"
copyright = author
release = version = handgrad.__version__

extensions = ["myst_nb", "mathml", "sphinx.ext.viewcode", "sphinx_design", "sphinx_copybutton"]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
default_role = "py:obj"  # `name` in a docstring links to what it names
exclude_patterns = []
templates_path = []
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["handgrad.css"]
html_js_files = ["handgrad.js"]
html_logo = html_favicon = "_static/logo.svg"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5f9e", "color-brand-content": "#1f5f9e"},
    "dark_css_variables": {"color-brand-primary": "#7db8f0", "color-brand-content": "#7db8f0"},
}
pygments_dark_style = "github-dark"  # without underlined names, which look like links
html_search_scorer = str(Path(__file__).with_name("_static") / "scorer.js")
html_title = f"Handgrad {release}"
html_show_sphinx = False
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).parents[1] / "build" / "docs-cache")
nb_execution_raise_on_error = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_execution_timeout = 120
add_module_names = False
python_display_short_literal_types = True

api_pages.write()


def describe_pictures(app, doctree, _name):
    """Say in words what a cell draws, for readers who do not see it: the title in its code."""
    for cell in doctree.findall(
        lambda node: "cell" in getattr(node, "attributes", {}).get("classes", ())
    ):
        code = cell.astext()
        titles = re.findall(r"""(?:suptitle\(|title=)f?["']([^"'{]+)["']""", code)
        for picture in cell.findall(nodes.image):
            picture["alt"] = "; ".join(titles) or "What the code above draws"


def offer_notebook(_app, name, source):
    """End a page that is executed with a link to it as a notebook."""
    if source[0].startswith("---\nfile_format: mystnb"):
        file = name.rpartition("/")[2]
        source[0] += f"\n\n---\n\n{{nb-download}}`This page as a notebook <{file}.ipynb>`\n"


def home_of_source(_app, modname, attribute):
    """Leave what is Python's own without a link to its source."""
    value = sys.modules.get(modname)
    for part in attribute.split("."):
        value = getattr(value, part, None)
    return modname if getattr(value, "__module__", "builtins") == "builtins" else None


def setup(app):
    """Tell Sphinx."""
    app.connect("viewcode-follow-imported", home_of_source)
    app.connect("source-read", offer_notebook)
    app.connect("doctree-resolved", describe_pictures)
