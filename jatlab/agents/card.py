"""A plain card for an agent that has not been evaluated: what it is and how it came about.

`jatlab evaluate` writes a fuller one, with scores (`jatlab.viz.report.model_card`).
"""

from __future__ import annotations

from typing import Any

from jatlab.agents.settings import AgentSettings
from jatlab.model import JatModel
from jatlab.tasks import domain_of

TAGS = ("reinforcement-learning", "jat", "generalist-agent", "imitation-learning")
USE = """\
```python
import jatlab  # pip install "jatlab[envs]"

agent = jatlab.load_agent("OWNER/NAME, or this folder")
env = jatlab.make_env("{task}", seed=1_000_000)
print(jatlab.rollout(agent, env, seed=1_000_000)["return"])
```"""


def agent_card(model: JatModel, settings: AgentSettings, info: dict[str, Any]) -> str:
    """The card, in Markdown with YAML front matter.

    Args:
        model: the network.
        settings: how the agent plays.
        info: of `training.json`, and the name.
    """
    tasks = list(info.get("data") or {})
    name = str(info.get("name") or "agent")
    sections = {
        "Use it": USE.format(task=next(iter(tasks), "babyai-go-to-obj")),
        "How it plays": _play(settings),
        "How it was trained": _training(info, tasks),
        "Scores": "It has not been evaluated: `jatlab evaluate` writes a card with scores.",
    }
    parts = [_front_matter(tasks), f"# {name}", _about(model)]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def _front_matter(tasks: list[str]) -> str:
    tags = [*TAGS, *dict.fromkeys(map(domain_of, tasks))]
    lines = ["---", "library_name: jatlab", "pipeline_tag: reinforcement-learning", "tags:"]
    return "\n".join([*lines, *(f"- {tag}" for tag in tags), "---"])


def _about(model: JatModel) -> str:
    config, count = model.config, sum(p.numel() for p in model.parameters())
    return (
        "A generalist agent of [jatlab](https://github.com/jatlab/jatlab), in the architecture of "
        f"JAT ([arXiv 2402.09844](https://arxiv.org/abs/2402.09844)): {count:,} parameters, "
        f"{config.num_layers} layers of width {config.hidden_size}, which see at most "
        f"{config.max_timesteps} timesteps."
    )


def _play(settings: AgentSettings) -> str:
    windows = ", ".join(f"{steps} in {domain}" for domain, steps in settings.windows.items())
    remembered = f"It remembers so many timesteps: {windows}." if windows else ""
    drawn = f"Discrete actions are drawn at temperature {settings.temperature:g}."
    return f"{drawn} {remembered}".strip()


def _training(info: dict[str, Any], tasks: list[str]) -> str:
    if not info.get("step"):
        return "Nothing is known about its training."
    before = info.get("before") or {}
    after = f", after {before['step']:,} steps of an earlier training" if before.get("step") else ""
    versions = ", ".join(f"{name} {version}" for name, version in info.get("versions", {}).items())
    lines = [
        f"{info['step']:,} steps, {info.get('timesteps', 0):,} timesteps, "
        f"{info.get('minutes', 0):g} minutes on {info.get('device', 'a machine')}{after}.",
        f"Tasks: {', '.join(f'`{task}`' for task in tasks)}." if tasks else "",
        f"Versions: {versions}." if versions else "",
    ]
    return "\n\n".join(line for line in lines if line)
