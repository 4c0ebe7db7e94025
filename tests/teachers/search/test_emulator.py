"""The search reads the judged game and changes nothing in it; no random numbers are shared."""

import copy

import numpy as np
import pytest

from jatlab.tasks import make_env
from jatlab.teachers import TeacherFailed
from jatlab.teachers.search.emulator import Emulator
from jatlab.teachers.search.teacher import SearchTeacher
from tests.teachers.search.begin import TINY, begin


def judged_state(env):
    """All of the judged game: console, the emulator's and the environment's rngs, pictures."""
    ale = env.unwrapped.ale
    return (
        ale.cloneState(include_rng=True).serialize(),
        copy.deepcopy(env.unwrapped.np_random.bit_generator.state),
        env.env._stack.tobytes(),
        ale.getScreenRGB().tobytes(),
        ale.getRAM().tobytes(),
        ale.getFrameNumber(),
        ale.lives(),
    )


def test_a_search_leaves_the_judged_game_bit_for_bit_as_it_was():
    env, teacher, observation = begin("atari-breakout")
    for _ in range(4):
        before = judged_state(env)
        action = teacher.act(observation)
        assert judged_state(env) == before
        observation = env.step(action)[0]
    assert judged_state(env) != before  # what is compared does change when the game goes on


def sticky(seed):
    """A game whose actions stick at random, in the state of seed 7 whatever ``seed`` is.

    Actions of the published game do not stick.
    """
    model = make_env("atari-seaquest", render_mode=None)
    model.reset(seed=7)
    env = make_env("atari-seaquest", render_mode=None)
    env.unwrapped.ale.setFloat("repeat_action_probability", 0.25)
    observation, _ = env.reset(seed=seed)
    env.unwrapped.ale.restoreState(model.unwrapped.ale.cloneState())
    return env, observation


def memory_after(env, action):
    env.step(action)
    return env.unwrapped.ale.getRAM().tobytes()


@pytest.mark.slow
def test_decisions_do_not_depend_on_the_randomness_to_come():
    """In two judged games of the same state the futures differ; decision and plan do not."""
    plans, futures = [], []
    for seed in (1, 2):
        env, observation = sticky(seed)
        teacher = SearchTeacher(TINY)
        teacher.reset(env, 0)
        action = teacher.act(observation)
        plans.append((action, teacher.plan.actions, teacher.plan.rewards))
        futures.append([memory_after(env, i % 18) for i in range(60)])
    assert futures[0] != futures[1]
    assert plans[0] == plans[1]


@pytest.mark.slow
def test_the_state_that_the_search_gets_holds_no_random_numbers():
    env, observation = sticky(1)
    emulator = Emulator(env)
    seen = emulator.observe()
    assert seen.serialize() == Emulator(sticky(2)[0]).observe().serialize()
    assert seen.serialize() != env.unwrapped.ale.cloneState(include_rng=True).serialize()


@pytest.mark.parametrize("name", ["atari-breakout", "atari-mspacman", "atari-pong"])
def test_the_simulated_game_is_the_judged_one(name):
    env = make_env(name, render_mode=None)
    env.reset(seed=5)
    emulator, rng = Emulator(env), np.random.default_rng(0)
    emulator.restore(emulator.observe())
    for _ in range(20):
        action = int(rng.integers(env.action_space.n))
        step = emulator.step(action)
        reward = env.step(action)[1]
        if step.lost:
            break
        assert step.reward == reward and emulator.clone().equals(emulator.observe())
        assert np.array_equal(emulator.memory(), env.unwrapped.ale.getRAM())


def test_a_state_that_cannot_be_restored_is_said(monkeypatch):
    env, teacher, _ = begin("atari-pong")
    monkeypatch.setattr(Emulator, "restore", lambda self, state: None)
    env.step(2)
    with pytest.raises(TeacherFailed, match="pong: the emulator's state cannot be restored"):
        teacher.reset(env, 0)

    def fail(self, state):
        raise RuntimeError("end of file")

    monkeypatch.setattr(Emulator, "restore", fail)
    with pytest.raises(TeacherFailed, match="cannot be restored \\(end of file\\)"):
        teacher.reset(env, 0)


def test_an_environment_without_an_emulator_is_refused():
    with pytest.raises(ValueError, match="play games of the Arcade Learning Environment"):
        SearchTeacher().reset(make_env("babyai-go-to-obj", render_mode=None), 0)
