"""A self-contained page of HTML, as a file and as what a notebook's cell shows."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from jatlab.utils.checks import require
from jatlab.utils.files import atomic_write, expanded

HEIGHT = 760  # of a frame in a notebook, in pixels
# The sentence lies beneath the page. It is seen where the frame is not: on GitHub, and in a
# notebook that JupyterLab does not trust yet.
FRAME = (
    '<div style="display: grid"><p style="grid-area: 1 / 1">{title}: this page moves where '
    "HTML is shown: in nbviewer, in the documentation, and in a notebook that you "
    'trust.</p><iframe srcdoc=\'{page}\' sandbox="allow-scripts" title="{title}" '
    'style="grid-area: 1 / 1; width: 100%; height: {height}px; border: 0; border-radius: 10px">'
    "</iframe></div>"
)


@dataclass(frozen=True)
class Page:
    """A page of HTML; the last line of a notebook's cell shows it, without a kernel too.

    Attributes:
        html: The whole page.
        title: Its title.
        height: Of the frame that shows it in a notebook, in pixels.
    """

    html: str
    title: str
    height: int = HEIGHT

    def save(self, path: str | Path) -> Path:
        """Write the page; the file is complete or not there.

        Raises:
            ValueError: The name does not end in .html.
        """
        path = check_html(path)
        with atomic_write(path) as temporary:
            temporary.write_text(self.html, encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        """A frame of its own, so that the page's style and the notebook's do not mix.

        It may run scripts, and nothing else: it cannot reach the page around it.
        """
        # in an attribute only & and its quotation mark mean anything; the page is full of "
        page = self.html.replace("&", "&amp;").replace("'", "&#39;")
        return FRAME.format(page=page, title=html.escape(self.title), height=self.height)

    def __repr__(self) -> str:
        return f"<{self.title}: a page of {len(self.html.encode()):,} bytes>"


def check_html(path: str | Path) -> Path:
    """The path, if a page can be written there by its name.

    Raises:
        ValueError: The suffix is not .html.
    """
    path = expanded(path)
    require(
        path.suffix.lower() == ".html",
        f"{path}: a page's name ends in .html, not {path.suffix or 'in no suffix'!r}",
    )
    return path


def fill(name: str, shown: dict[str, Any], title: str) -> str:
    """The text of a page, from the assets NAME.html and NAME.js.

    JSON with < as an escape cannot end the script that holds it.

    Args:
        name: Of the assets.
        shown: What the script finds as JSON.
        title: Of the page.
    """
    data = json.dumps(shown, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {"style": asset("episode.css"), "script": asset(f"{name}.js")}
    return Template(asset(f"{name}.html")).substitute(parts, title=html.escape(title), data=data)


@cache
def asset(name: str) -> str:
    """A text among the package's assets."""
    return files("jatlab").joinpath("assets", name).read_text(encoding="utf-8")
