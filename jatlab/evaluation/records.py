"""The record of each task that was played: who played it, with which settings, and its episodes.

A record is written as soon as its task is complete, so a stopped evaluation goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jatlab.evaluation.playing import Episode, EvaluatedAgent, PlaySettings
from jatlab.utils.files import write_json

Record = dict[str, Any]  # task, agent, settings, seconds, episodes: as `Records.add` makes it


def identity(agent: EvaluatedAgent) -> dict[str, Any]:
    """Who plays: what tells one agent from another in a record.

    Returns:
        `name`; `parameters`, their number (None without a model); `fingerprint`, sixteen
        hexadecimal digits of the weights' SHA-256 (of the name without a model); `plays`, what
        else decides its actions: its settings but the temperature (which an evaluation sets), its
        `context` and the demonstrations that it plays from.
    """
    model = getattr(agent, "model", None)
    name = getattr(agent, "info", {}).get("name") or type(agent).__name__
    if model is None:
        digest, parameters = hashlib.sha256(name.encode()), None
    else:
        digest, parameters = hashlib.sha256(), sum(p.numel() for p in model.parameters())
        for key, tensor in sorted(model.state_dict().items()):
            values = tensor.detach().float().cpu().contiguous().numpy()
            digest.update(key.encode() + values.tobytes())
    who = {"name": name, "parameters": parameters, "fingerprint": digest.hexdigest()[:16]}
    return who | {"plays": _ways(agent)}


def _ways(agent: EvaluatedAgent) -> dict[str, Any]:
    """What decides an agent's actions beside its weights; for JSON."""
    settings = getattr(agent, "settings", None)
    ways = {} if settings is None else asdict(settings)
    ways.pop("temperature", None)
    beside = {key: getattr(agent, key, None) for key in ("context", "demonstrations")}
    return ways | {key: value for key, value in beside.items() if value is not None}


@dataclass(frozen=True)
class Records:
    """The records of one agent with one set of settings.

    Args:
        agent: who plays, as `identity` describes.
        settings: how it plays.
        folder: where the records are kept, a file each; nowhere if None.
    """

    agent: dict[str, Any]
    settings: PlaySettings
    folder: Path | None

    def read(self, tasks: list[str]) -> dict[str, Record]:
        """The records of earlier runs into the same folder, by task.

        Raises:
            ValueError: a file is no record, or of another agent or other settings.
        """
        if self.folder is None:
            return {}
        paths = {task: self.folder / f"{task}.json" for task in tasks}
        records = {task: read_record(path) for task, path in paths.items() if path.exists()}
        for task, record in records.items():
            self._require_same(paths[task], record)
        return records

    def add(self, task: str, episodes: list[Episode], seconds: float) -> Record:
        """Write the record of a task that is complete, and return it."""
        record = {
            "task": task,
            "agent": self.agent,
            "settings": asdict(self.settings),
            "seconds": seconds,
            "episodes": [asdict(episode) for episode in episodes],
        }
        if self.folder is not None:
            write_json(self.folder / f"{task}.json", record)
        return record

    def _require_same(self, path: Path, record: Record) -> None:
        """Refuse the record of another evaluation; only `envs` may differ."""
        wanted = _compared(asdict(self.settings), self.agent)
        found = _compared(record["settings"], record["agent"])
        unlike = [
            f"{key} {found.get(key)!r} instead of {wanted.get(key)!r}"
            for key in (*wanted, *(found.keys() - wanted.keys()))
            if found.get(key) != wanted.get(key)
        ]
        if unlike:
            raise ValueError(
                f"{path} is of another evaluation: {', '.join(unlike)}. "
                f"Choose another output folder, or delete {path.parent}"
            )


def _compared(settings: dict[str, Any], agent: dict[str, Any]) -> dict[str, Any]:
    """What must be the same in the records of one evaluation."""
    kept = {key: value for key, value in settings.items() if key != "envs"}
    return kept | {"agent": agent["fingerprint"], **agent.get("plays", {})}


def read_record(path: Path) -> Record:
    """The record of one task. Raises `ValueError` when the file is not one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if {"task", "agent", "settings", "episodes"} <= record.keys():
            return record
    except (ValueError, AttributeError):
        pass
    raise ValueError(
        f"{path} is not the record of an evaluated task; delete it, and the task is played again"
    )
