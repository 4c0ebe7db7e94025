"""Exercise 00.4: the loop of acting, built in three steps, against an environment that watches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from jatlab.lessons.answers import Answer, array, expect, number, numbers

Policy = Callable[[Any], Any]  # an observation -> an action

# --- one right answer of each step


def play(env: Any, policy: Policy, seed: int) -> float:
    """The return of one episode: act on each observation until the episode ends."""
    observation, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(policy(observation))
        total += reward
        over = terminated or truncated
    return total


def play_all(env: Any, policy: Policy, seeds: Iterable[int]) -> list[float]:
    """The returns of one episode for each seed."""
    return [play(env, policy, seed) for seed in seeds]


def compare(
    env: Any, one: Policy, other: Policy, seeds: Iterable[int]
) -> tuple[float, float, float]:
    """Mean return of both policies on the same seeds, and the share of seeds that one wins."""
    chosen = list(seeds)
    first, second = play_all(env, one, chosen), play_all(env, other, chosen)
    wins = sum(a > b for a, b in zip(first, second, strict=True)) / len(chosen)
    return sum(first) / len(chosen), sum(second) / len(chosen), wins


STEPS = ("one episode", "several seeds", "a fair comparison")


class Corridor:
    """A toy world: walk from a place that the seed chooses to its end, within eight steps.

    It pays 0.5 for each step forward and 3 more at the end, and refuses to be played wrongly.
    """

    LENGTH, LIMIT = 6, 8

    def __init__(self) -> None:
        self.place, self.steps, self.over = 0, 0, True
        self.seeds: list[int] = []

    def reset(self, *, seed: int | None = None) -> tuple[int, dict]:
        """Begin an episode: at place 0, 1 or 2."""
        expect(
            seed is not None,
            "reset the environment with the seed, env.reset(seed=seed): otherwise nobody can "
            "play the same episode again",
        )
        self.seeds.append(int(seed or 0))
        self.place, self.steps, self.over = self.seeds[-1] % 3, 0, False
        return self.place, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        """Walk: 1 is forward, anything else stays."""
        expect(
            not self.over,
            "you step on after the episode has ended: stop when terminated *or* truncated is "
            "true, and reset before the next episode",
        )
        expect(
            np.ndim(action) == 0 and not isinstance(action, str),
            "step takes an action, what the policy answers to the observation",
        )
        forward = action == 1
        self.steps += 1
        self.place += int(forward)
        done = self.place >= self.LENGTH
        late = self.steps >= self.LIMIT and not done
        self.over = done or late
        return self.place, 0.5 * forward + 3.0 * done, done, late, {}


def forward(place: int) -> int:
    """Always walk."""
    return 1


def hesitant(place: int) -> int:
    """Walk at even places, and stay for ever at the first odd one."""
    return 1 - place % 2


def check_rollout(one: Answer, several: Answer | None = None, both: Answer | None = None) -> None:
    """Check 00.4: the first step alone, or with the later ones."""
    _check_play(one)
    if several is not None:
        _check_play_all(several)
    if both is not None:
        _check_compare(both)


def _check_play(answer: Answer) -> None:
    wanted = "step 1: return the return, one number"
    for policy, seed, right in ((forward, 0, 6.0), (forward, 1, 5.5), (hesitant, 0, 0.5)):
        env = Corridor()
        got = number(answer(env, policy, seed), wanted)
        expect(env.seeds, "step 1: the environment was never reset")
        expect(env.seeds == [seed], f"step 1: reset once, with seed {seed}; yours were {env.seeds}")
        expect(
            env.over,
            "step 1: you stop before the episode has ended: neither terminated nor "
            "truncated was true",
        )
        expect(
            got != env.steps or right == env.steps,
            "step 1: that is the number of steps; the return is the sum of the rewards",
        )
        expect(
            not (policy is forward and got == 3.5),
            "step 1: that is the last reward alone: add all of them up",
        )
        expect(
            not (policy is forward and abs(got - (right - 3.5)) < 1e-6),
            "step 1: the reward of the last step is missing: add it before you leave the loop",
        )
        expect(
            abs(got - right) < 1e-6,
            f"step 1: the rewards of this episode add up to {right}, yours to {got:g}",
        )


def _check_play_all(answer: Answer) -> None:
    env = Corridor()
    got = array(answer(env, forward, [0, 1, 2, 4]), "step 2: return one number for each seed")
    expect(
        got.shape == (4,),
        f"step 2: return one number for each of 4 seeds; yours has the shape {got.shape}",
    )
    expect(
        env.seeds == [0, 1, 2, 4],
        f"step 2: the seeds to play are 0, 1, 2, 4; yours were {env.seeds}",
    )
    expect(
        np.allclose(got, [6.0, 5.5, 5.0, 5.5]),
        f"step 2: the returns are 6, 5.5, 5 and 5.5; yours are {got.tolist()}",
    )


def _check_compare(answer: Answer) -> None:
    env = Corridor()
    raw = answer(env, forward, hesitant, [0, 1, 2, 3])
    first, second, wins = numbers(
        raw, "the mean of one", "the mean of the other", "the share of seeds that one wins"
    )
    half = len(env.seeds) // 2
    expect(
        sorted(env.seeds) == [0, 0, 1, 1, 2, 2, 3, 3] and half == 4,
        "step 3: both policies should play the same four seeds, once each: otherwise one may have "
        f"had the easier starts; yours were {env.seeds}",
    )
    expect(
        abs(first - 22.5 / 4) < 1e-6 and abs(second - 1.5 / 4) < 1e-6,
        f"step 3: the means are {22.5 / 4} and {1.5 / 4}; yours are {first:g} and {second:g}",
    )
    expect(wins != 4, "step 3: that is how many seeds; a share is divided by their number")
    expect(wins == 1, f"step 3: the first policy wins on each of the seeds: 1, not {wins:g}")
    draws = numbers(answer(Corridor(), forward, forward, [0, 1]), "mean", "mean", "share")[2]
    expect(draws == 0, "step 3: a draw is no win: against itself a policy wins on 0 of the seeds")
