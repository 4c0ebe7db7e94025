"""The data of a training run: a source for each task, some episodes held out, and the mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from jatlab.agents.checkpoints import load_agent
from jatlab.agents.retrieval.retrieve import frame_encoder
from jatlab.data.mixed import MixedSource, mix_alike
from jatlab.data.mixture import BatchPlan, Mixture, cut_batches
from jatlab.data.retrieval.context import ContextSource
from jatlab.data.sources import Source
from jatlab.data.symmetries import GridSymmetries
from jatlab.data.windows import WindowSource, open_source
from jatlab.training.recipe import TrainConfig
from jatlab.training.setup import Setup, is_recorded

if TYPE_CHECKING:
    from jatlab.data.language.pictures import PictureSource
    from jatlab.data.language.text import TextSource
    from jatlab.data.published.streams import StreamSource

    TaskSource: TypeAlias = WindowSource | TextSource | PictureSource | StreamSource


@dataclass(frozen=True)
class TrainingData:
    """What a run trains and validates on.

    Attributes:
        sources: the tasks' sources, without what is held out.
        mixture: the sequence of the batches to train on.
        held_out: the batches to validate on.
    """

    sources: Sequence[TaskSource]
    mixture: Mixture
    held_out: list[BatchPlan]


def open_sources(setup: Setup, config: TrainConfig) -> list[TaskSource]:
    """The source of each task; the data's flat copies are written where they are missing.

    Raises ValueError for data that the model cannot be trained on, and as `open_source` does.
    """
    return [_open(name, setup, config) for name in setup.tasks]


def _open(name: str, setup: Setup, config: TrainConfig) -> TaskSource:
    max_timesteps, loss_weight = setup.max_timesteps[name], setup.loss_weights.get(name)
    if config.stream and not is_recorded(name, config):
        from jatlab.data.published.streams import open_stream

        return open_stream(
            name,
            config.stream,
            setup.model,
            setup.tokenizer,
            config.seed,
            max_timesteps=max_timesteps,
            random_start=config.random_start,
            loss_weight=loss_weight,
            buffer=16 * config.batch_timesteps,
        )
    return open_source(
        name,
        config.data,
        setup.model,
        setup.tokenizer,
        max_timesteps,
        config.cache,
        config.random_start,
        loss_weight,
        config.without_missions,
    )


def arrange(sources: Sequence[TaskSource], setup: Setup, config: TrainConfig) -> TrainingData:
    """Hold some of each source out, and mix the rest."""
    splits = [source.split(config.val_fraction, config.seed) for source in sources]
    if config.in_context:
        splits = [_in_context(train, held, setup, config) for train, held in splits]
    train = [source for source, _ in splits]
    held_out = [
        plan for _, source in splits if source is not None for plan in _validation(source, config)
    ]
    mixed: Sequence[TaskSource | MixedSource] = train
    weights = setup.sampling_weights
    if config.mix:
        mixed, weights = mix_alike(train, weights)
    symmetries = GridSymmetries(setup.tokenizer) if config.symmetries else None
    mixture = Mixture(mixed, config.batch_timesteps, weights, config.seed, symmetries)
    return TrainingData(train, mixture, held_out)


def _in_context(
    train: TaskSource, held_out: Source | None, setup: Setup, config: TrainConfig
) -> tuple[ContextSource, ContextSource | None]:
    """Both sources, with what is retrieved before each timestep: only from episodes of the first.

    Raises ValueError for text and pictures, and for a task with one episode.
    """
    if not isinstance(train, WindowSource):
        raise ValueError(
            f"{train.name} is read, not played, and has nothing to retrieve: name the tasks to "
            "train in_context on"
        )
    play = setup.settings
    shown, arguments = train.episodes, (play.retrieved, play.sharpness, config.seed)
    frames = train.store.task.observation == "image"
    encoder = load_agent(play.frame_encoder) if frames and play.frame_encoder else None
    encode = frame_encoder(encoder) if frames else None
    context = ContextSource(train, shown, *arguments, encode, config.permute_actions)
    if not isinstance(held_out, WindowSource):
        return context, None
    return context, ContextSource(held_out, shown, *arguments, encode)


def _validation(source: Source, config: TrainConfig) -> list[BatchPlan]:
    """The batches of a source of held-out episodes that validation computes."""
    rng = np.random.default_rng(config.seed)
    windows = source.windows(rng)
    groups = cut_batches(windows[:, 1], config.batch_timesteps, rng)[: config.val_batches]
    return [BatchPlan(number, source, windows[group]) for number, group in enumerate(groups)]


def facts(sources: Sequence[TaskSource]) -> dict[str, dict[str, Any]]:
    """What a run was trained on, by task: episodes, timesteps, and a fingerprint of the content."""
    return {
        source.name: {
            "episodes": len(source.episodes),
            "timesteps": source.timesteps,
            "fingerprint": source.fingerprint,
        }
        for source in sources
    }
