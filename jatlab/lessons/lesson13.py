"""Lesson 13, A task it never saw: solutions and checks."""

from __future__ import annotations

import numpy as np

from jatlab.lessons.answers import Answer, array, expect, near, parts
from jatlab.lessons.harness import Exercise

Memory = tuple[np.ndarray, np.ndarray]  # observations (N, d), actions (N, m)

# --- 13.1: the nearest


def nearest(stored: np.ndarray, query: np.ndarray, k: int) -> np.ndarray:
    """The numbers of the k rows of `stored` (N, d) nearest to `query` (d,), nearest first."""
    distances = np.linalg.norm(stored - query, axis=1)
    return np.argsort(distances, kind="stable")[:k]


STORED = np.array([[0, 0], [3, 4], [-1, 1], [6, -6], [2, -2], [0, 0.5]], float)
QUERY = np.array([0.2, 0.1])


def check_nearest(answer: Answer) -> None:
    """Check 13.1 on six points in the plane."""
    found = array(answer(STORED.copy(), QUERY.copy(), 3), "return the numbers of three rows")
    expect(found.shape == (3,), f"k is 3: return three row numbers, not shape {found.shape}")
    right = nearest(STORED, QUERY, 3)
    expect(
        not near(found, nearest(STORED, QUERY, 6)[::-1][:3]),
        "these are the farthest rows: sort the distances upwards",
    )
    sums = np.argsort(np.abs((STORED - QUERY).sum(1)), kind="stable")[:3]
    expect(
        not near(found, sums),
        "differences of opposite sign cancel in your distance: square them before you add",
    )
    distances = np.sort(np.linalg.norm(STORED - QUERY, axis=1))[:3]
    expect(
        not near(found, distances),
        "these are distances; return the numbers of the rows (np.argsort gives them)",
    )
    expect(
        set(found.tolist()) != set(right.tolist()) or near(found, right),
        "the right rows in another order: the nearest comes first",
    )
    expect(near(found, right), f"of these points the nearest rows are {right}, not {found}")


# --- 13.2: retrieve and play, in two steps


def remember(episodes: list[dict[str, np.ndarray]]) -> Memory:
    """Episodes, each with observations (T, d) and actions (T, m) -> all timesteps in two arrays."""
    observations = np.concatenate([episode["observations"] for episode in episodes])
    actions = np.concatenate([episode["actions"] for episode in episodes])
    return observations, actions


def retrieve(memory: Memory, observation: np.ndarray) -> tuple[np.ndarray, float]:
    """The action of the nearest remembered timestep, and how far away that is."""
    observations, actions = memory
    distances = np.linalg.norm(observations - observation, axis=1)
    row = distances.argmin()
    return actions[row], float(distances[row])


def _episodes() -> list[dict[str, np.ndarray]]:
    """Two demonstrations of unlike length; no timestep has its own number for an action."""
    rng = np.random.default_rng(0)
    return [
        {"observations": rng.normal(size=(length, 3)), "actions": rng.normal(size=(length, 2))}
        for length in (4, 6)
    ]


def check_retrieve(first: Answer, second: Answer | None = None) -> None:
    """Check 13.2: the memory alone, or with what acts from it."""
    _check_remember(first)
    if second is not None:
        _check_action(second)


def _check_remember(answer: Answer) -> None:
    right = remember(_episodes())
    wanted = "step 1: return two arrays, the observations and the actions of all timesteps"
    observations, actions = parts(answer(_episodes()), 2, wanted)
    expect(
        observations.shape != (4, 3),
        "step 1: these are the timesteps of the first episode only; there are two episodes",
    )
    expect(
        observations.shape != (6, 3),
        "step 1: these are the timesteps of the last episode only; there are two episodes",
    )
    expect(
        not near(observations, right[1]),
        "step 1: the observations come first, the actions second",
    )
    expect(
        near(observations, right[0]),
        "step 1: the observations are all timesteps of the first episode, then those of the "
        f"second, shape (10, 3); yours have shape {observations.shape}",
    )
    expect(
        near(actions, right[1]),
        "step 1: the actions stand in the order of the observations, shape (10, 2); yours have "
        f"shape {actions.shape}",
    )


def _check_action(answer: Answer) -> None:
    memory = remember(_episodes())
    wanted = "step 2: return the action and the distance"
    for row in (7, 2):
        query = memory[0][row] + np.array([0.03, 0.0, -0.04])
        action, distance = parts(answer((memory[0].copy(), memory[1].copy()), query), 2, wanted)
        expect(
            not near(action, memory[0][row]),
            "step 2: that is the observation that was found; the action that was taken in it is "
            "asked for",
        )
        far = np.linalg.norm(memory[0] - query, axis=1)
        expect(
            not near(action, memory[1][far.argmax()]),
            "step 2: that is the action of the farthest timestep; take the nearest",
        )
        expect(
            near(action, memory[1][row]),
            f"step 2: timestep {row} is nearest, and its action is {memory[1][row].round(3)}",
        )
        expect(
            not near(distance, np.float64(0.05**2)),
            "step 2: that is the distance squared: take the root",
        )
        expect(
            distance.size == 1 and near(distance.reshape(()), np.array(0.05)),
            "step 2: the distance is that of the query and the timestep found, here 0.05",
        )


# --- 13.3: the sequence that an in-context agent reads


def sequence(memory: Memory, observation: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Observations (k + 1, d) and actions (k + 1, m): the retrieved ones, then the present one.

    The action of the present one is not known, and is 0.
    """
    observations, actions = memory
    rows = nearest(observations, observation, k)
    unknown = np.zeros((1, actions.shape[1]))
    return (
        np.concatenate([observations[rows], observation[None]]),
        np.concatenate([actions[rows], unknown]),
    )


def check_sequence(answer: Answer) -> None:
    """Check 13.3 on two short demonstrations."""
    memory, query = remember(_episodes()), np.array([0.1, -0.2, 0.3])
    copy = memory[0].copy(), memory[1].copy()
    wanted = "return two arrays, the observations and the actions"
    observations, actions = parts(answer(copy, query.copy(), 4), 2, wanted)
    right, done = sequence(memory, query, 4)
    expect(
        observations.shape != (4, 3),
        "these are the retrieved observations only: the present one comes after them",
    )
    expect(
        observations.shape == (5, 3),
        "k is 4: the observations are 4 retrieved ones and the present one, shape (5, 3); yours "
        f"have shape {observations.shape}",
    )
    expect(
        not near(observations, np.concatenate([right[-1:], right[:-1]])),
        "the present observation stands first: it comes last, so that it can see the others",
    )
    expect(
        not near(observations, np.concatenate([right[-2::-1], right[-1:]])),
        "the farthest comes first: turn the order of the retrieved ones round",
    )
    expect(near(observations, right), "the observations are the 4 nearest, then the present one")
    _check_actions(actions, done)


def _check_actions(actions: np.ndarray, done: np.ndarray) -> None:
    expect(
        actions.shape != (4, 2),
        "there is no action in the last row: put zeros there, nobody knows it yet",
    )
    expect(
        actions.shape == (5, 2),
        f"the actions have shape (5, 2), one for each observation; yours have {actions.shape}",
    )
    expect(
        near(actions[:-1], done[:-1]),
        "the actions are those of the retrieved timesteps, in the same order",
    )
    expect(
        near(actions[-1], done[-1]),
        "the last row is the action that the network has to find: put zeros there",
    )


# --- 13.4: the mixture of two actions


def mix(retrieved: np.ndarray, predicted: np.ndarray, distance: float, scale: float) -> np.ndarray:
    """REGENT's mixture of a retrieved and a predicted action (m,), by the distance.

    The weight of the retrieved one is exp(-10 d), where d is the distance in units of `scale`.
    """
    weight = np.exp(-10 * distance / scale)
    return weight * retrieved + (1 - weight) * predicted


def check_mix(answer: Answer) -> None:
    """Check 13.4 near, far and between."""
    one, two = np.array([1.0, -0.5]), np.array([-0.2, 0.8])

    def mixed(distance: float, scale: float) -> np.ndarray:
        found = array(answer(one.copy(), two.copy(), distance, scale), "return an action (2,)")
        expect(found.shape == (2,), f"return an action of two numbers, not shape {found.shape}")
        return found

    same = mixed(0.0, 2.0)
    expect(
        not near(same, two),
        "at distance 0 the retrieved action is repeated: the weights are the wrong way round",
    )
    expect(near(same, one), "at distance 0 the weight of the retrieved action is exp(0) = 1")
    between, right = mixed(0.1, 2.0), mix(one, two, 0.1, 2.0)
    expect(
        not near(between, mix(one, two, 0.1, 1.0)),
        "the scale is ignored: divide the distance by it first",
    )
    expect(
        not near(between, mix(one, two, 0.4, 2.0)),
        "you multiply by the scale: divide the distance by it",
    )
    expect(
        not near(between, mix(one, two, 0.01, 2.0)),
        "the factor 10 is missing: the weight is exp(-10 d)",
    )
    expect(
        near(between, right),
        f"at distance 0.1 and scale 2 the mixture is {right.round(3)}: the weights exp(-10 d) and "
        "1 - exp(-10 d) add up to 1",
    )
    expect(near(mixed(20.0, 2.0), two), "far away only the predicted action counts")


EXERCISES = {
    "13.1": Exercise(difficulty=2, importance=5, minutes=8, solution=nearest, check=check_nearest),
    "13.2": Exercise(
        difficulty=3,
        importance=5,
        minutes=20,
        solution=(remember, retrieve),
        check=check_retrieve,
        steps=("a memory", "the nearest timestep acts"),
    ),
    "13.3": Exercise(
        difficulty=3, importance=4, minutes=10, solution=sequence, check=check_sequence
    ),
    "13.4": Exercise(difficulty=2, importance=3, minutes=7, solution=mix, check=check_mix),
}
