"""What `jatlab bench --reference` measures beside the paper's size: what one waits for every day.

Acting with `mini`, one environment and 64 in lockstep, against the published way; batches from
files, against a list for each sample; and what long sequences cost. `run` calls all of it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jatlab.experiments.benchmarks.apart import peak_megabytes
from jatlab.experiments.benchmarks.reference.actors import (
    TIMES,
    actor,
    in_turn,
    model_of,
    plain_actor,
)
from jatlab.experiments.benchmarks.tables import table
from jatlab.model import JatModel
from jatlab.model.attention import DualAttention
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer

TOGETHER = 64  # environments in lockstep
EPISODES, BATCH = 400, 32  # of the files, and of a batch
ROOM = "babyai-go-to-local"
LENGTHS = (64, 256, 1024, 4096)  # tokens
WINDOW = 64  # of a local layer
ROLLOUT = (1_000, 10_000)  # timesteps
Found = dict[str, Any]


# --- acting with mini -----------------------------------------------------------------------------


def acting(kind: str, preset: str = "mini") -> Found:
    """Steps a second when the memory is full: the plain way, ours, and ours in lockstep."""
    torch.set_num_threads(1)
    model = model_of(preset, "float32")
    calls = {
        "plain": plain_actor(kind, preset),
        "one": actor(model, kind),
        "together": actor(model, kind, TOGETHER),
    }
    seconds = in_turn(calls, TIMES, 1)
    return {name: (TOGETHER if name == "together" else 1) / one for name, one in seconds.items()}


# --- batches from files ---------------------------------------------------------------------------


def delivery() -> Found:
    """Timesteps a second from Parquet files to tensors, of BabyAI's episodes.

    "lists": a Python list for each sample, collated. "first": ours with the flat copy that the
    first epoch makes. "later": ours from the flat copy.
    """
    from jatlab.data.windows import open_source
    from jatlab.experiments.benchmarks.algorithms import _write_episodes

    config, tokenizer = JatConfig.preset("mini"), TextTokenizer.load()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        _write_episodes(Path(folder), ROOM, EPISODES)
        lists = _rate(_from_lists(Path(folder) / ROOM / "train", tokenizer))
        started = time.perf_counter()
        source = open_source(ROOM, folder, config, tokenizer)
        laid_out = time.perf_counter() - started
        timesteps = source.timesteps
        later = _rate(_from_windows(source))
    first = timesteps / (laid_out + timesteps / later)
    return {"lists": lists, "first": first, "later": later}


def _rate(batches: Iterator[Tensor]) -> float:
    """Timesteps a second, by the mask (B, T) of each batch."""
    started = time.perf_counter()
    timesteps = sum(int(mask.sum()) for mask in batches)
    return timesteps / (time.perf_counter() - started)


def _from_windows(source: Any) -> Iterator[Tensor]:
    """Our batches of one epoch: each batch's mask."""
    from jatlab.data.windows import to_tensors

    windows = source.windows(np.random.default_rng(0))
    for first in range(0, len(windows), BATCH):
        yield to_tensors(source.batch(windows[first : first + BATCH]))["attention_mask"]


def _from_lists(folder: Path, tokenizer: TextTokenizer) -> Iterator[Tensor]:
    """The plain way: rows as Python lists, padded sample by sample, then tensors."""
    import pyarrow.parquet as pq

    rows = [
        row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]
    for first in range(0, len(rows), BATCH):
        yield _collate(rows[first : first + BATCH], tokenizer)["attention_mask"]


def _collate(rows: list[dict[str, Any]], tokenizer: TextTokenizer) -> dict[str, Tensor]:
    """A batch of samples, each padded with zeros to the longest."""
    longest = max(len(row["rewards"]) for row in rows)
    found: dict[str, list[list]] = {}
    for row in rows:
        length, missing = len(row["rewards"]), longest - len(row["rewards"])
        seen = [
            grid + tokenizer.encode(text)
            for grid, text in zip(
                row["discrete_observations"], row["text_observations"], strict=True
            )
        ]
        padded = {
            "discrete_observations": seen + [[0] * len(seen[0])] * missing,
            "discrete_actions": row["discrete_actions"] + [0] * missing,
            "rewards": row["rewards"] + [0.0] * missing,
            "attention_mask": [1] * length + [0] * missing,
        }
        for name, values in padded.items():
            found.setdefault(name, []).append(values)
    return {name: torch.tensor(values) for name, values in found.items()}


# --- long sequences -------------------------------------------------------------------------------


def lengths(preset: str = "mini") -> Found:
    """Microseconds a token of one layer, forward and backward, by the length of the sequence.

    "local" is in blocks, as jatlab computes it; "masked" is the same layer under a mask over the
    whole sequence; "global" is a global layer.
    """
    torch.set_num_threads(1)
    return {str(length): _layers(preset, length) for length in LENGTHS}


def _layers(preset: str, length: int) -> dict[str, float]:
    from jatlab.model.transformer import sequence_masks

    config = JatConfig.preset(preset, window_size=WINDOW, max_position_embeddings=max(LENGTHS))
    kinds = config.attention_layers
    layers = {kind: DualAttention(config, kinds.index(kind)) for kind in ("local", "global")}
    whole, blocks = (sequence_masks(config, length, in_blocks=each) for each in (False, True))
    x = torch.randn(1, length, config.hidden_size, requires_grad=True)

    def both_ways(kind: str, masks: Any) -> Any:
        return lambda: layers[kind](x, masks)[0].sum().backward()

    calls = {
        "local": both_ways("local", blocks),
        "masked": both_ways("local", whole),
        "global": both_ways("global", whole),
    }
    return {name: one / length for name, one in in_turn(calls, 5, 1e6).items()}


def rollout_memory(preset: str = "nano") -> Found:
    """Megabytes at the peak of one endless episode, after each number of timesteps."""
    from jatlab.agents.agent import Agent

    agent = Agent(JatModel(JatConfig.preset(preset)))
    agent.reset(1, "metaworld-reach")
    seen, found = {"continuous_observation": np.zeros(39, np.float32)}, {}
    for t in range(max(ROLLOUT) + 1):
        if t in ROLLOUT:
            found[str(t)] = peak_megabytes()
        agent.act(seen, 0.0, t == 0)
    return found


# --- tables ---------------------------------------------------------------------------------------


def as_tables(found: Found) -> list[str]:
    """The tables in Markdown."""
    held = found["rollout_memory"]
    told = " and ".join(f"{held[str(t)]:,.0f} MB after {t:,}" for t in ROLLOUT)
    return [
        table(*_acting_rows(found["mini"])),
        table(*_delivery_rows(found["delivery"])),
        table(*_length_rows(found["lengths"])),
        f"Memory of one endless episode, at its peak: {told} timesteps.",
    ]


def _acting_rows(found: Found) -> tuple[list[str], list[list[str]]]:
    head = ["`mini`, steps/s", "plain", "one", f"{TOGETHER} together"]
    head += ["one against plain", "together against one"]
    rows = []
    for kind, one in found.items():
        ratios = [one["one"] / one["plain"], one["together"] / one["one"]]
        rows.append([kind, *(f"{x:,.0f}" for x in one.values()), *(f"{x:.1f}" for x in ratios)])
    return head, rows


def _delivery_rows(found: Found) -> tuple[list[str], list[list[str]]]:
    head = ["batches of rooms from files", "timesteps/s", "against lists"]
    names = {"lists": "a list a sample", "first": "first epoch", "later": "later epochs"}
    return head, [
        [names[name], f"{rate:,.0f}", f"{rate / found['lists']:.1f}"]
        for name, rate in found.items()
    ]


def _length_rows(found: Found) -> tuple[list[str], list[list[str]]]:
    head = [f"tokens (local: {WINDOW} seen), µs a token", "local", "whole mask", "global"]
    return head, [
        [f"{int(length):,}", *(f"{value:.1f}" for value in one.values())]
        for length, one in found.items()
    ]
