"""From a recipe to everything it stands for, resolved once: `resolve` makes a `Setup`.

A `Setup` names the model, what a batch predicts, how the agent plays, the tasks, and for each task
its window and weights. The trainer builds the model (`build_model`) and the data
(`jatlab.training.data`) from it, and does not come back to the recipe for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import load_agent
from jatlab.agents.checks import check_in_context
from jatlab.agents.settings import AgentSettings
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.objectives import Objective
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import expand, get_task, language_tasks, task_names
from jatlab.training.recipe import TrainConfig
from jatlab.training.state import checkpoints, newest
from jatlab.utils.checks import require

# of an in-context agent: it reads retrieved actions, and the next timestep is no consequence
IN_CONTEXT = {"hide_past_actions": False, "observation_loss_coef": 0.0}
RETRIEVED = 20  # timesteps before its observation, unless the recipe or its start has a number


@dataclass(frozen=True)
class Setup:
    """A recipe, resolved.

    Attributes:
        model: the model's configuration.
        objective: what a batch predicts.
        settings: how the agent plays.
        tokenizer: the agent's.
        start: the model whose weights to begin with, if any.
        before: what training these weights have had: steps, timesteps, minutes and recipe, and what
            was before that; None from nothing.
        tasks: their names.
        max_timesteps: of a window of each task; None for language: what the model holds.
        sampling_weights: how often each task's batches come, where that is not 1.
        loss_weights: of each task whose weight is not the published one.
    """

    model: JatConfig
    objective: Objective
    settings: AgentSettings
    tokenizer: TextTokenizer
    start: JatModel | None
    before: dict[str, Any] | None
    tasks: list[str]
    max_timesteps: dict[str, int | None]
    sampling_weights: dict[str, float]
    loss_weights: dict[str, float]


def resolve(config: TrainConfig) -> Setup:
    """What a recipe stands for.

    Raises:
        ValueError: for a recipe that contradicts itself, or an output folder that is in use.
        FileNotFoundError: if there is no such agent to start from, or no recorded task.
    """
    _check_output(config)
    agent = _starting_agent(config)
    model = _model_config(config, agent)
    settings = _play_settings(config, agent)
    model.check_windows(settings.windows)
    if config.in_context:
        check_in_context(settings, model, "in_context")
    config.objective().check(model)
    tasks = _task_names(config)
    return Setup(
        model=model,
        objective=config.objective(),
        settings=settings,
        tokenizer=agent.tokenizer if agent else TextTokenizer.load(model.tokenizer),
        start=agent.model if agent else None,
        before=_history(config, agent),
        tasks=tasks,
        max_timesteps={name: _window(name, config, model, settings) for name in tasks},
        sampling_weights=by_task(config.task_weights, tasks),
        loss_weights=by_task(config.loss_weights, tasks),
    )


def _check_output(config: TrainConfig) -> None:
    output = Path(config.output)
    used = checkpoints(output) or (output / "training.json").exists()
    require(
        config.resume or not used,
        f"{output} already holds a training run: go on with it (jatlab train --resume {output}), "
        "or choose another output folder",
    )


def _starting_agent(config: TrainConfig) -> Agent | None:
    """The agent to start from, if the recipe names one; in a resumed run its newest checkpoint."""
    if config.start is None:
        return None
    return load_agent(newest(Path(config.output)) if config.resume else config.start)


def _model_config(config: TrainConfig, agent: Agent | None) -> JatConfig:
    changes = (IN_CONTEXT if config.in_context else {}) | config.model
    if agent is None:
        return JatConfig.preset(config.size, **changes)
    return JatConfig.from_dict(agent.model.config.to_dict() | changes)


def _play_settings(config: TrainConfig, agent: Agent | None) -> AgentSettings:
    """The recipe's where it has some, else those of the agent that it starts from."""
    inherited = agent.settings if agent else AgentSettings()
    _check_domains(config.windows or {}, inherited.windows)
    names = ("temperature", "retrieved", "sharpness", "frame_encoder")
    given = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    settings = inherited.replace(windows={**inherited.windows, **(config.windows or {})}, **given)
    if not config.in_context:
        return settings.replace(retrieved=0)
    return settings.replace(retrieved=settings.retrieved or RETRIEVED)


def _check_domains(windows: Iterable[str], inherited: Iterable[str]) -> None:
    """Raise ValueError for a domain that no task is played in and the agent did not know."""
    known = {get_task(name).domain: None for name in task_names()} | dict.fromkeys(inherited)
    unknown = [domain for domain in windows if domain not in known]
    require(
        not unknown,
        f"windows names {', '.join(map(repr, unknown))}: expected domains of tasks that are "
        f"played, which are {', '.join(known)}",
    )


def _history(config: TrainConfig, agent: Agent | None) -> dict[str, Any] | None:
    if agent is None:
        return None
    if config.resume:
        return agent.info.get("before")
    told = ("step", "timesteps", "minutes", "recipe", "before")
    return {key: agent.info.get(key) for key in told}


def _task_names(config: TrainConfig) -> list[str]:
    """The tasks asked for; of patterns and domains those that are recorded.

    Of a stream, which is not recorded, all.
    """
    if config.stream and config.tasks:
        return expand(config.tasks)
    known = (*task_names(), *language_tasks())
    names = [name for name in known if is_recorded(name, config)]
    if config.tasks is not None:
        recorded = set(names)
        names = [n for n in expand(config.tasks) if n in recorded or n in config.tasks]
    if not names:
        raise FileNotFoundError(
            f"no recorded task in {config.data}; record some with `jatlab record TASK --episodes N`"
        )
    return names


def by_task(weights: dict[str, float], tasks: Iterable[str]) -> dict[str, float]:
    """Weights by pattern or domain, such as ``{"babyai-*": 2}``, as weights by task.

    A later entry overrides an earlier one. Raises ValueError for an entry that matches no task.
    """
    names, found = set(tasks), {}
    for pattern, weight in weights.items():
        matched = names.intersection(expand(pattern))
        require(
            matched,
            f"weight for {pattern!r}: none of the tasks trained on is called so: "
            f"{', '.join(sorted(names))}",
        )
        found.update(dict.fromkeys(matched, weight))
    return found


def is_recorded(name: str, config: TrainConfig) -> bool:
    """Whether the recipe's data folder has a task."""
    return (Path(config.data) / name / "train").is_dir()


def _window(
    name: str, config: TrainConfig, model: JatConfig, settings: AgentSettings
) -> int | None:
    """Timesteps of a task's windows, at most; None: the source decides."""
    task = get_task(name)
    if config.max_timesteps or not task.playable:
        return config.max_timesteps
    return model.window(task, settings.windows)


def build_model(setup: Setup, config: TrainConfig) -> JatModel:
    """The model to train, with weights drawn from the recipe's seed, or with those to start from.

    Raises ValueError for weights that do not fit.
    """
    torch.manual_seed(config.seed)
    model = JatModel(setup.model)
    model.objective = setup.objective
    model.check_inputs = False  # the data have been checked, when they were opened
    model.trunk.checkpoint_activations = config.checkpoint_activations
    if setup.start is not None:
        try:  # copied: a loaded agent's weights are mapped from its file
            model.load_state_dict(setup.start.state_dict())
        except RuntimeError as error:
            raise ValueError(
                f"{config.start} cannot be the start of a model with {config.model}: {error}"
            ) from None
    return model
