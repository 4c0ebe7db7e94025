"""Results, videos and a log that are made up, and a parser of pages."""

from html.parser import HTMLParser

import numpy as np

from jatlab.evaluation.playing import EpisodeVideo
from jatlab.evaluation.results import assemble

TASKS = ("babyai-go-to-obj", "babyai-go-to-local", "metaworld-reach", "atari-bowling")
LOG = [
    {"step": i, "timesteps": 1000 * i, "loss": dict.fromkeys(TASKS[:3], 1.0 / i)}
    for i in range(1, 20)
] + [{"step": 20, "timesteps": 20_000, "loss": {}}]
VOID = {"meta", "img", "br", "path", "use", "input", "link", "hr"}


def results(tasks=TASKS, name="demo", mean=0.7, mission="go to the <red> ball", **settings):
    """Six episodes of each task, with returns about `mean`."""
    rng = np.random.default_rng(0)
    settings = {
        "episodes": 6,
        "seed": 1_000_000,
        "envs": 4,
        "greedy": False,
        "temperature": 1.0,
        "max_steps": None,
        **settings,
    }
    agent = {"name": name, "parameters": 1234, "fingerprint": "f00d"}
    records = {}
    for task in tasks:
        words = mission if task.startswith("babyai") else ""
        same = {"success": True, "cut": False, "mission": words}
        episodes = [
            {"seed": 1_000_000 + i, "total": float(total), "length": 5 + i, **same}
            for i, total in enumerate(rng.normal(mean, 0.1, 6))
        ]
        records[task] = {"task": task, "agent": agent, "settings": settings, "episodes": episodes}
    about = {
        "command": "jatlab evaluate demo --tasks <these> & those",
        "date": "2031-05-17T10:00:00+00:00",
        "seconds": 90.0,
    }
    return assemble(records, about)


def video(length=12):
    made = EpisodeVideo()
    for step in range(length):
        made.add(
            lambda step=step: np.full((48, 64, 3), 15 * step, np.uint8),
            {"step": step, "total": 0.1 * step, "mission": "go"},
            last=step == length - 1,
        )
    return made


class Page(HTMLParser):
    """Every element of a page, and whether each that opens is closed in turn."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text, self.errors = [], [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.errors.append(f"</{tag}> closes something else")

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]
