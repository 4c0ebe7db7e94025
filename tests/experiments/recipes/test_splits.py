"""Splits are fixed, and what they hold out is not trained on."""

import re

import numpy as np
import pytest

from jatlab.data.storage import EpisodeStore
from jatlab.data.windows import WindowSource
from jatlab.experiments.recipes.mini import all_tasks
from jatlab.experiments.recipes.splits import SPLITS, find_split, hidden_missions, remaining
from jatlab.tasks import get_task, make_env


def test_ml45_is_left_out():
    names = remaining(all_tasks(), ["ml45", "pong"])
    assert len(all_tasks()) - len(names) == 6
    assert not {"metaworld-bin-picking", "metaworld-door-unlock", "atari-pong"} & set(names)
    assert remaining(all_tasks(), ["outside"]) == all_tasks()  # it never had them


def test_splits_hold_out_known_tasks():
    learnt = set(all_tasks())
    for name, split in SPLITS.items():
        assert name == "outside" or set(split.tasks) <= learnt
    with pytest.raises(ValueError, match="unknown split 'ml10'; there are ml45, bodies"):
        find_split("ml10")


@pytest.mark.parametrize(
    ("mission", "hidden"),
    [
        ("pick up the box", True),
        ("pick up a red box", True),
        ("go to the red box", False),
        ("pick up the red key", False),
        ("go to a box and pick up the ball", False),
    ],
)
def test_verb_and_object_are_held_out_together(mission, hidden):
    [pattern] = hidden_missions(["verb-object"])
    assert bool(re.search(pattern, mission)) is hidden


@pytest.mark.slow
def test_each_room_that_is_left_has_missions_to_show():
    """A recording of which every episode is hidden would end the training with an error."""
    hidden = ["level", "verb-object"]
    rooms = [name for name in remaining(all_tasks(), hidden) if name.startswith("babyai-")]
    assert len(rooms) == 37
    for name in rooms:
        env = make_env(name, render_mode=None)
        missions = (env.reset(seed=seed)[0]["text_observation"] for seed in range(20))
        visible = (
            not any(re.search(pattern, mission) for pattern in hidden_missions(hidden))
            for mission in missions
        )
        assert any(visible), name
        env.close()


def test_hidden_missions_leave_the_source():
    task = get_task("babyai-pickup")
    texts = ["pick up the red box", "pick up the red key", "pick up a box"]
    store = EpisodeStore.of_episodes(task, [episode(text) for text in texts])
    source = WindowSource(store, 4)
    assert source.without_missions([]) is source
    kept = source.without_missions(hidden_missions(["verb-object"]))
    assert kept.episodes.tolist() == [1] and kept.timesteps == 3
    with pytest.raises(ValueError, match="no episodes to train on"):
        source.without_missions(["pick up"])
    with pytest.raises(ValueError, match=r"without_missions: 'a \(' is no regular expression"):
        source.without_missions(["red", "a ("])


def episode(mission):
    """Three timesteps under one mission."""
    return {
        "discrete_observations": np.zeros((3, 148), np.int64),
        "text_observations": np.array([mission] * 3, object),
        "discrete_actions": np.zeros(3, np.int64),
        "rewards": np.zeros(3, np.float32),
    }
