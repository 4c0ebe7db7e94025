"""Exercise 12.4: DAgger, built in two steps, in a world that notes who did what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jatlab.lessons.answers import Answer, array, expect, kind, parts

Policy = Callable[[Any], Any]  # an observation -> an action
Fit = Callable[[list, list], Policy]  # observations and actions -> a policy that imitates them

# --- one right answer of each step


def collect(env: Any, actor: Policy, teacher: Policy, seed: int) -> tuple[list, list]:
    """One episode played by the actor: what it saw, and what the teacher would have done there."""
    observation, over = env.reset(seed), False
    seen, labels = [], []
    while not over:
        seen.append(observation)
        labels.append(teacher(observation))
        observation, over = env.step(actor(observation))
    return seen, labels


def dagger(env: Any, teacher: Policy, fit: Fit, seeds: Sequence[Sequence[int]]) -> Policy:
    """The pupil after as many rounds as there are lists of seeds.

    In the first round the teacher plays, in each later one the pupil of the round before. Every
    pupil learns from all rounds so far.
    """
    seen, labels, actor = [], [], teacher
    for chosen in seeds:
        for seed in chosen:
            new_seen, new_labels = collect(env, actor, teacher, seed)
            seen += new_seen
            labels += new_labels
        actor = fit(seen, labels)
    return actor


STEPS = ("the pupil plays, the teacher answers", "rounds")
LENGTH = 4  # timesteps of an episode of the check's world


class Notes:
    """A world of four timesteps that notes its seeds and the actions that are executed."""

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.done: list[float] = []
        self.place, self.left = 0.0, 0

    def reset(self, seed: int) -> float:
        """Begin at the seed's own place."""
        self.seeds.append(int(seed))
        self.place, self.left = 10.0 * self.seeds[-1], LENGTH
        return self.place

    def step(self, action: float) -> tuple[float, bool]:
        """Move by the action: the next observation, and whether the episode is over."""
        expect(self.left > 0, "you step on after the episode is over")
        moved = array(action, "step takes what the actor answers, one number")
        expect(moved.size == 1, "step takes what the actor answers, one number")
        self.done.append(float(moved.reshape(-1)[0]))
        self.place, self.left = self.place + self.done[-1], self.left - 1
        return self.place, self.left == 0


def _teacher(place: float) -> float:
    return 1.0 + place / 1000


def _pupil(number: int) -> Policy:
    return lambda place: -2.0 - number


def check_dagger(one: Answer, rounds: Answer | None = None) -> None:
    """Check 12.4: one episode alone, or with the rounds."""
    _check_collect(one)
    if rounds is not None:
        _check_rounds(rounds)


# --- step 1


def _check_collect(answer: Answer) -> None:
    env, wanted = Notes(), "step 1: return two lists, what was seen and the teacher's actions"
    raw = answer(env, _pupil(0), _teacher, 7)
    expect(env.seeds == [7], f"step 1: begin one episode with env.reset(7); yours: {env.seeds}")
    expect(
        not env.done or env.done[0] != _teacher(70.0),
        "step 1: the teacher plays. Execute what the *actor* does, so that the episode goes where "
        "the pupil goes; the teacher only says what it would have done",
    )
    expect(
        len(env.done) == LENGTH,
        f"step 1: the episode has {LENGTH} timesteps, you played {len(env.done)}: go on until "
        "env.step says that it is over",
    )
    seen, labels = parts(raw, 2, wanted)
    expect(
        seen.shape == labels.shape == (LENGTH,),
        f"{wanted}, {LENGTH} each; yours have the shapes {seen.shape} and {labels.shape}",
    )
    places = [70.0, 68.0, 66.0, 64.0]
    expect(
        not np.allclose(labels, -2.0),
        "step 1: you record what the pupil did; it would learn its own mistakes",
    )
    expect(
        not np.allclose(seen, [68.0, 66.0, 64.0, 62.0]),
        "step 1: these are the observations after each step; record what was seen before it",
    )
    expect(np.allclose(seen, places), f"step 1: it saw {places}, you recorded {seen.tolist()}")
    expect(
        np.allclose(labels, [_teacher(place) for place in places]),
        "step 1: the labels are not what the teacher answers to these observations",
    )


# --- step 2


def _check_rounds(answer: Answer) -> None:
    env, given = Notes(), []

    def fit(seen: Any, labels: Any) -> Policy:
        parts_ = parts((seen, labels), 2, "step 2: fit takes what was seen and the labels")
        expect(
            parts_[0].shape == parts_[1].shape and parts_[0].ndim == 1,
            "step 2: give fit two lists of the same length",
        )
        given.append(parts_)
        return _pupil(len(given))

    got = answer(env, _teacher, fit, [[1, 2], [3], [4]])
    expect(
        env.seeds == [1, 2, 3, 4],
        f"step 2: the seeds are 1 and 2 in the first round, then 3, then 4; yours: {env.seeds}",
    )
    expect(
        len(given) == 3,
        f"step 2: fit a pupil after each of the three rounds; you called fit {len(given)} times",
    )
    expect(
        env.done[0] > 0,
        "step 2: in the first round there is no pupil yet: the teacher plays",
    )
    expect(
        env.done[2 * LENGTH] < 0,
        "step 2: from the second round on the pupil plays; in yours the teacher still does, and "
        "nothing new is seen",
    )
    expect(
        env.done[3 * LENGTH] == -4.0,
        "step 2: in the third round the newest pupil plays, the one that the second round gave",
    )
    counts = [len(one[0]) for one in given]
    expect(
        counts != [2 * LENGTH, LENGTH, LENGTH],
        "step 2: each pupil learns from its own round alone, and forgets the others: keep all "
        "episodes, and fit to all of them (that is the A in DAgger, aggregation)",
    )
    expect(
        counts == [8, 12, 16],
        f"step 2: the pupils learn from 8, 12 and 16 timesteps; yours from {counts}",
    )
    expect(callable(got), f"step 2: return the last pupil, a policy; yours is {kind(got)}")
    expect(
        not callable(got) or got(0.0) == -5.0,
        "step 2: return the pupil of the last round, not an earlier one",
    )
