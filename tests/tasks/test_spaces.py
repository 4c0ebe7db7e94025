"""Which spaces of own environments are served, and how; the others are refused by name."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from jatlab.agents.agent import Agent
from jatlab.agents.rollout import RandomAgent, rollout
from jatlab.data.episodes import read_episodes
from jatlab.data.recording.record import record
from jatlab.tasks import Task, make_env, register
from jatlab.teachers.base import RandomTeacher
from tests.support.odd_tasks import own_task

NAME = "odd-spaces"


class Echo(gym.Env):
    """Keeps the actions that it is given, four in an episode."""

    observation_space = spaces.Box(-9, 9, (2,), np.float32)

    def __init__(self, actions, observations=None):
        self.action_space = actions
        self.observation_space = observations or self.observation_space

    def reset(self, *, seed=None, options=None):
        self.taken = []
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.taken.append(action)
        return np.zeros(2, np.float32), 0.0, len(self.taken) == 4, False, {}


def task(action, size, observation="continuous", values=2):
    return Task(NAME, "odd", None, None, observation, values, action, size)


def echo(space, action, size):
    return own_task(NAME, ("continuous", 2, action, size), lambda: Echo(space), RandomTeacher)


@pytest.mark.parametrize(
    ("space", "size", "taken"),
    [
        (spaces.Discrete(3, start=1), 3, [1, 2, 3]),
        (spaces.Discrete(3, start=-1), 3, [-1, 0, 1]),
        (spaces.MultiDiscrete([3, 2]), 6, [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]]),
        (spaces.MultiDiscrete([2, 2], start=[5, -1]), 4, [[5, -1], [5, 0], [6, -1], [6, 0]]),
        (spaces.MultiDiscrete([[2, 1]]), 2, [[[0, 0]], [[1, 0]]]),
        (spaces.MultiBinary(2), 4, [[0, 0], [0, 1], [1, 0], [1, 1]]),
    ],
)
def test_choices_are_numbered_from_0(space, size, taken):
    with echo(space, "discrete", size):
        env = make_env(NAME)
        assert env.action_space == spaces.Discrete(size)
        env.reset()
        for number in range(size):
            env.step(number)
        found = env.unwrapped.taken
        assert [np.asarray(action).tolist() for action in found] == taken
        assert all(space.contains(action) for action in found)
        with pytest.raises(ValueError, match=f"an integer from 0 to {size - 1} as action"):
            env.step(size)


@pytest.mark.parametrize("shape", [(2, 2), (), (1, 3, 1)])
def test_boxes_of_any_shape_get_their_shape(shape):
    low = -np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)
    box = spaces.Box(low, np.float32(9), dtype=np.float32)
    size = int(np.prod(shape))
    with echo(box, "continuous", size):
        env = make_env(NAME)
        env.reset()
        assert env.action_space.shape == (size,)
        assert env.action_space.low.tolist() == box.low.reshape(-1).tolist()
        vector = np.linspace(-0.5, 0.5, size, dtype=np.float32)
        env.step(vector)
        assert box.contains(env.unwrapped.taken[0])
        np.testing.assert_array_equal(env.unwrapped.taken[0], vector.reshape(shape))


@pytest.mark.parametrize(
    ("space", "action", "size"),
    [
        (spaces.Discrete(3, start=7), "discrete", 3),
        (spaces.MultiDiscrete([3, 2]), "discrete", 6),
        (spaces.MultiBinary(3), "discrete", 8),
        (spaces.Box(-1, 1, (2, 2), np.float32), "continuous", 4),
        (spaces.Box(-1, 1, (2,), np.float64), "continuous", 2),
    ],
)
def test_a_served_space_is_played_and_recorded(space, action, size, tmp_path):
    with echo(space, action, size) as own:
        for agent in (RandomAgent(), Agent.untrained("nano")):
            env = make_env(NAME)
            played = rollout(agent, env, seed=0)[f"{action}_actions"]
            shape = (4, size) if action == "continuous" else (4,)
            assert played.shape == shape
            if action == "discrete":
                assert all(space.contains(taken) for taken in env.unwrapped.taken)
        record(NAME, tmp_path, 2, workers=0, noise=0.5, progress=False)
        for episode in read_episodes(tmp_path / NAME / "train", own):
            assert episode[f"{action}_actions"].shape == shape


@pytest.mark.parametrize(
    ("space", "named"),
    [
        (spaces.Box(0, 5, (2,), np.int64), "Box"),
        (spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)]), "Tuple"),
        (spaces.Dict({"a": spaces.Discrete(2)}), "Dict"),
        (spaces.Text(8), "Text"),
        (spaces.Sequence(spaces.Discrete(2)), "Sequence"),
    ],
)
@pytest.mark.parametrize("action", ["discrete", "continuous"])
def test_other_spaces_are_refused_when_registered(space, named, action):
    message = rf"odd-spaces: the environment takes actions of {named}\(.*ActionWrapper"
    with pytest.raises(ValueError, match=message), echo(space, action, 2):
        pass


@pytest.mark.parametrize(
    ("space", "action", "size", "message"),
    [
        (spaces.MultiDiscrete([3, 2]), "continuous", 2, "action='discrete', action_size=6"),
        (spaces.MultiBinary(4), "continuous", 4, "action='discrete', action_size=16"),
        (spaces.Discrete(4, start=1), "discrete", 5, "action='discrete', action_size=4"),
        (spaces.Box(-1, 1, (2, 2)), "continuous", 2, "action='continuous', action_size=4"),
        (spaces.MultiBinary(17), "discrete", 2, "131,072 combinations, .* at most 65,536"),
    ],
)
def test_another_size_is_refused_and_the_right_one_named(space, action, size, message):
    with pytest.raises(ValueError, match=message), echo(space, action, size):
        pass


GRID = spaces.MultiDiscrete([8] * 148)
FRAMES_LAST = spaces.Box(0, 255, (84, 84, 4), np.uint8)


@pytest.mark.parametrize(
    ("kind", "size", "space", "message"),
    [
        ("image", 28224, {"image_observation": FRAMES_LAST}, r"expected \(4, 84, 84\)"),
        ("discrete", 148, {"discrete_observation": GRID}, "its mission, a string"),
        (
            "discrete",
            148,
            {"discrete_observation": spaces.Box(0, 1, (148,))},
            "float32 in the environment, expected integers",
        ),
        (
            "continuous",
            4,
            {"continuous_observation": spaces.Box(0, 1, (2, 2))},
            r"expected \(4,\)",
        ),
        ("continuous", 2, spaces.Discrete(2), r"it observes Discrete\(2\)"),
    ],
)
def test_observations_of_another_form_are_refused(kind, size, space, message):
    observed = spaces.Dict(space) if isinstance(space, dict) else space
    own = task("discrete", 2, kind, size)
    with pytest.raises(ValueError, match=message):
        register(own, lambda task, render_mode=None: Echo(spaces.Discrete(2), observed))


def test_unchecked_tasks_are_refused_when_they_are_made():
    with own_task(NAME, ("continuous", 2, "discrete", 2), lambda: Echo(spaces.Discrete(2))):
        register(task("discrete", 3), lambda task, render_mode=None: Echo(spaces.Text(3)), False)
        with pytest.raises(ValueError, match="takes actions of Text"):
            make_env(NAME)
        register(task("discrete", 3), lambda task, render_mode=None: None, check=False)
        with pytest.raises(ValueError, match="must return a gymnasium.Env, it returned None"):
            make_env(NAME)


def test_an_agent_refuses_more_choices_than_it_has_words():
    message = "5,000 choices, .* a vocabulary of 3,072"
    with echo(spaces.Discrete(5000), "discrete", 5000), pytest.raises(ValueError, match=message):
        Agent.untrained("nano").reset(1, NAME)
