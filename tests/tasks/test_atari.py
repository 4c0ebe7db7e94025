"""The Atari preprocessing against a plain version that steps one frame at a time."""

import ale_py
import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jatlab.tasks import get_task, make_env
from jatlab.tasks.atari import Shrink


def shrink_plainly(screen):
    """Each target pixel is the area-weighted mean of the rectangle it covers; then luma."""
    rows, columns = (
        np.array([[overlap(i, j, n / 84) for j in range(n)] for i in range(84)])
        for n in screen.shape[:2]
    )
    colours = screen.astype(np.float64).transpose(2, 0, 1)
    small = np.stack([rows @ colour @ columns.T for colour in colours], axis=-1)
    return np.rint(small) @ [0.299, 0.587, 0.114]


def overlap(target, source, scale):
    return max(0.0, min((target + 1) * scale, source + 1) - max(target * scale, source)) / scale


@given(st.integers(0, 2**32 - 1), st.sampled_from([(210, 160), (250, 160), (84, 84)]))
@settings(max_examples=10)
def test_shrinking_is_area_averaging_then_luma(seed, size):
    screen = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    got = Shrink(*size)(screen)
    assert (got.shape, got.dtype) == ((84, 84), np.uint8)
    difference = np.abs(got - shrink_plainly(screen))
    # a colour's mean at exactly .5 may round either way
    assert difference.max() < 1.5 and (difference > 0.51).mean() < 0.01


LUMA = {(255, 255, 255): 255, (255, 0, 0): 76, (0, 255, 0): 150, (0, 0, 255): 29}


def test_flat_colours_keep_their_luma():
    for colour, grey in LUMA.items():
        assert (Shrink(210, 160)(np.full((210, 160, 3), colour, np.uint8)) == grey).all()


class PlainAtari:
    """The published preprocessing frame by frame, for games in which no life is lost."""

    def __init__(self, name, seed):
        self.env = gym.make(get_task(name).env_id, frameskip=1, repeat_action_probability=0.0)
        self.env.reset(seed=seed)
        for _ in range(self.env.unwrapped.np_random.integers(1, 31)):
            screen = self.env.step(0)[0]
        if "FIRE" in self.env.unwrapped.get_action_meanings():
            self.decide(1), self.decide(2)
            self.stack = [self.stack[-1]] * 4
        else:
            self.stack = [Shrink(210, 160)(screen)] * 4

    def decide(self, action):
        screens, rewards, *_ = zip(*[self.env.step(action) for _ in range(4)], strict=True)
        self.stack = [*getattr(self, "stack", []), Shrink(210, 160)(np.maximum(*screens[-2:]))][-4:]
        return sum(rewards)


STEPS = [("atari-pong", 150), ("atari-freeway", 150), ("atari-mspacman", 60)]


@pytest.mark.parametrize(("name", "steps"), STEPS)
def test_decisions_equal_four_single_frames(name, steps):
    plain, env, rng = PlainAtari(name, seed=5), make_env(name, seed=5), np.random.default_rng(0)
    observation, _ = env.reset()
    for _ in range(steps):
        np.testing.assert_array_equal(observation["image_observation"], plain.stack)
        action = int(rng.integers(env.task.action_size))
        observation, reward, terminated, truncated, _ = env.step(action)
        assert reward == plain.decide(action) and not terminated and not truncated
    np.testing.assert_array_equal(observation["image_observation"], plain.stack)


def test_observations_are_not_changed_afterwards():
    env = make_env("atari-pong", seed=0)
    observation, _ = env.reset()
    kept = observation["image_observation"].copy()
    for _ in range(20):
        env.step(2)
    np.testing.assert_array_equal(observation["image_observation"], kept)


def test_a_lost_life_continues_the_game_with_the_ball_in_play():
    env = make_env("atari-breakout", seed=0)
    _, info = env.reset()
    lives, total, lost = 5, 0.0, 0
    while True:
        # 3 is LEFT: the ball is missed at last
        observation, reward, terminated, truncated, info = env.step(3)
        total += reward
        if terminated:
            break
        if info["lives"] < lives:
            lost, lives = lost + 1, info["lives"]
            stack = observation["image_observation"]
            assert all(np.array_equal(stack[0], frame) for frame in stack[1:])
            ram = env.unwrapped.ale.getRAM()
            assert ram[101] != 0, "the ball was not served"
    assert (lost, lives, truncated) == (4, 1, False)


def test_a_whole_game_of_pong_counts_its_points():
    env, rng, total = make_env("atari-pong", seed=1), np.random.default_rng(0), 0.0
    env.reset()
    while True:
        _, reward, terminated, truncated, _ = env.step(int(rng.integers(6)))
        total += reward
        if terminated:
            break
    assert -21 <= total <= -17


@pytest.mark.parametrize(
    ("name", "frames"), [("atari-montezumarevenge", 18_000), ("atari-pong", 108_000)]
)
def test_games_have_the_published_limits(name, frames):
    assert make_env(name).unwrapped.ale.getInt("max_num_frames_per_episode") == frames


@pytest.mark.slow
def test_montezuma_is_truncated_at_its_limit():
    env = make_env("atari-montezumarevenge", seed=0)
    env.reset()
    decisions, terminated, truncated = 0, False, False
    while not (terminated or truncated) and decisions < 4500:
        _, _, terminated, truncated, _ = env.step(0)
        decisions += 1
    assert (terminated, truncated) == (False, True)
    assert 4480 <= decisions <= 4500  # 18,000 frames, less up to 30 no-ops and the opening


@pytest.mark.slow
def test_noops_vary_with_the_seed_and_actions_never_stick():
    env, frames = make_env("atari-skiing"), set()
    for seed in range(12):
        env.reset(seed=seed)
        frames.add(env.unwrapped.ale.getEpisodeFrameNumber())
    assert len(frames) > 5 and max(frames) - min(frames) <= 29
    assert env.unwrapped.ale.getFloat("repeat_action_probability") == 0.0
    assert isinstance(env.unwrapped.ale, ale_py.ALEInterface)
