"""You as the teacher, in a terminal: the frame in coloured characters, and a key for each action.

Without a terminal (a pipe, a test) each line of the input names a key or an action.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import numpy as np

from jatlab.tasks.env import task_of
from jatlab.tasks.frames import draw, fitted
from jatlab.tasks.task import Action, Observation
from jatlab.teachers.base import Teacher, TeacherFailed
from jatlab.teachers.human.keys import Pad

if TYPE_CHECKING:
    import gymnasium as gym

COLUMNS = 64  # characters of a frame's width
ARROWS = {"A": "ArrowUp", "B": "ArrowDown", "C": "ArrowRight", "D": "ArrowLeft"}
SHORT = {"ArrowUp": "↑", "ArrowDown": "↓", "ArrowLeft": "←", "ArrowRight": "→"}
GIVE_UP, ESCAPE, INTERRUPT = "Q", "\x1b", "\x03"
CLEAR = "\x1b[H\x1b[2J"


class HumanTeacher(Teacher):
    """Asks whoever sits at the terminal for every action.

    Q gives an episode up, Ctrl-C ends the recording and keeps the finished episodes.

    Args:
        source: Where keys come from; standard input unless given.
        target: Where the frame is drawn; standard output unless given.
    """

    slowness = 1000  # a person may think for as long as she likes

    def __init__(self, source: TextIO | None = None, target: TextIO | None = None) -> None:
        self.source, self.target = source or sys.stdin, target or sys.stdout

    def reset(self, env: gym.Env, seed: int | None = None) -> None:
        """Begin an episode; its frames are drawn if the environment can draw."""
        self.env, self.steps, self.seed = env, 0, seed or 0
        self.pad = Pad.of(env)

    def act(self, observation: Observation, executed: Action | None = None) -> Action:
        """Draw what is seen, and wait for a key that stands for an action."""
        self._draw(observation)
        self.steps += 1
        while True:
            key = self._key()
            if key == GIVE_UP:
                raise TeacherFailed("given up")
            name = self.pad.keys.get(key, key)
            if name in self.pad.names:
                return self.pad.action(name)

    def _draw(self, observation: Observation) -> None:
        legend = "  ".join(f"{SHORT.get(key, key)} {name}" for key, name in self.pad.keys.items())
        lines = [
            f"{task_of(self.env).name}, seed {self.seed}, timestep {self.steps}",
            observation.get("text_observation", ""),
            self._picture(),
            f"{legend}  Q give up  Ctrl-C end",
        ]
        start = CLEAR if self.target.isatty() else ""
        print(start + "\n".join(line for line in lines if line), file=self.target, flush=True)

    def _picture(self) -> str:
        try:
            return characters(draw(self.env.render))
        except ValueError:  # it has no picture; the mission and the keys are all there is
            return ""

    def _key(self) -> str:
        if not self.source.isatty():
            line = self.source.readline()
            if not line:
                raise KeyboardInterrupt  # the input is over, as after Ctrl-C
            return line.strip()
        with _unbuffered(self.source):
            return _read_key(self.source)


def characters(frame: np.ndarray, columns: int = COLUMNS) -> str:
    """A frame, uint8 (h, w, 3), in coloured half blocks, two pixels a character."""
    rows = max(1, round(columns * frame.shape[0] / frame.shape[1] / 2))
    small = fitted(frame, 2 * rows, columns)
    lines = []
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        cells = [
            f"\x1b[38;2;{a[0]};{a[1]};{a[2]};48;2;{b[0]};{b[1]};{b[2]}m▀"
            for a, b in zip(upper.tolist(), lower.tolist(), strict=True)
        ]
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)


def _read_key(source: TextIO) -> str:
    """One key as browsers call it; an arrow arrives as three characters."""
    key = source.read(1)
    if key == INTERRUPT or key == "":
        raise KeyboardInterrupt
    if key != ESCAPE:
        return key
    source.read(1)  # the bracket
    return ARROWS.get(source.read(1), "")


@contextmanager
def _unbuffered(source: TextIO) -> Iterator[None]:
    """Let keys through at once, without Enter; where that is unknown, Enter is needed."""
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield
        return
    before = termios.tcgetattr(source)
    tty.setcbreak(source, termios.TCSANOW)  # keeps keys that were pressed meanwhile
    try:
        yield
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, before)
