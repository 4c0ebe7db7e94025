"""Pictures that every machine can make, with words that are true of them: what an agent sees in a
BabyAI level, captioned and asked about.

A scene is the agent's own view of 7 x 7 cells, drawn by MiniGrid at 16 pixels a cell, so that a
patch of the model is a cell. Level, placement of the agent and open doors are drawn from the
scene's seed; the words are derived from the grid behind the picture. Whether a view belongs to
training or to testing is decided by its own digest: no view that is asked about in a test can have
occurred in training, whatever the seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import count
from zlib import crc32

import numpy as np

SIDE, CELL = 7, 16  # cells of the view, pixels of a cell
MIDDLE, NEAREST = 3, 6  # the agent's column and row; it looks towards row 0
FIRST_TEST_SEED = 1_000_000
TEST_ONE_IN = 8  # views
MIN_THINGS = 2  # in view, or there is nothing to talk about
PLACEMENTS = 12  # tried in one level before another is drawn
OPENED = 0.3  # share of doors that stand open
KINDS = {4: "door", 5: "key", 6: "ball", 7: "box"}  # of the grid's first integer
PLURALS = {"door": "doors", "key": "keys", "ball": "balls", "box": "boxes"}
COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
STATES = ("open", "closed", "locked")
TOLD = 5  # things that a caption tells of


@dataclass(frozen=True)
class Thing:
    """What stands in a cell of the view: its place in cells ahead of the agent, and to its right
    (negative: left).
    """

    kind: str
    colour: str
    state: str
    right: int
    ahead: int

    @property
    def name(self) -> str:
        return f"{self.colour} {self.kind}"

    @property
    def side(self) -> str:
        return "ahead" if self.right == 0 else "right" if self.right > 0 else "left"


@dataclass(frozen=True)
class Scene:
    """``picture`` (112, 112, 3) uint8; ``view`` (7, 7, 3) uint8, the cells behind it: column, row,
    then object, colour, state (0 0 0: unseen).
    """

    picture: np.ndarray
    view: np.ndarray

    @property
    def things(self) -> list[Thing]:
        """Doors, keys, balls and boxes in view, the nearest first, from left to right."""
        cells = [
            (x, y, *map(int, self.view[x, y]))
            for x in range(SIDE)
            for y in range(SIDE)
            if int(self.view[x, y, 0]) in KINDS and (x, y) != (MIDDLE, NEAREST)
        ]
        found = [
            Thing(KINDS[kind], COLOURS[colour], STATES[state], x - MIDDLE, NEAREST - y)
            for x, y, kind, colour, state in cells
        ]
        return sorted(found, key=lambda t: (t.ahead + abs(t.right), t.right))


def draw_scene(seed: int) -> Scene:
    """The scene of this seed: one of training below 1,000,000, one of testing from there on. Raises
    ImportError without MiniGrid.
    """
    rng = np.random.default_rng(seed)
    for number in count(
        seed
    ):  # a level that offers no such view (one object, no door) passes the seed on to the next
        env = _level(number % len(_levels()))
        env.reset(seed=seed)
        _open_doors(env, rng)
        for _ in range(PLACEMENTS):
            _place_agent(env, rng)
            grid, seen = env.gen_obs_grid()
            scene = Scene(np.empty(0), grid.encode(seen))
            if (
                is_test_view(scene.view) == (seed >= FIRST_TEST_SEED)
                and len(scene.things) >= MIN_THINGS
            ):
                return Scene(grid.render(CELL, (MIDDLE, NEAREST), 3, seen), scene.view)


def is_test_view(view: np.ndarray) -> bool:
    """Whether a view is kept for testing: one in eight, by its content."""
    return crc32(view.tobytes()) % TEST_ONE_IN == 0


@cache
def _levels() -> list[str]:
    from jatlab.tasks import task_names

    return task_names("babyai")


@cache
def _level(number: int):
    """The environment of a level, made once in a process."""
    from jatlab.tasks import get_task
    from jatlab.tasks.babyai import make

    return make(get_task(_levels()[number])).unwrapped


def _open_doors(env, rng: np.random.Generator) -> None:
    for cell in env.grid.grid:
        if cell is not None and cell.type == "door" and rng.random() < OPENED:
            cell.is_open, cell.is_locked = True, False


def _place_agent(env, rng: np.random.Generator) -> None:
    free = [i for i, cell in enumerate(env.grid.grid) if cell is None]
    place = free[rng.integers(len(free))]
    env.agent_pos, env.agent_dir = (place % env.width, place // env.width), int(rng.integers(4))


# --- words
# -------------------------------------------------------------------------------------------------------------------


def caption(scene: Scene) -> str:
    """What is in view and where, the nearest first: "a red ball 2 ahead and 1 left, a locked blue
    door 3 right.".
    """
    things = scene.things
    told = [f"{_with_state(thing)} {_place(thing)}" for thing in things[:TOLD]]
    more = len(things) - len(told)
    return ", ".join(told) + (f", and {more} more." if more else ".")


def _with_state(thing: Thing) -> str:
    words = f"{thing.state} {thing.name}" if thing.kind == "door" else thing.name
    return f"an {words}" if words.startswith("o") else f"a {words}"


def _place(thing: Thing) -> str:
    ahead = [f"{thing.ahead} ahead"] if thing.ahead else []
    return " and ".join(ahead + ([f"{abs(thing.right)} {thing.side}"] if thing.right else []))


def questions(scene: Scene, rng: np.random.Generator, most: int) -> list[tuple[str, str]]:
    """Up to ``most`` different questions with their answers, of as many types as there are. Each
    has one true answer.

    No thing is spoken of twice: what stands in one question would give away the answer to another,
    and nobody would have to look.
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


Asked = tuple[str, str, Thing | None] | None  # question, answer, the thing spoken of


def _ask_colour(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    thing = _one(scene.things, free, rng, lambda t: t.kind)
    return thing and (f"what colour is the {thing.kind}?", thing.colour, thing)


def _ask_thing(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    thing = _one(scene.things, free, rng, lambda t: t.colour)
    return thing and (f"what is the {thing.colour} thing?", thing.kind, thing)


def _ask_whether(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    """Half of the answers are no, and then colour and kind are in view wherever they can be, only
    not in one thing.
    """
    if rng.random() < 0.5:
        thing = _any(free, rng)
        return f"is there a {thing.name}?", "yes", thing
    names = {thing.name for thing in scene.things}
    near = sorted({f"{a.colour} {b.kind}" for a in scene.things for b in scene.things} - names)
    absent = near or sorted({f"{colour} {kind}" for colour in COLOURS for kind in PLURALS} - names)
    return f"is there a {_any(absent, rng)}?", "no", None


def _ask_number(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    """Every number that some kind or colour has is as likely as the others."""
    counts = {PLURALS[kind]: sum(t.kind == kind for t in scene.things) for kind in PLURALS}
    counts |= {
        f"{colour} things": sum(t.colour == colour for t in scene.things) for colour in COLOURS
    }
    number = _any(sorted(set(counts.values())), rng)
    return (
        f"how many {_any([name for name, n in counts.items() if n == number], rng)} are there?",
        str(number),
        None,
    )


def _ask_side(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    thing = _one(scene.things, free, rng, lambda t: t.name)
    return thing and (f"where is the {thing.name}?", thing.side, thing)


def _ask_distance(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    thing = _one(scene.things, free, rng, lambda t: t.name)
    return thing and (f"how far ahead is the {thing.name}?", str(thing.ahead), thing)


def _ask_front(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    """Nothing and walls are what is mostly in front: they are asked about less often."""
    before = [thing for thing in scene.things if (thing.right, thing.ahead) == (0, 1)]
    if before:
        return ("what is in front?", before[0].name, before[0]) if before[0] in free else None
    wall = scene.view[MIDDLE, NEAREST - 1, 0] == 2
    return (
        ("what is in front?", "wall" if wall else "nothing", None) if rng.random() < 0.2 else None
    )


def _ask_state(scene: Scene, free: list[Thing], rng: np.random.Generator) -> Asked:
    thing = _one([t for t in scene.things if t.kind == "door"], free, rng, lambda t: t.name)
    return thing and (f"is the {thing.name} open, closed or locked?", thing.state, thing)


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
TYPES = (  # how a question begins, and what it is called
    ("what colour", "colour"), ("what is the", "thing"), ("is there", "whether"), ("how many", "number"), ("where", "side"), ("how far", "distance"),
    ("what is in front", "front"), ("is the", "state"),
)  # fmt: skip


def question_type(question: str) -> str:
    """What a question asks for: one of ours by its beginning, any other by its first word."""
    lowered = question.lower()
    return next(
        (name for beginning, name in TYPES if lowered.startswith(beginning)),
        lowered.partition(" ")[0],
    )


def _any(items: list, rng: np.random.Generator):
    return items[rng.integers(len(items))]


def _one(things: list[Thing], free: list[Thing], rng: np.random.Generator, key) -> Thing | None:
    """One of the ``free`` things that shares its ``key`` with no other of all: "the key" must mean
    one key.
    """
    keys = [key(thing) for thing in things]
    unique = [thing for thing in things if keys.count(key(thing)) == 1 and thing in free]
    return _any(unique, rng) if unique else None
