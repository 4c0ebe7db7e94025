"""Which controller plays each Meta-World task, and with what numbers.

They are stored in ``metaworld.json``, which ``jatlab.teachers.fitting.tune`` fills. Importing this
module imports no environment.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from jatlab.teachers.funnel import Funnel
from jatlab.utils.files import ASSETS

TUNED_FILE = ASSETS / "controllers" / "metaworld.json"


@dataclass(frozen=True)
class Gains:
    """How a scripted policy's action is changed (see ``jatlab.teachers.metaworld``).

    The defaults leave the action unchanged.
    """

    speed: float = 1.0
    damping: float = 0.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    grip: float = 1.0


UNTUNED = Gains()


@cache
def _tuned() -> dict[str, dict[str, Any]]:
    return json.loads(TUNED_FILE.read_text()) if TUNED_FILE.exists() else {}


def tuned_parameters(task_name: str) -> Gains | Funnel:
    """The best parameters found for a task: gains for its script, or a funnel.

    A task that was never tuned gets the plain script.
    """
    stored = _tuned().get(task_name, {})
    entry: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()
    }
    kind = entry.pop("kind", "script")
    return Funnel(**entry) if kind == "funnel" else Gains(**entry)


def store_parameters(task_name: str, parameters: Gains | Funnel) -> None:
    """Put a task's parameters into ``metaworld.json``, a line a task."""
    known = json.loads(TUNED_FILE.read_text()) if TUNED_FILE.exists() else {}
    kind = "funnel" if isinstance(parameters, Funnel) else "script"
    known[task_name] = {"kind": kind} | asdict(parameters)
    lines = [f"{json.dumps(task)}: {json.dumps(known[task])}" for task in sorted(known)]
    TUNED_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    _tuned.cache_clear()
