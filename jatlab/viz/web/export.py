"""An episode as a page that moves without a kernel: `export_html`.

The page is one file and asks the network for nothing. It has the film with a scrubber, attention
over the past by layer and head, the probabilities of actions, and what was expected beside what
was observed. It works on a static site, in the documentation, in nbviewer and from a disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jatlab.tasks import get_task
from jatlab.teachers.human.names import actions_of, observations_of
from jatlab.utils.checks import require
from jatlab.viz.web.content import Detail, Episode, Names, content
from jatlab.viz.web.page import HEIGHT, Page, check_html, fill

if TYPE_CHECKING:
    from jatlab.agents.agent import Agent
    from jatlab.agents.rollout import RandomAgent

LIMIT = 3_000_000  # bytes of a page
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
) -> Page:
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
    made = Page(_fitting(episode, named, title, limit), title, height)
    if path is not None:
        made.save(path)
    return made


def _fitting(episode: Episode, named: Names, title: str, limit: int) -> str:
    """The page with the most detail that has at most `limit` bytes."""
    size = 0
    for detail in DETAILS:
        page = fill("episode", content(episode, named, detail), title)
        size = len(page.encode())
        if size <= limit:
            return page
    raise ValueError(
        f"the page has at least {size:,} bytes, and the limit is {limit:,}: "
        "allow more, or play with max_steps"
    )


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
