"""Rollout: environments in gymnasium's wrappers, and seeds of any kind of integer."""

import functools

import gymnasium as gym
import numpy as np
import pytest

from jatlab.agents.rollout import RandomAgent, rollout
from jatlab.cli import main
from jatlab.data.episodes import read_episodes
from jatlab.data.recording.record import record
from jatlab.evaluation.evaluate import evaluate
from jatlab.tasks import get_task, make_env
from jatlab.teachers.human.names import action_names
from jatlab.training.recipe import TrainConfig
from jatlab.viz.player.playback import play
from tests.support.little_tasks import GAME, GRID, PUSH, make_agent

made = functools.cache(make_env)  # an environment of each task is enough
WRAPPERS = [
    lambda env: gym.wrappers.TimeLimit(env, 5),
    gym.wrappers.OrderEnforcing,
    gym.wrappers.RecordEpisodeStatistics,
    lambda env: gym.wrappers.TransformReward(env, np.float32),
    lambda env: gym.wrappers.TimeLimit(gym.wrappers.PassiveEnvChecker(env), 5),
]


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_wrapped_environments_are_played(wrap):
    plain = rollout(RandomAgent(), make_env(PUSH), seed=1, max_steps=5)
    env = wrap(make_env(PUSH))
    wrapped = rollout(RandomAgent(), env, seed=1, max_steps=5)
    assert wrapped.keys() == plain.keys() and wrapped["return"] == 5.0
    for name in ("continuous_observations", "continuous_actions", "rewards"):
        np.testing.assert_array_equal(wrapped[name], plain[name])


def test_an_environment_without_a_task_is_refused_by_name():
    for env in (gym.make("CartPole-v1"), "CartPole-v1"):
        with pytest.raises(ValueError, match="CartPole-v1.* has no task: make it with .*make_env"):
            rollout(RandomAgent(), env)


NAMES = [
    GRID,
    GAME,
    "atari-pong",
    "babyai-go-to-obj",
    "metaworld-reach",
    "mujoco-pendulum",
    "mujoco-pusher",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array])
def test_seeds_may_be_numpys(name, kind):
    key, env = f"{get_task(name).observation}_observation", made(name)
    drawn = [env.reset(seed=seed)[0][key] for seed in (kind(7), 7)]
    fresh = make_env(name, seed=kind(7)).reset()[0][key]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], fresh)
    episode = rollout(RandomAgent(), env, seed=kind(7), max_steps=2)
    np.testing.assert_array_equal(episode[f"{key}s"][0], drawn[0])


@pytest.mark.parametrize("name", [PUSH, "metaworld-reach", "mujoco-pendulum", "babyai-go-to-obj"])
@pytest.mark.parametrize("seed", [-1, np.int64(-1), 1.5, np.float64(2), "3", float("nan")])
def test_other_seeds_are_refused_by_name(name, seed):
    message = f"^seed is {seed!r}: expected a whole number of at least 0".replace("(", r"\(")
    message = message.replace(")", r"\)")
    with pytest.raises(ValueError, match=message):
        make_env(name, seed=seed)
    with pytest.raises(ValueError, match=message):
        made(name).reset(seed=seed)
    with pytest.raises(ValueError, match=message):
        rollout(RandomAgent(), made(name), seed=seed)
    with pytest.raises(ValueError, match=message):
        play(RandomAgent(), name, seed)


def test_numpys_numbers_are_recorded_and_evaluated(tmp_path):
    how = dict(workers=0, progress=False)
    task, two = "metaworld-reach", np.int64(2)
    record(task, tmp_path / "numpy", two, seed=np.uint16(3), **how)
    record(task, tmp_path / "python", 2, seed=3, **how)
    files = [tmp_path / kind / task / "train/00000.parquet" for kind in ("numpy", "python")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert len(read_episodes(files[0], get_task(task))) == 2
    numbers = dict(episodes=two, seed=np.int64(1_000_003), envs=two, max_steps=np.int32(4))
    agent, output = RandomAgent(), tmp_path / "records"
    found = evaluate(agent, PUSH, **numbers, output=output, progress=False)
    assert found["settings"]["seed"] == 1_000_003 and found["tasks"][PUSH]["lengths"] == [4, 4]
    again = dict(episodes=2, seed=1_000_003, envs=2, max_steps=4)
    kept = evaluate(agent, PUSH, **again, output=output, progress=False)
    assert kept["tasks"] == found["tasks"]
    for wrong in (dict(seed=1_000_000.5), dict(episodes="2"), dict(max_steps=2.0)):
        [name] = wrong
        with pytest.raises(ValueError, match=f"^{name} is .*: expected a whole number"):
            evaluate(agent, PUSH, **wrong, progress=False)


def test_the_command_line_refuses_a_negative_seed(capsys):
    assert main(["play", "random", PUSH, "--seed", "-1"]) == 2
    said = capsys.readouterr().err
    assert said == "error: seed is -1: expected a whole number of at least 0\n"


def test_a_recipe_keeps_pythons_integers():
    assert type(TrainConfig(steps=1, seed=np.int64(4)).seed) is int
    with pytest.raises(ValueError, match="seed is -1: expected a whole number of at least 0"):
        TrainConfig(steps=1, seed=-1)


def test_random_play_follows_the_seed_of_the_episode():
    """Other seeds give other actions, the same seed the same, in a rollout as in `play`."""
    agent, env = RandomAgent(), made(GRID)
    once, other, again = (
        rollout(agent, env, seed=seed)["discrete_actions"].tolist() for seed in (1, 2, 1)
    )
    assert once == again and once != other
    names = action_names(env)
    played = [names.index(step.action) for step in play(agent, GRID, 1, quiet=True).steps]
    assert played == once


def test_random_play_without_a_seed_is_new_each_time():
    agent, env = RandomAgent(), made("mujoco-pendulum")
    first, second = (rollout(agent, env, max_steps=3)["continuous_actions"] for _ in range(2))
    assert (first != second).any()
    same = rollout(RandomAgent(), env, max_steps=3)["continuous_actions"]
    np.testing.assert_array_equal(first, same)


@pytest.mark.parametrize("steps", [0, -1, 2.5, "3"])
def test_a_number_of_steps_that_is_none_is_refused(steps):
    message = f"max_steps is {steps!r}: expected a whole number of at least 1"
    for call in (rollout, lambda agent, env, **how: play(agent, GRID, quiet=True, **how)):
        with pytest.raises(ValueError, match=message):
            call(RandomAgent(), made(GRID), max_steps=steps)


def test_what_is_recorded_ends_with_the_rollout():
    """Also where it is refused in the middle."""
    agent = make_agent()
    rollout(agent, made(GRID), seed=1, max_steps=2, record_attention=True)
    assert agent.record_attention is False
    with pytest.raises(TypeError):
        rollout(agent, made(GRID), seed=1, record_attention=True, no_such_choice=1)
    assert agent.record_attention is False
