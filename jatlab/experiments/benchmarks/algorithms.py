"""`jatlab bench`: what the algorithms gain, as ratios measured in one run on one machine.

Each measurement compares the package's way with the obvious one. A ratio holds on other machines;
seconds do not.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jatlab.agents.agent import Agent
from jatlab.experiments.benchmarks.apart import call_apart, peak_megabytes
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.encoders import DiscreteEncoder
from jatlab.model.inputs.door import check_inputs
from jatlab.model.linear.layer import Linear
from jatlab.model.linear.packing import packing
from jatlab.model.memory import Memory
from jatlab.model.transformer import MLP, sequence_masks
from jatlab.utils.console import say
from jatlab.utils.files import write_json

Call = Callable[[], object]  # what is timed
PASSES = 50  # of the encoder, timed together because one takes microseconds


@dataclass
class Ratio:
    """One line of the result: ``value`` should be at least ``target``."""

    name: str
    value: float
    target: float
    detail: str

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.value >= self.target

    def __str__(self) -> str:
        verdict = "ok  " if self.met else "MISS"
        value, target = f"{self.value:7.1f} x", f"(target {self.target:g} x)"
        return f"{verdict} {self.name:<58} {value}   {target}   {self.detail}"


def run(output: str | Path | None = None, progress: bool = True) -> list[Ratio]:
    """Measure everything, print a line for each ratio, and write ``output`` as JSON if given.

    With ``progress=False`` nothing is printed.
    """
    ratios = []
    for measure in (discrete_encoder, few_rows, acting_with_the_cache, lockstep, batches, door):
        for ratio in measure():
            if progress:
                say(ratio, flush=True)
            ratios.append(ratio)
        gc.collect()
    if output:
        write_json(output, as_dict(ratios))
    return ratios


def as_dict(ratios: list[Ratio]) -> dict[str, Any]:
    """The ratios with the machine's threads and torch, as JSON takes them."""
    found = [asdict(ratio) | {"met": ratio.met} for ratio in ratios]
    return {"threads": torch.get_num_threads(), "torch": torch.__version__, "ratios": found}


def alternate(ours: Call, other: Call, repeats: int = 5) -> tuple[float, float]:
    """Median seconds of both, after a warm-up.

    They are called in turn, so that a slow moment of the machine affects both.
    """
    ours()
    other()
    seconds = [(_seconds(ours), _seconds(other)) for _ in range(repeats)]
    first, second = np.median(seconds, axis=0)
    return float(first), float(second)


def _seconds(function: Call) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


# --- the discrete encoder -------------------------------------------------------------------------


def direct_encoder(encoder: DiscreteEncoder, ids: Tensor, rewards: Tensor) -> Tensor:
    """The encoder as the paper writes it: embed every integer at full width, then project."""
    x = F.relu(encoder.project(encoder._table[0](ids)))
    x = x.flatten(-2)  # (B, T, k, H) -> (B, T, k bottleneck)
    return torch.cat([encoder.mix(x), rewards[..., None]], dim=-1)


def _paper_encoder(form: str) -> tuple[DiscreteEncoder, Callable[[Tensor, Tensor], Tensor]]:
    """The encoder at the paper's sizes, and its forward pass, "ours" or "direct"."""
    config = JatConfig.preset("paper")
    encoder = DiscreteEncoder(config, nn.Embedding(config.vocab_size, config.hidden_size))
    if form == "ours":
        return encoder, encoder
    return encoder, lambda ids, rewards: direct_encoder(encoder, ids, rewards)


def _encoder_pass(form: str, timesteps: int) -> Call:
    """A forward and a backward pass on integers distributed as BabyAI's: few different ones."""
    torch.manual_seed(0)
    encoder, function = _paper_encoder(form)
    grid = torch.randint(0, 11, (1, timesteps, 148))
    mission = torch.randint(0, 40, (1, timesteps, 64)) + 1000
    ids, rewards = torch.cat([grid, mission], dim=-1), torch.zeros(1, timesteps)

    def once() -> None:
        function(ids, rewards).square().mean().backward()
        encoder.zero_grad()
        encoder._table[0].zero_grad()

    return once


def encoder_memory(form: str) -> float:
    """Megabytes that a pass adds to this process's peak."""
    once = _encoder_pass(form, 1024)
    before = peak_megabytes()
    once()
    return peak_megabytes() - before


def discrete_encoder() -> list[Ratio]:
    """Projecting distinct integers once, against projecting every integer.

    It must not be slower for a single timestep.
    """
    name, module = "discrete encoder, 1,024 timesteps", "jatlab.experiments.benchmarks.algorithms"
    ours, direct = alternate(_encoder_pass("ours", 1024), _encoder_pass("direct", 1024), repeats=3)
    detail = f"{1e3 * direct:.0f} -> {1e3 * ours:.0f} ms"
    ratios = [Ratio(f"{name}, time", direct / ours, 5, detail)]
    acting = alternate(_acting_encoder("ours"), _acting_encoder("direct"), repeats=9)
    ours, direct = (call_apart(module, "encoder_memory", form) for form in ("ours", "direct"))
    detail = f"{direct:.0f} -> {ours:.0f} MB"
    ratios.append(Ratio(f"{name}, memory", direct / ours, 5, detail))
    ours, direct = (1e6 * seconds / PASSES for seconds in acting)
    detail = f"{direct:.0f} -> {ours:.0f} us"
    return [*ratios, Ratio("discrete encoder, 1 timestep, acting, time", direct / ours, 1, detail)]


def _acting_encoder(form: str) -> Call:
    """Forward passes for one timestep."""
    encoder, function = _paper_encoder(form)
    encoder.eval()
    ids = torch.randint(0, 11, (1, 1, JatConfig.preset("paper").max_discrete_value))
    rewards = torch.zeros(1, 1)

    @torch.no_grad()
    def many() -> None:
        for _ in range(PASSES):
            function(ids, rewards)

    return many


# --- acting ---------------------------------------------------------------------------------------


@torch.no_grad()
def few_rows() -> list[Ratio]:
    """The two rows of a step times the matrices of `paper`'s MLPs, against `torch.nn.Linear`.

    Ours are the copies that an agent reads, where this processor has products for them. There are
    enough matrices that none stays in the processor's cache.
    """
    config = JatConfig.preset("paper")
    layers = [MLP(config) for _ in range(config.num_layers)]
    plain = [(layer.up.weight, layer.down.weight) for layer in layers]
    copies = [(_acting_copy(layer.up), _acting_copy(layer.down)) for layer in layers]
    rows = torch.randn(2, config.hidden_size)
    ours, linear = alternate(
        lambda: [down(up(rows)) for up, down in copies],
        lambda: [F.linear(F.linear(rows, up), down) for up, down in plain],
        repeats=9,
    )
    detail = f"{1e3 * linear:.0f} -> {1e3 * ours:.0f} ms"
    return [Ratio("two rows times 24 matrices, against F.linear", linear / ours, 1.3, detail)]


def _acting_copy(layer: Linear) -> Callable[[Tensor], Tensor]:
    """The layer as `jatlab.model.packed` computes it; itself where it cannot be packed."""
    kind = packing(layer.weight.detach(), 2)
    if kind is None:
        return layer
    copied = kind(layer.weight.detach())
    return lambda x: copied.product(x, layer.bias)


@torch.no_grad()
def acting_with_the_cache(timesteps: int = 256) -> list[Ratio]:
    """The 256th timestep at the paper's sizes: one cached step against a pass over all tokens."""
    model = JatModel(JatConfig.preset("paper")).eval()
    config = model.config
    memory = Memory(model, 1, "recompute", timesteps)
    observation, action = torch.randn(2, 1, config.hidden_size)
    index = torch.arange(2 * timesteps - 3)[None]
    memory.cache.reserve(index)
    for layer in range(config.num_layers):  # fill the cache
        head = config.hidden_size // config.num_heads
        keys, values = torch.randn(2, 1, config.num_heads, index.shape[1], head)
        memory.cache.extend(layer, keys, values)

    def cached() -> None:
        memory.time[:] = timesteps - 1
        memory.step(observation, action, torch.tensor([False]))

    tokens = torch.randn(1, 2 * timesteps - 1, config.hidden_size)

    def recomputed() -> None:
        model.trunk(tokens, sequence_masks(config, tokens.shape[1]))

    ours, whole = alternate(cached, recomputed)
    name = f"acting at {timesteps} timesteps, cache against recomputing"
    return [Ratio(name, whole / ours, 8, f"{1e3 * whole:.0f} -> {1e3 * ours:.0f} ms a step")]


def lockstep(environments: int = 32, steps: int = 40) -> list[Ratio]:
    """Agent-steps a second of `nano`: many environments in one pass, against a single one."""
    agent = Agent(JatModel(JatConfig.preset("nano")))
    many, one = alternate(lambda: _act(agent, environments, steps), lambda: _act(agent, 1, steps))
    ours, other = environments * steps / many, steps / one
    name = f"{environments} environments in lockstep against one"
    return [Ratio(name, ours / other, 6, f"{other:,.0f} -> {ours:,.0f} steps/s")]


def _act(agent: Agent, environments: int, steps: int) -> None:
    agent.reset(environments, "babyai-go-to-obj")
    grid = np.ones(148, dtype=np.int64)
    observation = {"discrete_observation": grid, "text_observation": "go to the red ball"}
    for t in range(steps):
        agent.act([observation] * environments, [0.0] * environments, [t == 0] * environments)


# --- batches --------------------------------------------------------------------------------------


def batches(episodes: int = 2000, batch_timesteps: int = 1024) -> list[Ratio]:
    """Timesteps a second that the mixture delivers from files, against what `nano` trains on."""
    from jatlab.data.mixture import Mixture
    from jatlab.data.windows import open_source, to_tensors
    from jatlab.model.tokenization import TextTokenizer

    config, task = JatConfig.preset("nano"), "babyai-go-to-local"
    with tempfile.TemporaryDirectory() as folder:
        _write_episodes(Path(folder), task, episodes)
        source = open_source(task, folder, config, TextTokenizer.load())
        mixture = Mixture([source], batch_timesteps)
        train = _training_step(JatModel(config))
        ready = [next(mixture) for _ in range(8)]
        tensors = [to_tensors(plan.load()) for plan in ready]
        delivery, training = alternate(
            lambda: [to_tensors(next(mixture).load()) for _ in range(8)],
            lambda: [train(batch) for batch in tensors],
        )
    timesteps = sum(plan.timesteps for plan in ready)
    trained, delivered = timesteps / training, timesteps / delivery
    detail = f"{trained:,.0f} timesteps/s trained, {delivered:,.0f} delivered"
    return [Ratio("batches delivered against nano's training", training / delivery, 10, detail)]


def _training_step(model: JatModel) -> Callable[[dict[str, Tensor]], None]:
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step(batch: dict[str, Tensor]) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _write_episodes(folder: Path, task: str, count: int) -> None:
    """Episodes of random content and of BabyAI's lengths, in files as `jatlab record` writes."""
    from jatlab.data.episodes import write_episodes
    from jatlab.tasks import get_task

    rng = np.random.default_rng(0)
    episodes = [
        {
            "text_observations": np.full(length, "go to the red ball", dtype=object),
            "discrete_observations": rng.integers(0, 8, (length, 148)),
            "discrete_actions": rng.integers(0, 7, length),
            "rewards": np.zeros(length),
        }
        for length in rng.integers(3, 13, count)
    ]
    write_episodes(folder / task / "train" / "00000.parquet", episodes, get_task(task))


# --- the door -------------------------------------------------------------------------------------


def door() -> list[Ratio]:
    """A training step of `nano` on an arm's windows, against the check of its arguments."""
    model = JatModel(JatConfig.preset("nano")).train()
    model.check_inputs = False
    inputs = {
        "continuous_observations": torch.randn(4, 32, 39),
        "continuous_actions": torch.randn(4, 32, 4),
        "rewards": torch.randn(4, 32),
        "attention_mask": torch.ones(4, 32, dtype=torch.long),
        "loss_weight": torch.ones(4, 32),
        "continuous_sizes": torch.tensor([[39, 4]] * 4),
    }
    step = _training_step(model)

    def checks() -> None:
        for _ in range(PASSES):
            check_inputs(model.config, torch.device("cpu"), inputs)

    check, trained = alternate(checks, lambda: step(inputs))
    check /= PASSES
    detail = f"{1e3 * trained:.1f} ms a step, {1e6 * check:.0f} us a check"
    return [Ratio("nano's training step against the door's check", trained / check, 50, detail)]
