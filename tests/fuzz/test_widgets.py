"""What a reader, a script or a damaged page may give the player: choices, actions and values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traitlets import TraitError

from jatlab.model.memory import POLICIES
from jatlab.viz.player.app import Player
from jatlab.viz.player.controls import Controls
from tests.support.fuzzing import JUNK, assert_sentence, fuzz, outcome
from tests.support.little_tasks import make_agent

AGENT = make_agent(max_continuous_size=48)
NAMES = [
    "task", "seed", "who", "beside", "context", "policy", "temperature", "speed", "endless",
    "layer", "head", "index", "colour",
]  # fmt: skip
LIKELY = st.sampled_from(
    ["babyai-open-door", "metaworld-reach", "python-docs", "agent", "teacher", "random", "you"]
    + ["nobody", *POLICIES, None, True, 0, 1, 2, 8, 64, -1, 0.5, 1e9, math.nan]
)
FIELDS = st.dictionaries(st.sampled_from(NAMES), LIKELY | JUNK, min_size=1, max_size=3)


@pytest.fixture(scope="module")
def player():
    """Of an untrained agent; each case leaves it as it can."""
    with Player(AGENT, "babyai-go-to-obj") as player:
        yield player


def state(player: Player) -> dict:
    """All that can be chosen, as it is."""
    return {name: getattr(player, name) for name in NAMES[:-1]}


def is_alive(player: Player) -> None:
    """Whatever came before, a sane choice begins an episode that can be played."""
    player.choose(task="babyai-go-to-obj", who="agent", beside=None, context=None, seed=7)
    player.advance(1)
    assert player.watch.length == 1 and player.picture.shape == (560, 944, 3)


@fuzz(30)
@given(choices=FIELDS)
def test_choices_are_taken_whole_or_refused(player, choices):
    before = state(player)
    kind, _ = outcome("widgets", lambda: player.choose(**choices))
    if kind == "refused":
        assert repr(state(player)) == repr(before)
    else:
        assert {name: getattr(player, name) for name in choices} == choices
        assert math.isfinite(player.temperature) and 0 < player.speed <= 1000
        assert isinstance(player.seed, int) and player.policy in POLICIES
    is_alive(player)


@fuzz(20)
@given(data=st.data())
def test_values_from_a_page_are_taken_or_refused(player, data):
    """A page sets a widget's `value` or `index` by a message; ipywidgets checks the types."""
    assert isinstance(player.controls, Controls)
    name = data.draw(st.sampled_from(sorted(player.controls.menus)))
    widget = player.controls.menus[name]
    field = data.draw(st.sampled_from(["value", "index"]))
    value = data.draw(LIKELY | JUNK)
    outcome(
        "widgets",
        lambda: widget.set_state({field: value}),
        refusals=(ValueError, OSError, TraitError, TypeError),
    )
    assert_shown(player)
    is_alive(player)


def assert_shown(player: Player) -> None:
    """What stands beneath the buttons is a sentence."""
    said = player.controls.status.value
    assert said == "" or len(said) > 5 and "Traceback" not in said


@fuzz(20)
@given(action=JUNK | st.sampled_from(["left", "right", "forward", "", "pick up"]))
def test_actions_are_done_or_refused(player, action):
    player.choose(task="babyai-go-to-obj", who="you", beside=None, seed=7)
    kind, _ = outcome("widgets", player.act, action)
    names = player.watch.pad.names
    assert (kind == "right") == (isinstance(action, str) and action in names)
    assert player.watch.length == (kind == "right")


@fuzz(20)
@given(timesteps=JUNK | st.integers(-5, 30))
def test_timesteps_are_whole_numbers(player, timesteps):
    player.choose(task="babyai-go-to-obj", who="random", beside=None, seed=7)
    kind, said = outcome("widgets", player.advance, timesteps)
    if kind == "refused":
        assert_sentence(said)
        assert player.watch.length == 0
