"""Figures and videos, a module a subject; the report and the player are folders of their own.

`export_html` makes a page of an episode, `published_page` one of the published scores. They are
loaded on first use, so that a figure alone needs none of what a page needs.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Page": "jatlab.viz.web.page",
    "export_html": "jatlab.viz.web.export",
    "published_page": "jatlab.viz.web.published_page",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(
            f"module 'jatlab.viz' has no attribute {name!r}; it offers {', '.join(sorted(_HOME))}"
        )
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
