"""The ablations' tasks: a memory test, and known tasks with other time or fewer missions."""

import re

import numpy as np
import pytest

from jatlab.data.recording.playing import EpisodePlayer
from jatlab.experiments.ablations.tasks import RECALL_STEPS, register_all, score
from jatlab.experiments.recipes.splits import find_split
from jatlab.tasks import make_env, normalise


@pytest.fixture(autouse=True)
def known():
    register_all()


def test_recall_is_solved_by_its_teacher_and_by_nobody_else():
    outcome, episode = EpisodePlayer("recall").play(seed=5, timeout=10)
    assert outcome.total == RECALL_STEPS == outcome.length
    cues = episode["continuous_observations"][:, :4]
    assert cues[0].sum() == 1 and cues[1:].sum() == 0
    assert len(set(episode["discrete_actions"])) == 1
    assert score("recall", [RECALL_STEPS, RECALL_STEPS / 4]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("task", "steps"), [("reach-by-2", 200), ("reach-every-4", 25), ("reach-every-8", 13)]
)
def test_finer_and_coarser_time_is_the_same_task(task, steps):
    outcome, _ = EpisodePlayer(task).play(seed=1, timeout=60)
    assert outcome.length == steps and outcome.success
    assert score(task, [outcome.total])[0] == normalise("metaworld-reach", [outcome.total])[0] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("frames", [2, 8])
def test_a_game_with_longer_decisions_is_the_same_game(frames):
    """As many frames pass, and the memory of four frames ago is known.

    The teacher plays far above random (247).
    """
    task = f"mspacman-{frames}-frames"
    outcome, episode = EpisodePlayer(task).play(seed=3, timeout=60)
    assert outcome.total > 500 and episode["image_observations"].shape[1:] == (4, 84, 84)
    assert score(task, [outcome.total])[0] == normalise("atari-mspacman", [outcome.total])[0]
    env = make_env(task, render_mode=None)
    env.reset(seed=0)
    console = env.unwrapped.ale
    before = console.getFrameNumber()
    env.step(0)
    assert console.getFrameNumber() - before == frames
    memories = env.get_wrapper_attr("memories")
    assert len(memories) == min(frames, 4) + 1
    assert np.array_equal(memories[-1], console.getRAM())


def test_boxes_are_fetched_that_were_held_out():
    """The split verb-object never shows these missions; pickup-dist has others as well."""
    pattern = find_split("verb-object").missions[0]
    missions = {}
    for task in ("pickup-box", "babyai-pickup-dist"):
        env = make_env(task, render_mode=None)
        missions[task] = [env.reset(seed=seed)[0]["text_observation"] for seed in range(12)]
        assert env.reset(seed=3)[0]["text_observation"] == missions[task][3]
    boxes = [bool(re.search(pattern, mission)) for mission in missions["pickup-box"]]
    others = [bool(re.search(pattern, mission)) for mission in missions["babyai-pickup-dist"]]
    assert all(boxes) and not all(others)
    outcome, _ = EpisodePlayer("pickup-box").play(seed=4, timeout=60)
    [scored] = score("pickup-box", [outcome.total])
    assert outcome.success and scored == normalise("babyai-pickup-dist", [outcome.total])[0] > 0.5


def test_reach_itself_is_as_long_as_ever():
    env = make_env("metaworld-reach", render_mode=None)
    env.reset(seed=0)
    ends = [env.step(np.zeros(4))[3] for _ in range(100)]
    assert ends == [False] * 99 + [True]
