"""Pictures that every machine can make, with words that are true of them: scenes of BabyAI.

A scene is what an agent sees in a BabyAI level: a view of 7 x 7 cells, drawn by MiniGrid at 16
pixels a cell, so that a patch of the model is a cell. The scene's seed decides on the level, the
agent's place and the open doors. Captions, questions and answers are derived from the grid behind
the picture.

A view's digest decides whether it belongs to training or to testing. So no view of a test can
occur in training, whatever the seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar, cast
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from minigrid.minigrid_env import MiniGridEnv

SIDE, CELL = 7, 16  # cells of the view, pixels of a cell
MIDDLE, NEAREST = 3, 6  # the agent's column and row; it looks towards row 0
FIRST_TEST_SEED = 1_000_000
TEST_ONE_IN = 8  # views
MIN_THINGS = 2  # in view, or there is nothing to talk about
PLACEMENTS = 12  # tried in one level before another is drawn
OPENED = 0.3  # share of doors that are opened
KINDS = {4: "door", 5: "key", 6: "ball", 7: "box"}  # by the grid's first integer
PLURALS = {"door": "doors", "key": "keys", "ball": "balls", "box": "boxes"}
COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")  # by the grid's second integer
STATES = ("open", "closed", "locked")  # by the grid's third integer
WALL = 2  # of the grid's first integer
MAX_CAPTIONED = 5  # things that a caption names


@dataclass(frozen=True)
class Thing:
    """What stands in a cell of the view.

    Its place is in cells ahead of the agent, and to its right (negative: to its left).
    """

    kind: str
    colour: str
    state: str
    right: int
    ahead: int

    @property
    def name(self) -> str:
        """Colour and kind: "red ball"."""
        return f"{self.colour} {self.kind}"

    @property
    def side(self) -> str:
        """Where it is: "ahead", "right" or "left"."""
        if self.right == 0:
            return "ahead"
        return "right" if self.right > 0 else "left"


@dataclass(frozen=True)
class Scene:
    """A picture and the cells behind it.

    Attributes:
        picture: (112, 112, 3) uint8.
        view: (7, 7, 3) uint8, by column and row: object, colour, state (0 0 0: unseen).
    """

    picture: np.ndarray
    view: np.ndarray

    @property
    def things(self) -> list[Thing]:
        """Doors, keys, balls and boxes in view, the nearest first, then from left to right."""
        found = []
        for x in range(SIDE):
            for y in range(SIDE):
                kind, colour, state = map(int, self.view[x, y])
                if kind in KINDS and (x, y) != (MIDDLE, NEAREST):
                    place = x - MIDDLE, NEAREST - y
                    found.append(Thing(KINDS[kind], COLOURS[colour], STATES[state], *place))
        return sorted(found, key=lambda thing: (thing.ahead + abs(thing.right), thing.right))


def draw_scene(seed: int) -> Scene:
    """The scene of this seed: one of training below 1,000,000, one of testing from there on.

    Raises ImportError without MiniGrid.
    """
    rng, number = np.random.default_rng(seed), seed
    while True:
        env = _level(number % len(_levels()))
        env.reset(seed=seed)
        _open_doors(env, rng)
        for _ in range(PLACEMENTS):
            _place_agent(env, rng)
            grid, seen = env.gen_obs_grid()
            scene = Scene(np.empty(0), grid.encode(seen))
            is_wanted = is_test_view(scene.view) == (seed >= FIRST_TEST_SEED)
            if is_wanted and len(scene.things) >= MIN_THINGS:
                return Scene(grid.render(CELL, (MIDDLE, NEAREST), 3, seen), scene.view)
        number += 1  # a level may have no such view: one object, no door


def is_test_view(view: np.ndarray) -> bool:
    """Whether a view is kept for testing: one in eight, by its content."""
    return crc32(view.tobytes()) % TEST_ONE_IN == 0


@cache
def _levels() -> list[str]:
    from jatlab.tasks import task_names

    return task_names("babyai")


@cache
def _level(number: int) -> MiniGridEnv:
    """The environment of a level, made once in a process."""
    from jatlab.tasks import get_task
    from jatlab.tasks.babyai import make

    return cast("MiniGridEnv", make(get_task(_levels()[number])).unwrapped)


def _open_doors(env: MiniGridEnv, rng: np.random.Generator) -> None:
    from minigrid.core.world_object import Door

    for cell in env.grid.grid:
        if isinstance(cell, Door) and rng.random() < OPENED:
            cell.is_open, cell.is_locked = True, False


def _place_agent(env: MiniGridEnv, rng: np.random.Generator) -> None:
    free = [i for i, cell in enumerate(env.grid.grid) if cell is None]
    place = free[rng.integers(len(free))]
    env.agent_pos, env.agent_dir = (place % env.width, place // env.width), int(rng.integers(4))


# --- captions ---


def caption(scene: Scene) -> str:
    """What is in view and where, the nearest first.

    For example "a red ball 2 ahead and 1 left, a locked blue door 3 right.".
    """
    things = scene.things
    named = [f"{_with_state(thing)} {_place(thing)}" for thing in things[:MAX_CAPTIONED]]
    more = len(things) - len(named)
    return ", ".join(named) + (f", and {more} more." if more else ".")


def _with_state(thing: Thing) -> str:
    words = f"{thing.state} {thing.name}" if thing.kind == "door" else thing.name
    return f"an {words}" if words.startswith("o") else f"a {words}"


def _place(thing: Thing) -> str:
    ahead = [f"{thing.ahead} ahead"] if thing.ahead else []
    aside = [f"{abs(thing.right)} {thing.side}"] if thing.right else []
    return " and ".join(ahead + aside)


# --- questions ---

Item = TypeVar("Item")
Asked = tuple[str, str, Thing | None] | None  # question, answer, the thing spoken of


def questions(scene: Scene, rng: np.random.Generator, most: int) -> list[tuple[str, str]]:
    """Up to ``most`` different questions with their answers, of as many types as there are.

    Each has one true answer. No thing is spoken of twice: what one question names would give away
    the answer to another, and the picture would not be needed.
    """
    asked: dict[str, str] = {}
    free = scene.things  # not yet spoken of
    for _ in range(3):
        for number in rng.permutation(len(ASKED)):
            found = ASKED[number](scene, free, rng) if free and len(asked) < most else None
            if found:
                question, answer, thing = found
                asked.setdefault(question, answer)
                free = [other for other in free if other != thing]
    return list(asked.items())


def as_text(pairs: list[tuple[str, str]]) -> str:
    """Questions and answers as one text, in the published form, a line each."""
    return "\n".join(f"Q: {question} A: {answer}" for question, answer in pairs)


# --- one function for each type of question; None where the scene has no such question ---


def _ask_colour(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    thing = _draw_unique(scene.things, free, rng, lambda thing: thing.kind)
    return (f"what colour is the {thing.kind}?", thing.colour, thing) if thing else None


def _ask_thing(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    thing = _draw_unique(scene.things, free, rng, lambda thing: thing.colour)
    return (f"what is the {thing.colour} thing?", thing.kind, thing) if thing else None


def _ask_whether(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    """Half of the answers are no.

    Then colour and kind are both in view wherever possible, but not in one thing.
    """
    if rng.random() < 0.5:
        thing = _draw(free, rng)
        return f"is there a {thing.name}?", "yes", thing
    names = {thing.name for thing in scene.things}
    near = sorted({f"{a.colour} {b.kind}" for a in scene.things for b in scene.things} - names)
    absent = near or sorted({f"{colour} {kind}" for colour in COLOURS for kind in PLURALS} - names)
    return f"is there a {_draw(absent, rng)}?", "no", None


def _ask_number(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    """Every number that some kind or colour has is equally likely."""
    kinds = [thing.kind for thing in scene.things]
    colours = [thing.colour for thing in scene.things]
    counts = {PLURALS[kind]: kinds.count(kind) for kind in PLURALS}
    counts |= {f"{colour} things": colours.count(colour) for colour in COLOURS}
    number = _draw(sorted(set(counts.values())), rng)
    name = _draw([name for name, n in counts.items() if n == number], rng)
    return f"how many {name} are there?", str(number), None


def _ask_side(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    thing = _draw_unique(scene.things, free, rng, lambda thing: thing.name)
    return (f"where is the {thing.name}?", thing.side, thing) if thing else None


def _ask_distance(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    thing = _draw_unique(scene.things, free, rng, lambda thing: thing.name)
    return (f"how far ahead is the {thing.name}?", str(thing.ahead), thing) if thing else None


def _ask_front(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    """Mostly, nothing or a wall is in front: these answers are asked for less often."""
    before = [thing for thing in scene.things if (thing.right, thing.ahead) == (0, 1)]
    if before:
        return ("what is in front?", before[0].name, before[0]) if before[0] in free else None
    answer = "wall" if scene.view[MIDDLE, NEAREST - 1, 0] == WALL else "nothing"
    return ("what is in front?", answer, None) if rng.random() < 0.2 else None


def _ask_state(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    doors = [thing for thing in scene.things if thing.kind == "door"]
    thing = _draw_unique(doors, free, rng, lambda thing: thing.name)
    return (f"is the {thing.name} open, closed or locked?", thing.state, thing) if thing else None


ASKED = (
    _ask_colour,
    _ask_thing,
    _ask_whether,
    _ask_number,
    _ask_side,
    _ask_distance,
    _ask_front,
    _ask_state,
)
TYPES = (  # how a question begins, and what its type is called; the first that fits counts
    ("what colour", "colour"),
    ("what is the", "thing"),
    ("is there", "whether"),
    ("how many", "number"),
    ("where", "side"),
    ("how far", "distance"),
    ("what is in front", "front"),
    ("is the", "state"),
)


def question_type(question: str) -> str:
    """The type of a question: one of `TYPES` by its beginning, for any other its first word."""
    lowered = question.lower()
    for beginning, name in TYPES:
        if lowered.startswith(beginning):
            return name
    return lowered.partition(" ")[0]


def _draw(items: Sequence[Item], rng: np.random.Generator) -> Item:
    return items[int(rng.integers(len(items)))]


def _draw_unique(
    things: list[Thing],
    free: list[Thing],
    rng: np.random.Generator,
    key: Callable[[Thing], str],
) -> Thing | None:
    """One of the ``free`` things whose ``key`` no other thing has: "the key" must mean one key."""
    keys = [key(thing) for thing in things]
    unique = [thing for thing in things if keys.count(key(thing)) == 1 and thing in free]
    return _draw(unique, rng) if unique else None
