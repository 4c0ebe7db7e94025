"""The kit's evaluation: the agent plays a few tasks of each domain, on all cores."""

from __future__ import annotations

import os
from typing import Any

from jatlab.agents.checkpoints import load_agent
from jatlab.evaluation.evaluate import evaluate
from jatlab.utils.files import write_json
from scripts.gpu.arguments import parse

TASKS = [
    "babyai-go-to-local",
    "babyai-pickup-dist",
    "babyai-boss-level",
    "metaworld-reach",
    "metaworld-drawer-open",
    "metaworld-peg-insert-side",
    "mujoco-hopper",
    "mujoco-walker",
    "mujoco-ant",
    "atari-pong",
    "atari-boxing",
]


def main() -> None:
    """Play, and write report.json."""
    arguments = parse(__doc__)
    agent = load_agent(arguments.work / "agent")
    tasks = TASKS[:1] if arguments.rehearse else TASKS
    workers = 1 if arguments.rehearse else max(1, (os.cpu_count() or 2) - 1)
    options: dict[str, Any] = {"max_steps": 5} if arguments.rehearse else {}
    episodes = 2 if arguments.rehearse else 10
    results = evaluate(agent, tasks, episodes, workers=workers, progress=False, **options)
    write_json(arguments.output / "report.json", results)
    for name, domain in results["domains"].items():
        print(name, domain["by_teacher"]["mean"], domain["by_teacher"].get("mean_interval"))


if __name__ == "__main__":
    main()
