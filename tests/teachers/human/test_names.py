"""What actions and numbers are called."""

import numpy as np

from jatlab.tasks import get_task, make_env
from jatlab.teachers.human.names import action_names, actions_of, observations_of


def test_meta_world_has_a_name_for_each_of_its_39_numbers():
    names = observations_of(get_task("metaworld-reach"))
    assert len(names) == len(set(names)) == 39
    assert names[:5] == ["hand x", "hand y", "hand z", "gripper", "object x"]
    assert names[18] == "hand x, before" and names[36:] == ["goal x", "goal y", "goal z"]


def test_names_stand_where_the_numbers_are():
    """The hand's place is first; a moment later it is where it was before."""
    env = make_env("metaworld-reach", render_mode=None)
    names = observations_of(env.task)
    first = env.reset(seed=0)[0]["continuous_observation"]
    later = env.step(np.ones(4, np.float32))[0]["continuous_observation"]
    env.close()
    now, before = names.index("hand x"), names.index("hand x, before")
    assert later[before] == first[now]


def test_other_numbers_have_no_names_yet():
    assert observations_of(get_task("mujoco-ant")) == []
    assert actions_of(get_task("mujoco-hopper")) == ["a0", "a1", "a2"]
    assert actions_of(get_task("babyai-go-to-obj"))[2] == "forward"


def test_games_name_their_own_actions():
    env = make_env("atari-pong", render_mode=None)
    assert action_names(env)[:2] == ["noop", "fire"]
    env.close()
