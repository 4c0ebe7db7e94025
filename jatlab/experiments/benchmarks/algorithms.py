"""`jatlab bench`: what the algorithms buy, as ratios measured in one run on one machine.

Each measurement pits the package's way against the obvious one. A ratio travels between machines;
seconds do not.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jatlab.agents.agent import Agent
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.encoders import DiscreteEncoder
from jatlab.model.memory import Memory
from jatlab.model.transformer import sequence_masks
from jatlab.utils.files import write_json
from jatlab.utils.machine import call_apart, peak_megabytes


@dataclass
class Ratio:
    """One line of the result: `value` is to be at least `target`."""

    name: str
    value: float
    target: float
    detail: str

    @property
    def met(self) -> bool:
        return self.value >= self.target

    def __str__(self) -> str:
        return f"{'ok  ' if self.met else 'MISS'} {self.name:<58} {self.value:7.1f} x   (target {self.target:g} x)   {self.detail}"


def run(output: str | Path | None = None) -> list[Ratio]:
    """Measure everything, print a line each, and write `output` as JSON if given."""
    ratios = []
    for measure in (discrete_encoder, acting_with_the_cache, lockstep, batches):
        for ratio in measure():
            print(ratio, flush=True)
            ratios.append(ratio)
        gc.collect()
    if output:
        write_json(
            output,
            {
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "ratios": [asdict(r) | {"met": r.met} for r in ratios],
            },
        )
    return ratios


def alternate(ours: Callable, other: Callable, repeats: int = 5) -> tuple[float, float]:
    """Median seconds of both, called in turn after a warm-up, so that a slow moment of the machine
    meets both.
    """
    ours(), other()
    seconds = [(_seconds(ours), _seconds(other)) for _ in range(repeats)]
    return tuple(float(median) for median in np.median(seconds, axis=0))


def _seconds(function: Callable) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


# --- the discrete encoder
# ----------------------------------------------------------------------------------------------------


def direct_encoder(encoder: DiscreteEncoder, ids: Tensor, rewards: Tensor) -> Tensor:
    """The encoder as the paper writes it: embed every integer at full width, then project."""
    x = F.relu(encoder.project(encoder._table[0](ids))).flatten(
        -2
    )  # (B, T, k, H) -> (B, T, k bottleneck)
    return torch.cat([encoder.mix(x), rewards[..., None]], dim=-1)


def _encoder_pass(form: str, timesteps: int) -> Callable:
    """One forward and backward pass at the paper's sizes, on integers distributed as BabyAI's: few
    distinct ones.
    """
    torch.manual_seed(0)
    config = JatConfig.preset("paper")
    encoder = DiscreteEncoder(config, nn.Embedding(config.vocab_size, config.hidden_size))
    grid, mission = (
        torch.randint(0, 11, (1, timesteps, 148)),
        torch.randint(0, 40, (1, timesteps, 64)) + 1000,
    )
    ids, rewards = torch.cat([grid, mission], dim=-1), torch.zeros(1, timesteps)
    function = encoder if form == "ours" else lambda *inputs: direct_encoder(encoder, *inputs)

    def once() -> None:
        function(ids, rewards).square().mean().backward()
        encoder.zero_grad(), encoder._table[0].zero_grad()

    return once


def encoder_memory(form: str) -> float:
    """Megabytes that a pass adds to this process's peak."""
    once = _encoder_pass(form, 1024)
    before = peak_megabytes()
    once()
    return peak_megabytes() - before


def discrete_encoder() -> list[Ratio]:
    """Distinct integers projected once, against every integer projected; and never slower for a
    single timestep.
    """
    ours, direct = alternate(_encoder_pass("ours", 1024), _encoder_pass("direct", 1024), repeats=3)
    one_ours, one_direct = alternate(_acting_encoder("ours"), _acting_encoder("direct"), repeats=9)
    memory = {
        form: call_apart("jatlab.experiments.benchmarks.algorithms", "encoder_memory", form)
        for form in ("ours", "direct")
    }
    return [
        Ratio(
            "discrete encoder, 1,024 timesteps, time",
            direct / ours,
            5,
            f"{1e3 * direct:.0f} -> {1e3 * ours:.0f} ms",
        ),
        Ratio(
            "discrete encoder, 1,024 timesteps, memory",
            memory["direct"] / memory["ours"],
            5,
            f"{memory['direct']:.0f} -> {memory['ours']:.0f} MB",
        ),
        Ratio(
            "discrete encoder, 1 timestep, acting, time",
            one_direct / one_ours,
            1,
            f"{1e6 * one_direct / 50:.0f} -> {1e6 * one_ours / 50:.0f} us",
        ),
    ]


def _acting_encoder(form: str) -> Callable:
    config = JatConfig.preset("paper")
    encoder = DiscreteEncoder(config, nn.Embedding(config.vocab_size, config.hidden_size)).eval()
    ids, rewards = torch.randint(0, 11, (1, 1, config.max_discrete_value)), torch.zeros(1, 1)
    function = encoder if form == "ours" else lambda *inputs: direct_encoder(encoder, *inputs)

    @torch.no_grad()
    def many() -> None:
        for _ in range(50):
            function(ids, rewards)

    return many


# --- acting
# ------------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def acting_with_the_cache(timesteps: int = 256) -> list[Ratio]:
    """The 256th timestep at the paper's sizes: one cached step against a pass over all 512 tokens."""
    model = JatModel(JatConfig.preset("paper")).eval()
    memory = Memory(model, 1, "recompute", timesteps)
    observation, action = torch.randn(2, 1, model.config.hidden_size)
    index = torch.arange(2 * timesteps - 3)[None]
    memory.cache.reserve(index)
    for layer in range(model.config.num_layers):  # a cache as full as it gets
        memory.cache.extend(
            layer,
            *torch.randn(
                2,
                1,
                model.config.num_heads,
                index.shape[1],
                model.config.hidden_size // model.config.num_heads,
            ),
        )

    def cached() -> None:
        memory.time[:] = timesteps - 1
        memory.step(observation, action, torch.tensor([False]))

    tokens = torch.randn(1, 2 * timesteps - 1, model.config.hidden_size)
    ours, whole = alternate(
        cached, lambda: model.trunk(tokens, sequence_masks(model.config, tokens.shape[1]))
    )
    return [
        Ratio(
            "acting at 256 timesteps, cache against recomputing",
            whole / ours,
            8,
            f"{1e3 * whole:.0f} -> {1e3 * ours:.0f} ms a step",
        )
    ]


def lockstep(environments: int = 32, steps: int = 40) -> list[Ratio]:
    """Agent-steps a second of `nano`: many environments in one pass against one alone."""
    agent = Agent(JatModel(JatConfig.preset("nano")))
    many, one = alternate(lambda: _act(agent, environments, steps), lambda: _act(agent, 1, steps))
    rates = environments * steps / many, steps / one
    return [
        Ratio(
            f"{environments} environments in lockstep against one",
            rates[0] / rates[1],
            6,
            f"{rates[1]:,.0f} -> {rates[0]:,.0f} steps/s",
        )
    ]


def _act(agent: Agent, environments: int, steps: int) -> None:
    agent.reset(environments, "babyai-go-to-obj")
    observation = {
        "discrete_observation": np.ones(148, dtype=np.int64),
        "text_observation": "go to the red ball",
    }
    for t in range(steps):
        agent.act([observation] * environments, [0.0] * environments, [t == 0] * environments)


# --- batches
# -----------------------------------------------------------------------------------------------------------------


def batches(episodes: int = 2000, batch_timesteps: int = 1024) -> list[Ratio]:
    """Timesteps a second that the mixture delivers, from files on disk, against what training
    `nano` consumes.
    """
    from jatlab.data.mixture import Mixture
    from jatlab.data.windows import open_source, to_tensors
    from jatlab.model.tokenization import TextTokenizer

    config, task = JatConfig.preset("nano"), "babyai-go-to-local"
    with tempfile.TemporaryDirectory() as folder:
        _write_episodes(Path(folder), task, episodes)
        mixture = Mixture(
            [open_source(task, folder, config, TextTokenizer.load())], batch_timesteps
        )
        train = _training_step(JatModel(config))
        ready = [next(mixture) for _ in range(8)]
        tensors = [to_tensors(plan.load()) for plan in ready]
        delivery, training = alternate(
            lambda: [to_tensors(next(mixture).load()) for _ in range(8)],
            lambda: [train(batch) for batch in tensors],
        )
    timesteps = sum(plan.timesteps for plan in ready)
    detail = (
        f"{timesteps / training:,.0f} timesteps/s trained, {timesteps / delivery:,.0f} delivered"
    )
    return [Ratio("batches delivered against nano's training", training / delivery, 10, detail)]


def _training_step(model: JatModel) -> Callable:
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step(batch: dict) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step(), optimizer.zero_grad()

    return step


def _write_episodes(folder: Path, task: str, count: int) -> None:
    """Episodes of random content and of BabyAI's lengths, in files as `jatlab record` writes them."""
    from jatlab.data.episodes import write_episodes
    from jatlab.tasks import get_task

    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 13, count)
    episodes = [
        {"text_observations": ["go to the red ball"] * n, "discrete_observations": rng.integers(0, 8, (n, 148)), "discrete_actions": rng.integers(0, 7, n), "rewards": np.zeros(n)}
        for n in lengths
    ]  # fmt: skip
    write_episodes(folder / task / "train" / "00000.parquet", episodes, get_task(task))
