"""The player's buttons, menus and sliders.

They are plain ipywidgets (7 or 8), so that they work wherever widgets do. Importing this module
needs ipywidgets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import ipywidgets as widgets

from jatlab.agents.agent import Agent
from jatlab.model.memory import POLICIES
from jatlab.tasks import task_names
from jatlab.viz.player.canvas import WIDTH
from jatlab.viz.player.watching import Watch, who_plays

ALL = "all"  # what stands for None in a menu, where None means that nothing is chosen
SPEEDS, TEMPERATURES = (1, 60), (0.0, 3.0)  # timesteps a second; 0: always the likeliest action
CONTEXTS = (2, 4, 8, 16, 32, 64, 128)  # timesteps that the agent may remember
MOST_SEED = 2**31 - 1
VIEW = "application/vnd.jupyter.widget-view+json"

Choices = list[tuple[str, Any]]  # what a menu shows, and the value that it stands for


class Controlled(Protocol):
    """What the controls use of a `Player`, which documents it."""

    agent: Agent
    learnt: list[str]
    watch: Watch
    playing: asyncio.Task[None] | None
    task: str
    seed: int
    who: str
    context: int | None
    policy: str
    temperature: float
    speed: float
    layer: int | None
    head: int | None
    index: int

    def play(self) -> None:
        """The button Play."""

    def pause(self) -> None:
        """The button Pause."""

    def step(self) -> None:
        """The button Step."""

    def reset(self) -> None:
        """The button Reset."""

    def choose(self, **choices: Any) -> None:
        """All menus and sliders."""


class Controls:
    """The widgets of one `Player`.

    `show` brings them up to date. What the reader changes goes to the player's `choose` and to its
    buttons' methods.
    """

    def __init__(self, player: Controlled) -> None:
        self.player, self.syncing = player, False
        size = widgets.Layout(width=f"{WIDTH}px", max_width="100%", height="auto")
        self.image = widgets.Image(format="jpeg", layout=size)
        self.status = widgets.HTML()
        self.buttons = {
            "Play": _button("Play", "play", player.play, "success"),
            "Pause": _button("Pause", "pause", player.pause),
            "Step": _button("Step", "step-forward", player.step),
            "Reset": _button("Reset", "undo", player.reset),
        }
        self.menus = self._menus()
        for name, widget in self.menus.items():
            widget.observe(self._changed(name), "value")
        self.box = widgets.VBox([*self._rows(), self.image, self.status])

    # --- what the player calls ---

    def show(self, picture: bytes, keep: bool = False) -> None:
        """Show a JPEG, and what the player now is; with `keep`, the sentence beneath stays."""
        player, watch = self.player, self.player.watch
        with self._sync():
            self.image.value = picture
            self.menus["seed"].value, self.menus["who"].value = player.seed, player.who
            look, last = self.menus["index"], watch.moments[-1].step
            look.max, look.min = max(last, 1), min(watch.moments[0].step, max(last, 1))
            look.value = last if player.index < 0 else player.index
        self.buttons["Play"].disabled = bool(player.playing)
        self.buttons["Pause"].disabled = not player.playing
        self.buttons["Step"].disabled = watch.done
        if not keep:
            next_steps = ". Play goes on with the next seed, Reset plays this one again."
            self.say(watch.ending and watch.ending + next_steps)

    def say(self, words: str) -> None:
        """Put a sentence beneath the picture."""
        self.status.value = words.replace("&", "&amp;").replace("<", "&lt;")

    def refresh(self) -> None:
        """Bring the menus up to date whose choices depend on the task."""
        with self._sync():
            self.menus["who"].options = who_plays(self.player.task)
            self.menus["who"].value = self.player.who

    def bundle(self) -> dict[str, Any]:
        """What a cell displays, by MIME type."""
        return {VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}}

    def close(self) -> None:
        """Take all widgets away."""
        for widget in [*self.buttons.values(), *self.menus.values(), *self.box.children, self.box]:
            widget.close()

    # --- how ---

    def _rows(self) -> list[widgets.HBox]:
        menus, wrap = self.menus, widgets.Layout(flex_flow="row wrap", max_width=f"{WIDTH}px")
        rows = [
            [menus["task"], menus["who"], menus["seed"]],
            [*self.buttons.values(), menus["speed"], menus["temperature"]],
            [menus["layer"], menus["head"], menus["context"], menus["policy"]],
            [menus["index"]],
        ]
        return [widgets.HBox(row, layout=wrap) for row in rows]

    def _menus(self) -> dict[str, widgets.Widget]:
        """One widget for each thing that `Player.choose` changes."""
        player, config = self.player, self.player.agent.model.config
        layers = [(f"{i}: {kind}", i) for i, kind in enumerate(config.attention_layers)]
        heads = [(str(head), head) for head in range(config.num_heads)]
        return {
            "task": _menu("Task", self._tasks(), player.task, "330px"),
            "who": _menu("Plays", who_plays(player.task), player.who, "200px"),
            "seed": widgets.BoundedIntText(
                player.seed, min=0, max=MOST_SEED, description="Seed", layout=_width("190px")
            ),
            "speed": _speed(player.speed),
            "temperature": _temperature(player.temperature),
            "layer": _menu("Layer", [("mean", ALL), *layers], player.layer, "190px"),
            "head": _menu("Head", [("mean", ALL), *heads], player.head, "160px"),
            "context": _menu("Remembers", self._contexts(), player.context, "220px"),
            "policy": _menu("When full", list(POLICIES), player.policy, "220px"),
            "index": widgets.IntSlider(
                0, min=0, max=1, description="Look back", layout=_width("620px")
            ),
        }

    def _tasks(self) -> Choices:
        """All tasks, those that the agent has learnt first."""
        names = task_names()
        learnt = [name for name in self.player.learnt if name in names]
        others = [(name, name) for name in names if name not in learnt]
        return [(f"{name} · learnt", name) for name in learnt] + others

    def _contexts(self) -> Choices:
        most, chosen = self.player.agent.model.config.max_timesteps // 2, self.player.context
        lengths = [k for k in CONTEXTS if k <= most]
        if chosen is not None and chosen not in lengths:
            lengths.append(chosen)
        return [("all that fits", ALL), *((f"{k} timesteps", k) for k in lengths)]

    def _changed(self, name: str) -> Callable[[dict], None]:
        def change(event: dict) -> None:
            if not self.syncing:
                self.player.choose(**{name: None if event["new"] == ALL else event["new"]})
                self.refresh()

        return change

    @contextmanager
    def _sync(self) -> Iterator[None]:
        """Changes inside are the player's own, not the reader's."""
        self.syncing = True
        try:
            yield
        finally:
            self.syncing = False


# --- single widgets ---


def _width(width: str) -> widgets.Layout:
    return widgets.Layout(width=width)


def _button(name: str, icon: str, action: Callable[[], None], style: str = "") -> widgets.Button:
    look = dict(icon=icon, button_style=style, layout=_width("90px"))
    button = widgets.Button(description=name, **look)
    button.on_click(lambda _: action())
    return button


def _menu(name: str, options: Sequence, value: object, width: str) -> widgets.Dropdown:
    value = ALL if value is None else value
    return widgets.Dropdown(options=options, value=value, description=name, layout=_width(width))


def _speed(value: float) -> widgets.IntSlider:
    slider = widgets.IntSlider(**_limited(round(value), SPEEDS, 1, "Speed"))
    slider.tooltip = "timesteps a second"
    return slider


def _temperature(value: float) -> widgets.FloatSlider:
    slider = widgets.FloatSlider(**_limited(value, TEMPERATURES, 0.1, "Temperature"))
    slider.tooltip = "0: always the likeliest action"
    return slider


def _limited(value: float, limits: tuple[float, float], step: float, name: str) -> dict[str, Any]:
    """A slider's arguments: the value within its limits, and its looks."""
    low, high = limits
    return {
        "value": min(max(value, low), high),
        "min": low,
        "max": high,
        "step": step,
        "description": name,
        "layout": _width("280px"),
        "style": {"description_width": "90px"},
    }
