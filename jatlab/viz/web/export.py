"""An episode as a page that moves without a kernel: `export_html`.

The page is one file and asks the network for nothing. It has the film with a scrubber, attention
over the past by layer and head, the probabilities of actions, and what was expected beside what
was observed. It works on a static site, in the documentation, in nbviewer and from a disk.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from jatlab.tasks import get_task
from jatlab.teachers.human.names import actions_of, observations_of
from jatlab.utils.checks import require
from jatlab.utils.files import atomic_write, expanded
from jatlab.viz.web.content import Detail, Episode, Names, content

if TYPE_CHECKING:
    from jatlab.agents.agent import Agent
    from jatlab.agents.rollout import RandomAgent

LIMIT = 3_000_000  # bytes of a page
HEIGHT = 760  # of a frame in a notebook, in pixels
# from all that is wanted to the least that is worth having
DETAILS = (
    Detail(400, 320, 80, 64),
    Detail(400, 320, 60, 48),
    Detail(200, 320, 60, 48),
    Detail(200, 240, 55, 32),
    Detail(120, 240, 55, 32),
    Detail(120, 200, 45, 24),
    Detail(80, 200, 45, 16),
    Detail(50, 160, 40, 16),
    Detail(30, 120, 30, 8),
)
# The sentence lies beneath the page. It is seen where the frame is not: on GitHub, and in a
# notebook that JupyterLab does not trust yet.
FRAME = (
    '<div style="display: grid"><p style="grid-area: 1 / 1">{title}: this page of one episode '
    "moves where HTML is shown: in nbviewer, in the documentation, and in a notebook that you "
    'trust.</p><iframe srcdoc=\'{page}\' sandbox="allow-scripts" title="{title}" '
    'style="grid-area: 1 / 1; width: 100%; height: {height}px; border: 0; border-radius: 10px">'
    "</iframe></div>"
)


@dataclass(frozen=True)
class EpisodePage:
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


def export_html(
    episode: Episode,
    path: str | Path | None = None,
    *,
    agent: Agent | RandomAgent | str = "",
    task: str | None = None,
    seed: int | None = None,
    names: Sequence[str] = (),
    limit: int = LIMIT,
    height: int = HEIGHT,
) -> EpisodePage:
    """Make one self-contained page of an episode.

    Args:
        episode: From `rollout(agent, env, render=True, record_attention=True,
            record_predictions=True)`. Without the last two the page has no attention,
            probabilities and expectations.
        path: A .html file to write too.
        agent: Who played: an agent, or a name.
        task: The task's name, which also names its actions and numbers; the task that the agent
            played last unless given.
        seed: Of the episode, for the page's title.
        names: Of the actions, in place of the task's own.
        limit: The most bytes of the page; an episode loses detail until it fits. A notebook that
            should stay small wants about 400,000.
        height: Of its frame in a notebook, in pixels.

    Returns:
        The page. As the last line of a cell it is shown, and `save(path)` writes it.

    Raises:
        ValueError: The episode has no frames, the task is unknown, the file's name does not end in
            .html, or the page cannot be made as small as `limit`.
    """
    if path is not None:
        check_html(path)
    require(
        bool(episode.get("frames")),
        "the episode has no frames: play it with rollout(agent, env, render=True)",
    )
    named = _names(agent, task, seed, names)
    title = f"{named.task} · {named.about}" if named.about else named.task
    made = EpisodePage(_fitting(episode, named, title, limit), title, height)
    if path is not None:
        made.save(path)
    return made


def _fitting(episode: Episode, named: Names, title: str, limit: int) -> str:
    """The page with the most detail that has at most `limit` bytes."""
    size = 0
    for detail in DETAILS:
        page = _page(content(episode, named, detail), title)
        size = len(page.encode())
        if size <= limit:
            return page
    raise ValueError(
        f"the page has at least {size:,} bytes, and the limit is {limit:,}: "
        "allow more, or play with max_steps"
    )


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


def _names(
    agent: Agent | RandomAgent | str,
    task: str | None,
    seed: int | None,
    names: Sequence[str],
) -> Names:
    who = agent if isinstance(agent, str) else str(agent.info.get("name", "an agent"))
    about = [*([who] if who else []), *([] if seed is None else [f"seed {seed}"])]
    known = getattr(agent, "task", None) if task is None else get_task(task)
    model = getattr(agent, "model", None)
    return Names(
        known.name if known else "an episode",
        " · ".join(about),
        names or (actions_of(known) if known else ()),
        observations_of(known) if known else (),
        model.config.attention_layers if model else (),
    )


def _page(shown: dict[str, Any], title: str) -> str:
    """The page's text. JSON with < as an escape cannot end the script that holds it."""
    data = json.dumps(shown, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {"style": _asset("episode.css"), "script": _asset("episode.js")}
    return Template(_asset("episode.html")).substitute(parts, title=html.escape(title), data=data)


@cache
def _asset(name: str) -> str:
    return files("jatlab").joinpath("assets", name).read_text(encoding="utf-8")
