"""What every environment promises, on a few of each domain; the slow test takes all 157."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import jatlab
from jatlab.tasks import make_env
from tests.support.odd_tasks import own_task

FEW = [
    "atari-breakout",
    "babyai-go-to-local",
    "babyai-unlock",
    "metaworld-drawer-open",
    "metaworld-reach",
    "mujoco-pendulum",
    "mujoco-pusher",
]
DTYPES = {
    "continuous": {"continuous_observation": np.float32},
    "discrete": {"discrete_observation": np.int64, "text_observation": str},
    "image": {"image_observation": np.uint8},
}


def play(env, seed, steps=40, actions=0):
    """Observations and rewards of one episode under random actions: a flat list of arrays."""
    rng = np.random.default_rng(actions)
    observation, _ = env.reset(seed=seed)
    seen = [*observation.values()]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(random_action(env, rng))
        seen += [*observation.values(), reward]
        if terminated or truncated:
            break
    return seen


def random_action(env, rng):
    if env.task.action == "discrete":
        return int(rng.integers(env.task.action_size))
    return rng.uniform(env.action_space.low, env.action_space.high)


def dtypes(observation):
    return {key: getattr(value, "dtype", type(value)) for key, value in observation.items()}


def same(left, right):
    return len(left) == len(right) and all(map(np.array_equal, left, right))


@pytest.mark.parametrize("name", FEW)
def test_observations_have_the_published_form(name):
    env = make_env(name, seed=0)
    observation, _ = env.reset()
    for _ in range(3):
        assert env.observation_space.contains(observation)
        assert dtypes(observation) == DTYPES[env.task.observation]
        assert next(iter(observation.values())).size == env.task.observation_size
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert [type(value) for value in (reward, terminated, truncated)] == [float, bool, bool]
    env.close()


@pytest.mark.parametrize("name", FEW)
def test_the_seed_determines_the_episode(name):
    fresh, used = make_env(name), make_env(name)
    first = play(fresh, seed=7)
    play(used, seed=3, actions=1)
    used.reset()
    assert same(first, play(used, seed=7))
    assert not same(first, play(used, seed=8))
    fresh.close(), used.close()


def test_make_envs_seed_counts_for_the_first_reset_only():
    env = make_env("metaworld-reach", seed=11)
    first, second = (env.reset()[0]["continuous_observation"] for _ in range(2))
    seeded = make_env("metaworld-reach").reset(seed=11)[0]["continuous_observation"]
    np.testing.assert_array_equal(first, seeded)
    assert not np.array_equal(first, second)
    assert jatlab.make_env is make_env


DRAWN = ["atari-pong", "babyai-go-to-local", "metaworld-reach", "mujoco-ant"]


@pytest.mark.parametrize("name", DRAWN)
def test_rendering_gives_rgb_without_opengl(name, monkeypatch):
    monkeypatch.setenv("JATLAB_RENDERER", "painter")
    env = make_env(name, seed=0)
    env.reset()
    frame = env.render()
    assert frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) > 3, "the picture is empty"
    rng = np.random.default_rng(1)
    for _ in range(12):
        env.step(random_action(env, rng))
    assert not np.array_equal(frame, env.render())
    env.close()


def test_render_modes_and_options(monkeypatch):
    monkeypatch.setenv("JATLAB_RENDERER", "painter")
    env = make_env("mujoco-pendulum", render_mode=None)
    env.reset()
    assert env.render() is None
    small = make_env("mujoco-pendulum", size=64)
    small.reset()
    assert small.render().shape == (64, 64, 3)
    for size in ("big", 0, 64.5):
        with pytest.raises(ValueError, match=f"size is {size!r}: expected a whole number"):
            make_env("mujoco-pendulum", size=size)
    with pytest.raises(ValueError, match="render_mode is 'rgb_array' or None, not 'human'"):
        make_env("mujoco-pendulum", render_mode="human")
    message = "mujoco-pendulum has no option 'hide_goal'; it has camera, size"
    with pytest.raises(ValueError, match=message):
        make_env("mujoco-pendulum", hide_goal=True)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("metaworld-reach", [0.0, 0.0, 0.0]),
        ("metaworld-reach", [0.0, 0.0, 0.0, np.nan]),
        ("metaworld-reach", 1),
        ("metaworld-reach", "left"),
        ("metaworld-reach", {}),
        ("metaworld-reach", [[0.0, 0.0], [0.0]]),
        ("babyai-go-to-local", 7),
        ("babyai-go-to-local", -1),
        ("babyai-go-to-local", 1.5),
        ("babyai-go-to-local", np.array([0.0, 1.0])),
        ("babyai-go-to-local", None),
    ],
)
def test_an_action_that_does_not_fit_is_refused(name, wrong):
    env = make_env(name, seed=0)
    env.reset()
    with pytest.raises(ValueError, match=f"{name} takes .* as action, got"):
        env.step(wrong)


class Answers(gym.Env):
    """Returns what it is told to."""

    observation_space = gym.spaces.Box(-1, 1, (1,))
    action_space = gym.spaces.Discrete(2)
    begun, stepped = (np.zeros(1, np.float32), {}), None

    def reset(self, *, seed=None, options=None):
        return self.begun

    def step(self, action):
        return self.stepped


@pytest.fixture
def answers():
    with own_task("env-answers", ("continuous", 1, "discrete", 2), Answers):
        yield make_env("env-answers")


@pytest.mark.parametrize("wrong", [None, float("nan"), "no", 2, [True, False], []])
def test_an_end_that_is_neither_true_nor_false(answers, wrong):
    answers.reset()
    answers.unwrapped.stepped = (np.zeros(1, np.float32), 0.0, wrong, False, {})
    with pytest.raises(ValueError, match="as end of the episode: expected True or False"):
        answers.step(0)


@pytest.mark.parametrize("end", [True, 1, 1.0, np.bool_(True), np.array([True]), np.float32(1)])
def test_an_end_may_be_said_in_numpy(answers, end):
    answers.reset()
    answers.unwrapped.stepped = (np.zeros(1, np.float32), 0.0, end, False, {})
    assert answers.step(0)[2] is True


def test_an_environment_of_the_old_gym_is_told_apart(answers):
    """Its step returns four values, its reset the observation alone."""
    answers.reset()
    answers.unwrapped.stepped = (np.zeros(1, np.float32), 0.0, True, {})
    with pytest.raises(ValueError, match="returned 4 values: expected observation, reward, term"):
        answers.step(0)
    answers.unwrapped.begun = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match="returned one value: expected observation, info"):
        answers.reset()


def test_discrete_actions_may_be_numpy_or_torch_integers():
    import torch

    env = make_env("babyai-go-to-local", seed=0)
    expected = play_actions(env, [2, 1, 0])
    assert same(expected, play_actions(env, [np.int64(2), np.array([1]), torch.tensor(0)]))


def play_actions(env, actions):
    env.reset(seed=5)
    return [value for action in actions for value in env.step(action)[0].values()]


def test_babyai_flattens_direction_and_view():
    env = make_env("babyai-go-to-local", seed=4)
    observation, _ = env.reset()
    raw = env.unwrapped.gen_obs()
    grid = observation["discrete_observation"]
    assert grid[0] == raw["direction"]
    assert observation["text_observation"] == raw["mission"] == env.unwrapped.mission
    np.testing.assert_array_equal(grid[1:].reshape(7, 7, 3), raw["image"])


def test_babyai_generates_its_levels_in_silence():
    """Of these levels, several draws are rejected, each with a printed line in MiniGrid itself."""
    code = """
from minigrid.envs.babyai.core import roomgrid_level as level
import jatlab.tasks
rejected = []
level.RejectSampling.__init__ = lambda self, *words: rejected.append(words)
env = jatlab.tasks.make_env("babyai-pickup-loc")
for seed in range(60):
    env.reset(seed=seed)
assert rejected, "nothing was rejected: take other seeds"
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_babyai_says_whether_the_mission_was_carried_out():
    env = make_env("babyai-open-door", seed=0)
    env.reset()
    ends = []
    rng = np.random.default_rng(0)
    while len(set(ends)) < 2:
        _, reward, terminated, truncated, info = env.step(int(rng.integers(7)))
        assert info["success"] == (reward > 0)
        if terminated or truncated:
            ends.append(info["success"])
            env.reset()
    assert set(ends) == {True, False}


def test_metaworld_draws_goals_and_objects_and_shows_the_goal():
    env, hidden = make_env("metaworld-push"), make_env("metaworld-push", hide_goal=True)
    seen = np.array([env.reset(seed=seed)[0]["continuous_observation"] for seed in range(20)])
    objects, goals = seen[:, 4:7], seen[:, -3:]
    assert np.ptp(objects[:, 0]) > 0.1 and np.ptp(goals[:, 0]) > 0.1
    np.testing.assert_allclose(goals[-1], env.unwrapped._target_pos, atol=1e-6)
    masked = hidden.reset(seed=19)[0]["continuous_observation"]
    np.testing.assert_array_equal(masked[-3:], 0)
    np.testing.assert_array_equal(masked[:-3], seen[-1, :-3])
    stepped = [e.step(np.zeros(4))[0]["continuous_observation"][-3:] for e in (env, hidden)]
    np.testing.assert_allclose(stepped, [goals[-1], np.zeros(3)], atol=1e-6)


def test_metaworld_lasts_100_steps_and_remembers_success():
    env = make_env("metaworld-reach", seed=2)
    observation, _ = env.reset()
    flags = []
    for step in range(1, 101):
        values = observation["continuous_observation"]
        hand, goal = values[:3], values[-3:]
        towards = goal - hand if step < 60 else hand - goal  # reaches the goal, then leaves it
        observation, reward, terminated, truncated, info = env.step([*(25 * towards), 0])
        flags.append(info["success"])
        assert (terminated, truncated) == (False, step == 100)
    assert flags[-1] is True and flags[0] is False and flags == sorted(flags)
    env.reset()
    assert env.step(np.zeros(4))[4]["success"] is False


def test_metaworld_clips_actions_as_published():
    env, after = make_env("metaworld-reach"), []
    for size in (1.0, 5.0):
        env.reset(seed=1)
        after.append(env.step(np.full(4, size))[0]["continuous_observation"])
    np.testing.assert_array_equal(*after)


@pytest.mark.slow
def test_nothing_is_printed_or_warned_about():
    code = f"""
import warnings; warnings.simplefilter("error")
import jatlab.tasks
for name in {["atari-pong", "babyai-go-to", "metaworld-reach", "mujoco-ant", "mujoco-pusher"]}:
    env = jatlab.tasks.make_env(name, seed=0)
    env.reset()
    env.step(env.action_space.sample())
    env.close()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
