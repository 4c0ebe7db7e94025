"""The player's widgets: buttons, menus and sliders, frames and texts.

They are plain ipywidgets (7 or 8), so that they work wherever widgets do. Importing this module
needs ipywidgets.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as widgets

from jatlab.model.memory import POLICIES
from jatlab.tasks import task_names
from jatlab.viz.player.encoding import Encoder
from jatlab.viz.player.session import MOST_SEED, Session
from jatlab.viz.player.view import frame_beside, views_of
from jatlab.viz.web.page import asset

ALL = "all"  # what stands for None in a menu, where None means that nothing is chosen
NOBODY = ("nobody", ALL)
SPEEDS, TEMPERATURES = (1, 60), (0.0, 3.0)  # timesteps a second; 0: always the likeliest action
CONTEXTS = (2, 4, 8, 16, 32, 64, 128)  # timesteps that the agent may remember
VIEW = "application/vnd.jupyter.widget-view+json"
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
BUTTONS = {  # name: icon, what it does and its key
    "Play": ("play", "play (space)"),
    "Pause": ("pause", "pause (space)"),
    "Step": ("step-forward", "one timestep (right arrow)"),
    "Back": ("step-backward", "look one timestep back (left arrow)"),
    "Reset": ("undo", "begin this episode anew"),
    "Slower": ("minus", "fewer timesteps a second ([)"),
    "Faster": ("plus", "more timesteps a second (])"),
    "Save film": ("film", "the timesteps that are kept, as a video"),
    "Save page": ("file", "the same as a page that moves without a kernel"),
    "Save my play": ("save", "your finished episodes as demonstrations, in the folder data"),
}
KEYS = "Keys, after a click into the player: space plays and pauses, ← → a timestep, [ ] the speed."

Choices = list[tuple[str, Any]]  # what a menu shows, and the value that it stands for


class Controls:
    """The widgets of one player.

    `show` brings them up to date. What the reader changes goes to `calls`.

    Args:
        session: What is played.
        calls: What the buttons do, by their names in `BUTTONS`; "choose", for menus and sliders;
            and "act", for an action of yours.
    """

    def __init__(self, session: Session, calls: Mapping[str, Callable[..., Any]]) -> None:
        self.session, self.calls, self.syncing = session, calls, False
        self.image, self.image_beside = widgets.Image(format="jpeg"), widgets.Image(format="jpeg")
        self.encoder, self.encoder_beside = Encoder(), Encoder()
        self.texts = {name: widgets.HTML() for name in ("decision", "rival", "seen", "past")}
        self.status = widgets.HTML()
        self.buttons = {name: _button(name, calls[name]) for name in BUTTONS}
        self.menus = self._menus()
        for name, widget in self.menus.items():
            widget.observe(self._changed(name), "value")
        self.actions = widgets.HBox()
        shown = (self._stages(), self.texts["past"], self._saving(), self.status)
        self.box = widgets.VBox([self._page(), *self._rows(), *shown])
        self.box.add_class("jl-player")
        self.refresh()

    # --- what the player calls ---

    def show(self, keep: bool = False) -> None:
        """Show what the session now is; with `keep`, the sentence beneath stays."""
        session, watch = self.session, self.session.watch
        with self._sync():
            self._show_picture()
            self.menus["seed"].value, self.menus["who"].value = session.seed, session.who
            self.menus["speed"].value = min(max(round(session.speed), SPEEDS[0]), SPEEDS[1])
            look, last = self.menus["index"], watch.moments[-1].step
            least, most = min(watch.moments[0].step, max(last, 1)), max(last, 1)
            look.min = min(look.min, least)  # neither bound may pass the other on the way
            look.max, look.min = most, least
            look.value = last if session.index < 0 else session.index
        self.enable()
        if not keep:
            next_steps = ". Play goes on with the next seed, Reset plays this one again."
            self.say(watch.ending and watch.ending + next_steps)

    def _show_picture(self) -> None:
        session, playing = self.session, self.session.playing is not None
        views = views_of(session, moving=playing)
        frame = session.watch.moments[session.place].frame
        self.image.value = self.encoder.jpeg(frame, playing)
        for name, text in self.texts.items():
            text.value = getattr(views, name)
        beside = frame_beside(session)
        self.stages[1].layout.display = "none" if beside is None else ""
        if beside is not None:
            self.image_beside.value = self.encoder_beside.jpeg(beside, playing)

    def enable(self) -> None:
        """Let those buttons be pressed that do something now."""
        session, playing = self.session, self.session.playing is not None
        self.buttons["Play"].disabled, self.buttons["Pause"].disabled = playing, not playing
        self.buttons["Step"].disabled = session.over or (session.who == "you" and not playing)
        self.buttons["Save my play"].disabled = not session.mine

    def say(self, words: str) -> None:
        """Put a sentence beneath the picture."""
        self.status.value = html.escape(words, quote=False)

    def refresh(self) -> None:
        """Bring the menus up to date whose choices depend on the task, and on who plays."""
        session, config = self.session, self.session.agent.model.config
        layers = [(f"{i}: {kind}", i) for i, kind in enumerate(config.attention_layers)]
        heads = [(str(head), head) for head in range(config.num_heads)]
        there = session.cast.menu(session.task)
        beside = [NOBODY, *(one for one in there if one[1] != "you")]
        with self._sync():
            self._offer("who", there, session.who)
            self._offer("beside", beside, session.beside)
            self._offer("layer", [("mean", ALL), *layers], session.layer)
            self._offer("head", [("mean", ALL), *heads], session.head)
            self._offer("context", self._contexts(), session.context)
            self.menus["policy"].value = session.policy
            self.menus["temperature"].value = session.temperature
        self._offer_actions()

    def bundle(self) -> dict[str, Any]:
        """What a cell displays, by MIME type."""
        return {VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}}

    def close(self) -> None:
        """Take all widgets away."""
        for widget in _tree(self.box):
            widget.close()

    # --- how ---

    def _page(self) -> widgets.HTML:
        """Style, script, and the sentence that the script shows while the kernel is busy."""
        script = html.escape(asset("player.js"))
        waits = "The kernel is busy with a cell: your click is answered when that has ended."
        return widgets.HTML(
            f'<style>{asset("player.css")}</style><img src="{PIXEL}" alt="" onload="{script}">'
            f'<div class="jl-waits" role="status">{waits}</div>'
        )

    def _rows(self) -> list[widgets.Box]:
        menus, buttons = self.menus, self.buttons
        rows = [
            [menus["task"], menus["who"], menus["beside"], menus["seed"]],
            [
                *(buttons[name] for name in ("Play", "Pause", "Back", "Step", "Reset")),
                *(buttons["Slower"], menus["speed"], buttons["Faster"], menus["endless"]),
            ],
            [menus[name] for name in ("temperature", "layer", "head", "context", "policy")],
            [menus["index"]],
        ]
        return [*(_row(row) for row in rows), self.actions]

    def _stages(self) -> widgets.Box:
        texts = self.texts
        for name in ("decision", "rival"):
            texts[name].add_class("jl-side")
        texts["seen"].add_class("jl-seen")
        pairs = (self.image, texts["decision"]), (self.image_beside, texts["rival"])
        self.stages = [_row(pair) for pair in pairs]
        for stage in self.stages:
            stage.add_class("jl-stage")
        stages = _row([*self.stages, texts["seen"]])
        stages.add_class("jl-stages")
        return stages

    def _saving(self) -> widgets.Box:
        names = ("Save film", "Save page", "Save my play")
        hint = widgets.HTML(f'<span class="jl-note">{KEYS}</span>')
        return _row([*(self.buttons[name] for name in names), hint])

    def _menus(self) -> dict[str, widgets.Widget]:
        """One widget for each thing that the player's `choose` changes."""
        session = self.session
        seed = dict(min=0, max=MOST_SEED, description="Seed", layout=_width("190px"))
        look = dict(min=0, max=1, description="Look back", layout=_width("620px"))
        endless = dict(description="go on with the next seed", indent=False, layout=_width("210px"))
        return {
            "task": _menu("Task", self._tasks(), session.task, "330px"),
            "who": _menu("Plays", [("agent", "agent")], "agent", "230px"),
            "beside": _menu("Beside", [NOBODY], None, "230px"),
            "seed": widgets.BoundedIntText(session.seed, **seed),
            "speed": _speed(session.speed),
            "endless": widgets.Checkbox(session.endless, **endless),
            "temperature": _temperature(session.temperature),
            "layer": _menu("Layer", [("mean", ALL)], None, "190px"),
            "head": _menu("Head", [("mean", ALL)], None, "160px"),
            "context": _menu("Remembers", [("all that fits", ALL)], None, "220px"),
            "policy": _menu("When full", list(POLICIES), session.policy, "220px"),
            "index": widgets.IntSlider(0, **look),
        }

    def _offer(self, name: str, options: Choices, value: object) -> None:
        """Give a menu its choices, if they are others, and the value chosen."""
        menu = self.menus[name]
        if tuple(menu.options) != tuple(options):
            menu.options = options
        menu.value = ALL if value is None else value

    def _offer_actions(self) -> None:
        """A button for each action, where you play; their keys are in the page for the script."""
        shown = self.session.who == "you"
        for widget in self.actions.children:
            widget.close()
        self.actions.children = self._action_buttons() if shown else ()
        self.actions.layout.display = "" if shown else "none"
        self.buttons["Save my play"].layout.display = "" if shown or self.session.mine else "none"

    def _action_buttons(self) -> list[widgets.Widget]:
        pad, made = self.session.watch.pad, []
        keys = {name: key for key, name in pad.keys.items()}
        for number, name in enumerate(pad.names):
            key = keys.get(name, "").removeprefix("Arrow")
            button = widgets.Button(description=f"{name} ({key})" if key else name)
            button.layout.width = "auto"
            button.on_click(lambda _, name=name: self.calls["act"](name))
            button.add_class(f"jl-do-act{number}")
            made.append(button)
        places = {key: f"act{pad.names.index(name)}" for key, name in pad.keys.items()}
        told = html.escape(json.dumps(places))
        return [*made, widgets.HTML(f'<span data-keys="{told}"></span>')]

    def _tasks(self) -> Choices:
        """All tasks, those that the agent has learnt first."""
        names = task_names()
        learnt = [name for name in self.session.learnt if name in names]
        others = [(name, name) for name in names if name not in learnt]
        return [(f"{name} · learnt", name) for name in learnt] + others

    def _contexts(self) -> Choices:
        most, chosen = self.session.agent.model.config.max_timesteps // 2, self.session.context
        lengths = [k for k in CONTEXTS if k <= most]
        if chosen is not None and chosen not in lengths:
            lengths.append(chosen)
        return [("all that fits", ALL), *((f"{k} timesteps", k) for k in lengths)]

    def _changed(self, name: str) -> Callable[[dict], None]:
        def change(event: dict) -> None:
            if not self.syncing:
                self.calls["choose"](**{name: None if event["new"] == ALL else event["new"]})
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


def _tree(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    """A widget and all within it, the innermost first."""
    for child in getattr(widget, "children", ()):
        yield from _tree(child)
    yield widget


def _row(parts: Sequence[widgets.Widget]) -> widgets.Box:
    row = widgets.Box(parts)
    row.add_class("jl-row")
    return row


def _width(width: str) -> widgets.Layout:
    return widgets.Layout(width=width)


def _button(name: str, action: Callable[[], None]) -> widgets.Button:
    icon, tooltip = BUTTONS[name]
    small = name in ("Slower", "Faster")
    look = dict(icon=icon, tooltip=tooltip, layout=_width("36px" if small else "auto"))
    button = widgets.Button(description="" if small else name, **look)
    button.button_style = "success" if name == "Play" else ""
    button.on_click(lambda _: action())
    button.add_class("jl-do-" + name.lower().replace(" ", "-"))
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
        "layout": _width("250px"),
        "style": {"description_width": "90px"},
    }
