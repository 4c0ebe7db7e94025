"""Episodes made up for tests, in which the action follows from the observation, so that they can be
learnt.
"""

import numpy as np

from jatlab.data.episodes import write_episodes
from jatlab.tasks import get_task

MISSIONS = ("go to the red ball", "go to the blue key", "go to a green box")


def make_episode(task, length, rng):
    episode = {}
    if task.observation == "continuous":
        episode["continuous_observations"] = rng.normal(
            size=(length, task.observation_size)
        ).astype(np.float32)
    elif task.observation == "discrete":
        episode["discrete_observations"] = rng.integers(0, 8, (length, task.observation_size))
        episode["text_observations"] = np.array([MISSIONS[rng.integers(3)]] * length, dtype=object)
    else:
        episode["image_observations"] = rng.integers(0, 256, (length, 4, 84, 84), dtype=np.uint8)
    if task.action == "continuous":
        episode["continuous_actions"] = np.tanh(
            episode["continuous_observations"][:, : task.action_size]
        )
    else:
        first = (
            next(iter(episode.values())).reshape(length, -1)[:, 0]
            if length
            else np.zeros(0, np.int64)
        )
        episode["discrete_actions"] = first.astype(np.int64) % task.action_size
    episode["rewards"] = rng.random(length).astype(np.float32)
    return episode


def write_task(root, name, lengths, seed=0, file="00000"):
    task, rng = get_task(name), np.random.default_rng(seed)
    episodes = [make_episode(task, length, rng) for length in lengths]
    write_episodes(root / name / "train" / f"{file}.parquet", episodes, task)
    return episodes
