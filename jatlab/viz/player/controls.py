"""The player's buttons, menus and sliders: plain ipywidgets (7 or 8), so that they work wherever
widgets do. Importing this needs ipywidgets.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager

import ipywidgets as widgets

from jatlab.model.memory import POLICIES
from jatlab.tasks import task_names
from jatlab.viz.player.canvas import WIDTH
from jatlab.viz.player.watching import who_plays

ALL = "all"  # what stands for None in a menu, where None means that nothing is chosen
SPEEDS, TEMPERATURES = (1, 60), (0.0, 3.0)  # timesteps a second; 0: always the likeliest action


class Controls:
    """The widgets of one `Player`. `show` brings them up to date; what the reader changes goes to
    the player's `choose` and its buttons' methods.
    """

    def __init__(self, player):
        self.player, self.syncing = player, False
        self.image = widgets.Image(
            format="jpeg",
            layout=widgets.Layout(width=f"{WIDTH}px", max_width="100%", height="auto"),
        )
        self.status = widgets.HTML()
        self.buttons = {
            "Play": self._button("Play", "play", player.play, "success"),
            "Pause": self._button("Pause", "pause", player.pause),
            "Step": self._button("Step", "step-forward", player.step),
            "Reset": self._button("Reset", "undo", player.reset),
        }
        self.menus = self._menus()
        self.box = widgets.VBox([*self._rows(), self.image, self.status])

    def show(self, picture: bytes, keep: bool = False) -> None:
        """Show a JPEG, and what the player now is; with `keep`, the sentence beneath stays."""
        player, watch = self.player, self.player.watch
        with self._sync():
            self.image.value = picture
            self.menus["seed"].value, self.menus["who"].value = player.seed, player.who
            look, last = self.menus["index"], watch.moments[-1].step
            look.max, look.min = max(last, 1), min(watch.moments[0].step, max(last, 1))
            look.value = last if player.index < 0 else player.index
        self.buttons["Play"].disabled, self.buttons["Pause"].disabled = (
            bool(player.playing),
            not player.playing,
        )
        self.buttons["Step"].disabled = watch.done
        if not keep:
            self.say(
                watch.ending
                + (
                    ". Play goes on with the next seed, Reset plays this one again."
                    if watch.ending
                    else ""
                )
            )

    def say(self, words: str) -> None:
        """Put a sentence beneath the picture."""
        self.status.value = words.replace("&", "&amp;").replace("<", "&lt;")

    def close(self) -> None:
        """Take all widgets away."""
        for widget in [*self.buttons.values(), *self.menus.values(), *self.box.children, self.box]:
            widget.close()

    def bundle(self) -> dict:
        """What a cell displays, by MIME type."""
        return {
            "application/vnd.jupyter.widget-view+json": {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self.box.model_id,
            }
        }

    def refresh(self) -> None:
        """Menus whose choices depend on the task."""
        with self._sync():
            self.menus["who"].options = who_plays(self.player.task)
            self.menus["who"].value = self.player.who

    # --- how
    # -----------------------------------------------------------------------------------------------------------------

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
        """One widget for each thing that `Player.choose` changes, which it does when its value
        changes.
        """
        player, config = self.player, self.player.agent.model.config
        learnt = [name for name in player.learnt if name in task_names()]
        tasks = [(f"{name} · learnt", name) for name in learnt] + [
            (name, name) for name in task_names() if name not in learnt
        ]
        layers = [("mean", ALL)] + [
            (f"{layer}: {kind}", layer) for layer, kind in enumerate(config.attention_layers)
        ]
        heads = [("mean", ALL)] + [(str(head), head) for head in range(config.num_heads)]
        memory = [("all that fits", ALL)] + [
            (f"{k} timesteps", k)
            for k in (2, 4, 8, 16, 32, 64, 128)
            if k <= config.max_timesteps // 2
        ]
        if player.context is not None and player.context not in dict(memory).values():
            memory.append((f"{player.context} timesteps", player.context))
        made = {
            "task": self._menu("Task", tasks, player.task, "330px"),
            "who": self._menu("Plays", who_plays(player.task), player.who, "200px"),
            "seed": widgets.BoundedIntText(
                player.seed,
                min=0,
                max=2**31 - 1,
                description="Seed",
                layout=widgets.Layout(width="190px"),
            ),
            "speed": self._slider(
                widgets.IntSlider, "Speed", round(player.speed), SPEEDS, 1, "timesteps a second"
            ),
            "temperature": self._slider(
                widgets.FloatSlider,
                "Temperature",
                player.temperature,
                TEMPERATURES,
                0.1,
                "0: always the likeliest action",
            ),
            "layer": self._menu("Layer", layers, player.layer, "190px"),
            "head": self._menu("Head", heads, player.head, "160px"),
            "context": self._menu("Remembers", memory, player.context, "220px"),
            "policy": self._menu("When full", list(POLICIES), player.policy, "220px"),
            "index": widgets.IntSlider(
                0, min=0, max=1, description="Look back", layout=widgets.Layout(width="620px")
            ),
        }
        for name, widget in made.items():
            widget.observe(self._changed(name), "value")
        return made

    def _changed(self, name: str) -> Callable:
        def change(event) -> None:
            if not self.syncing:
                self.player.choose(**{name: None if event["new"] == ALL else event["new"]})
                self.refresh()

        return change

    def _button(self, name: str, icon: str, action: Callable, style: str = "") -> widgets.Button:
        button = widgets.Button(
            description=name, icon=icon, button_style=style, layout=widgets.Layout(width="90px")
        )
        button.on_click(lambda _: action())
        return button

    @staticmethod
    def _menu(name: str, options: list, value, width: str) -> widgets.Dropdown:
        return widgets.Dropdown(
            options=options,
            value=ALL if value is None else value,
            description=name,
            layout=widgets.Layout(width=width),
        )

    @staticmethod
    def _slider(kind, name: str, value: float, limits: tuple, step: float, tooltip: str):
        low, high = limits
        look = {"layout": widgets.Layout(width="280px"), "style": {"description_width": "90px"}}
        slider = kind(
            min(max(value, low), high), min=low, max=high, step=step, description=name, **look
        )
        slider.tooltip = tooltip
        return slider

    @contextmanager
    def _sync(self):
        """Changes inside are the player's own, not the reader's."""
        self.syncing = True
        try:
            yield
        finally:
            self.syncing = False
