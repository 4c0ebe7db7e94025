"""The index of a task's demonstrations: which stored timesteps look most like an observation."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from jatlab.data.columns import Episode
from jatlab.data.episodes import read_episodes
from jatlab.data.retrieval.search import GridSearch, Neighbours, VectorSearch
from jatlab.data.storage import EpisodeStore
from jatlab.tasks import Task, get_task
from jatlab.tasks.task import Action, Observation
from jatlab.utils.checks import require, shortened, whole_number
from jatlab.utils.files import expanded

Demonstrations = EpisodeStore | Iterable[Episode] | str | os.PathLike[str]
Encoder = Callable[[np.ndarray], np.ndarray]  # frames (n, 4, 84, 84) uint8 -> features (n, d)
SCALE_QUERIES = 512  # stored timesteps by which distances are put on the task's scale
FRAMES_AT_ONCE = 64  # that an encoder gets


class DemonstrationIndex:
    """Demonstrations of one task, by observation.

    Vectors are compared as they are, grids by the integers that differ among demonstrations of the
    same mission, and frames by the features of an encoder.

    Args:
        task: the task, or its name.
        demonstrations: episodes, a store of them, or the folder of the data (`jatlab record`'s).
        count: use so many, the first; None: all.
        encode: of frames, see `Encoder`; needed where the task observes frames.

    Raises:
        FileNotFoundError: if the folder has no episode of the task.
        ValueError: without a demonstration, with fewer than ``count``, for those of another task,
            for what is no episodes at all, and for frames without an encoder.
        OSError: when the disk is full, or the folder cannot be written to: frames are laid out flat
            in it, and read from there.
    """

    def __init__(
        self,
        task: str | Task,
        demonstrations: Demonstrations,
        count: int | None = None,
        encode: Encoder | None = None,
    ):
        self.task = get_task(task) if isinstance(task, str) else task
        require(
            self.task.playable,
            f"{self.task.name} is read, not played: only tasks with actions have demonstrations",
        )
        require(
            self.task.observation != "image" or encode is not None,
            f"{self.task.name} observes frames: give encode, which turns frames into vectors",
        )
        self.store, self.encode = _open(self.task, demonstrations, count), encode
        self._search = self._make_search(None)

    def __len__(self) -> int:
        return int(self.store.offsets[-1])

    @property
    def episodes(self) -> int:
        """How many demonstrations there are."""
        return len(self.store.lengths)

    def nearest(self, observations: Sequence[Observation], k: int = 1) -> Neighbours:
        """The ``k`` stored timesteps nearest to each of n observations.

        Args:
            observations: of the task, as `jatlab.make_env` gives them.
            k: how many; at most as many as are stored.

        Raises:
            ValueError: without an observation, for another size, and unless ``k`` is a whole number
                from 1 to that of the timesteps.
        """
        require(len(observations) > 0, "observations is empty: expected at least one")
        k = whole_number(k, "k", 1)
        missions = [str(o.get("text_observation", "")) for o in observations]
        return self._nearest(self._values(observations), missions, k, None)

    def going_on(
        self,
        observations: Sequence[Observation],
        found: Neighbours,
        before: Sequence[int | None],
    ) -> list[int]:
        """The nearest row of each observation, or the one after ``before`` if it is as near.

        Args:
            observations: n of them.
            found: their nearest rows, from `nearest`.
            before: (n,) the row that each followed last; None where an episode begins.
        """
        rows = found.rows[:, 0].tolist()
        for number, row in enumerate(before):
            following = None if row is None else self._following(row)
            if following is not None and following != rows[number]:
                distance = self._distance(observations[number], following)
                if distance <= found.distances[number, 0]:
                    rows[number] = following
        return rows

    def nearest_elsewhere(self, rows: np.ndarray, k: int = 1) -> Neighbours:
        """The ``k`` stored timesteps nearest to some stored ones, in other episodes than theirs.

        If there is one episode, its other half is searched.

        Args:
            rows: (n,) of the stored timesteps.
            k: how many.
        """
        skip = self._own(rows)
        missions = [self.mission(int(row)) for row in rows]
        return self._nearest(self._stored(rows), missions, k, skip)

    def nearest_among(
        self, rows: np.ndarray, episodes: np.ndarray, k: int
    ) -> tuple[Neighbours, float]:
        """The stored timesteps of some episodes that are nearest to some stored ones.

        Args:
            rows: (n,) of the stored timesteps that are looked for.
            episodes: the numbers of those that are searched.
            k: how many; all, where the episodes have fewer.

        Returns:
            The neighbours, by their rows in this index, and these episodes' unit of distance.
        """
        part = self.among(episodes)
        missions = [self.mission(int(row)) for row in rows]
        found = part._nearest(self._stored(rows), missions, min(k, len(part)), None)
        return Neighbours(self.store.rows(episodes)[found.rows], found.distances), part.scale

    def among(self, episodes: np.ndarray) -> DemonstrationIndex:
        """The index of some of the episodes; frames are not encoded again."""
        part = copy.copy(self)
        part.__dict__.pop("scale", None)  # it is another one
        part.store = self.store.part(episodes)
        part._search = part._make_search(self._stored(self.store.rows(episodes)))
        return part

    @cached_property
    def scale(self) -> float:
        """The task's unit of distance.

        It is the 95th percentile of the distances of stored timesteps (at most `SCALE_QUERIES`,
        evenly spread) to the nearest timestep of another episode; 1 where that is 0.
        """
        if len(self) < 2:
            return 1.0
        rows = np.unique(np.linspace(0, len(self) - 1, SCALE_QUERIES).astype(np.int64))
        found = self.nearest_elsewhere(rows).distances[:, 0]
        return float(np.percentile(found, 95)) or 1.0

    def action(self, row: int) -> Action:
        """What was done in a stored timestep: float32 (m,), or the number of a choice."""
        action = self.store.columns[f"{self.task.action}_actions"][row]
        return np.array(action) if self.task.action == "continuous" else int(action)

    def observations(self, rows: np.ndarray) -> list[Observation]:
        """Stored observations (n,), as `jatlab.make_env` gives them."""
        name = f"{self.task.observation}_observation"
        values = self.store.columns[f"{name}s"][rows]
        found: list[Observation] = [{name: one} for one in values]
        if self.task.observation == "discrete":
            for one, row in zip(found, rows, strict=True):
                one["text_observation"] = self.mission(int(row))
        return found

    def mission(self, row: int) -> str:
        """The mission of a stored timestep; "" where the task has none."""
        if "text_observations" not in self.store.columns:
            return ""
        return self.store.texts[int(self.store.columns["text_observations"][row])]

    def place(self, row: int) -> tuple[int, int]:
        """The demonstration and the timestep in it of a stored timestep."""
        episode = int(np.searchsorted(self.store.offsets, row, side="right")) - 1
        return episode, int(row - self.store.offsets[episode])

    # --- search

    def _make_search(self, features: np.ndarray | None) -> VectorSearch | GridSearch:
        """The search among all rows; their ``features``, if they are known already."""
        columns = self.store.columns
        if self.task.observation == "discrete":
            return GridSearch(
                columns["discrete_observations"], columns["text_observations"], self.store.texts
            )
        if features is None:
            values = columns[f"{self.task.observation}_observations"]
            features = self._features(values)
        return VectorSearch(features)

    def _nearest(
        self, features: np.ndarray, missions: list[str], k: int, skip: list[slice] | None
    ) -> Neighbours:
        if isinstance(self._search, GridSearch):
            return self._search.nearest(features, missions, k, skip)
        return self._search.nearest(features, k, skip)

    def _features(self, values: np.ndarray) -> np.ndarray:
        if self.encode is None or self.task.observation != "image":
            return np.asarray(values)
        starts = range(0, len(values), FRAMES_AT_ONCE)
        return np.concatenate([self.encode(values[i : i + FRAMES_AT_ONCE]) for i in starts])

    def _values(self, observations: Sequence[Observation]) -> np.ndarray:
        name = f"{self.task.observation}_observation"
        return self._features(np.stack([np.asarray(o[name]) for o in observations]))

    def _following(self, row: int) -> int | None:
        """The next row of the same episode, if there is one."""
        episode, _ = self.place(row)
        return row + 1 if row + 1 < self.store.offsets[episode + 1] else None

    def _distance(self, observation: Observation, row: int) -> float:
        [values] = self._values([observation])
        if isinstance(self._search, VectorSearch):
            return float(self._search.distance(values, np.array([row]))[0])
        if self.mission(row) != observation.get("text_observation", ""):
            return np.inf
        return float(np.sqrt(np.sum(self._stored(np.array([row]))[0] != values)))

    def _stored(self, rows: np.ndarray) -> np.ndarray:
        if isinstance(self._search, VectorSearch):
            return self._search.vectors[rows]
        return self.store.columns["discrete_observations"][rows]

    def _own(self, rows: np.ndarray) -> list[slice]:
        """The rows of the episode that each row is in, or of its half of the only episode."""
        bounds = self.store.offsets
        if self.episodes == 1:
            bounds = np.array([0, bounds[-1] // 2, bounds[-1]])
        part = np.searchsorted(bounds, rows, side="right") - 1
        return [slice(*map(int, bounds[one : one + 2])) for one in part]


def encoder_digest(encode: Encoder) -> str:
    """Eight hexadecimal digits, which tell an encoder of frames from others."""
    frames = (np.arange(4 * 84 * 84) % 251).astype(np.uint8).reshape(1, 4, 84, 84)
    return hashlib.sha256(encode(frames).round(2).tobytes()).hexdigest()[:8]


def _open(task: Task, demonstrations: Demonstrations, count: int | None) -> EpisodeStore:
    if count is not None:
        count = whole_number(count, "count", 1)
    if isinstance(demonstrations, str | os.PathLike):
        demonstrations = _in(expanded(demonstrations), task)
    if isinstance(demonstrations, EpisodeStore):
        require(
            demonstrations.task.name == task.name,
            f"these are demonstrations of {demonstrations.task.name}, not of {task.name}",
        )
        have = len(demonstrations.lengths)
    else:
        demonstrations = _as_list(demonstrations)
        have = len(demonstrations)
    require(have > 0, f"{task.name} has no demonstration: record some with `jatlab record`")
    require(
        count is None or count <= have,
        f"count is {count}, but there are {have} demonstrations of {task.name}: record more",
    )
    if isinstance(demonstrations, EpisodeStore):
        return demonstrations if count is None else demonstrations.part(np.arange(count))
    return EpisodeStore.of_episodes(task, demonstrations[:count])


def _as_list(demonstrations: Iterable[Episode]) -> list[Episode]:
    """The episodes, of any iterable of them. Raises ValueError for anything else."""
    wanted = "expected a list of episodes, a store of them, or the folder of the data"
    if isinstance(demonstrations, Mapping):
        keys = shortened(list(demonstrations))
        raise ValueError(f"demonstrations is a dict of {keys}: {wanted}; of one episode, [episode]")
    try:
        each = iter(demonstrations)
    except TypeError:
        raise ValueError(f"demonstrations is {shortened(demonstrations)}: {wanted}") from None
    episodes = list(each)
    wrong = [one for one in episodes if not isinstance(one, Mapping)]
    require(not wrong, f"demonstrations holds {shortened(wrong[:1])}: {wanted}")
    return episodes


def _in(folder: Path, task: Task) -> EpisodeStore | list[Episode]:
    """The demonstrations in a folder of data. Frames stay on disk: an hour of them is gigabytes."""
    if task.observation == "image":
        return EpisodeStore.open(task, folder)
    return read_episodes(folder / task.name / "train", task)
