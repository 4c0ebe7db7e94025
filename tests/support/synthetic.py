"""Made-up episodes in which the action follows from the observation, so that they can be learnt."""

from pathlib import Path

import numpy as np

from jatlab.data.episodes import write_episodes
from jatlab.tasks import Task, get_task

MISSIONS = ("go to the red ball", "go to the blue key", "go to a green box")


def make_episode(task: Task, length: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One episode of `length` timesteps, in the published columns."""
    episode = {}
    shape = (length, task.observation_size)
    if task.observation == "continuous":
        episode["continuous_observations"] = rng.normal(size=shape).astype(np.float32)
    elif task.observation == "discrete":
        episode["discrete_observations"] = rng.integers(0, 8, shape)
        episode["text_observations"] = np.array([MISSIONS[rng.integers(3)]] * length, dtype=object)
    else:
        episode["image_observations"] = rng.integers(0, 256, (length, 4, 84, 84), dtype=np.uint8)
    if task.action == "continuous":
        seen = episode["continuous_observations"]
        episode["continuous_actions"] = np.tanh(seen[:, : task.action_size])
    else:
        observations = next(iter(episode.values()))
        first = observations.reshape(length, -1)[:, 0] if length else np.zeros(0)
        episode["discrete_actions"] = first.astype(np.int64) % task.action_size
    episode["rewards"] = rng.random(length).astype(np.float32)
    return episode


def write_task(
    root: Path, name: str, lengths: list[int], seed: int = 0, file: str = "00000"
) -> list[dict[str, np.ndarray]]:
    """Write an episode of each length to `root`/`name`/train/`file`.parquet and return them."""
    task, rng = get_task(name), np.random.default_rng(seed)
    episodes = [make_episode(task, length, rng) for length in lengths]
    write_episodes(root / name / "train" / f"{file}.parquet", episodes, task)
    return episodes
