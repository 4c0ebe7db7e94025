"""The kit's benchmark: how fast a GPU trains and acts.

A training step is forward and backward pass in bfloat16 and AdamW, on made-up full windows. Batches
are doubled until the memory is full or nothing is gained. Every line is written as soon as it is
measured, so that a kit that runs out of time has what it measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jatlab.agents.agent import Agent
from jatlab.experiments.benchmarks.cost import full_window, training_flops
from jatlab.experiments.benchmarks.device import made_up
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task, make_env
from jatlab.training.on_device.static import static_loss
from jatlab.utils.files import write_json
from scripts.gpu.arguments import device, parse

KINDS = ("continuous", "discrete", "image", "text", "picture")
# "plain" is `PlainJat`, the published model on GPT-Neo; the others train a `JatModel`. "compile"
# beside them, where there is time
WAYS = ("plain", "static", "usual", "graph")
SEARCHED = {"plain": (16, 3), "static": (32, 99)}  # first rows of a batch, and doublings at most
PEAK = 989e12  # FLOP/s of an H100 or H200 in dense bfloat16, by the datasheet
SECONDS = 0.4  # of each measurement
OWN = JatConfig.preset("mini").tokenizer  # the published one may not be on that machine
STOP_AFTER = 170.0  # seconds of the whole benchmark
ACTING = {"metaworld-reach": "continuous", "babyai-go-to": "discrete", "atari-pong": "image"}


@dataclass
class Line:
    """One measurement of training, or of acting (`environments` above 0; milliseconds a step)."""

    preset: str
    kind: str
    way: str
    rows: int = 0
    tokens_per_second: float = 0.0
    utilisation: float = 0.0
    gigabytes: float = 0.0
    environments: int = 0
    milliseconds: float = 0.0
    failed: str = ""


class Bench:
    """Measures while there is time."""

    def __init__(self, place: torch.device, rehearse: bool) -> None:
        self.place, self.rehearse = place, rehearse
        self.lines: list[Line] = []
        self.rows: dict[tuple[str, str], int] = {}  # of the fastest batch, by preset and kind
        self.end = time.monotonic() + (20 if rehearse else STOP_AFTER)

    def run(self, write: Callable[[dict], object]) -> None:
        """All measurements, the most wanted first."""
        for line in self.measurements():
            self.lines.append(line)
            print(line, flush=True)
            write(self.results())
            if time.monotonic() > self.end:
                print("out of time: the rest is not measured", flush=True)
                return

    def results(self) -> dict:
        """What bench.json holds."""
        name = torch.cuda.get_device_name() if self.place.type == "cuda" else "processor"
        about = {"device": name, "torch": torch.__version__, "peak": PEAK}
        return about | {"lines": [asdict(line) for line in self.lines]}

    def measurements(self) -> Iterator[Line]:
        """Every preset, kind and way, and acting; what is most wanted comes first."""
        if self.rehearse:
            for kind in KINDS[:2]:
                yield from self.train("nano", kind, tuple(w for w in WAYS if w != "graph"))
            yield from self.act_all("nano")
            return
        for preset, kinds in (("mini", KINDS[:2]), ("paper", ("continuous", "text", "discrete"))):
            for kind in kinds:
                yield from self.train(preset, kind, WAYS)
        yield from self.act_all("paper")
        for preset, kinds in (("paper", ("image", "picture")), ("mini", KINDS[2:])):
            for kind in kinds:
                yield from self.train(preset, kind, WAYS)
        yield from self.compiled("paper", "continuous")
        yield from self.act_all("mini")
        for preset, kind in (("paper", "text"), ("mini", "continuous"), ("paper", "discrete")):
            yield from self.compiled(preset, kind)

    # --- training

    def train(self, preset: str, kind: str, ways: tuple[str, ...]) -> Iterator[Line]:
        """Doubled batches in the ways `SEARCHED`; the others with the batch best for static."""
        for way in ways:
            if way in SEARCHED:
                yield from self.doubled(preset, kind, way)
            elif time.monotonic() < self.end:
                yield from self.halved(preset, kind, way)

    def doubled(self, preset: str, kind: str, way: str) -> Iterator[Line]:
        """Doubled batches, until the memory is full or nothing is gained."""
        rows, doublings = (2, 0) if self.rehearse else SEARCHED[way]
        best, tried = 0.0, list[Line]()
        while time.monotonic() < self.end and len(tried) <= doublings:
            line = self.tried(preset, kind, way, rows)
            tried.append(line)
            yield line
            if line.failed or line.tokens_per_second < 1.05 * best:
                break
            best, rows = line.tokens_per_second, 2 * rows
        if tried and way == "static":
            self.rows[preset, kind] = max(tried, key=lambda line: line.tokens_per_second).rows

    def halved(self, preset: str, kind: str, way: str) -> Iterator[Line]:
        """One measurement, with fewer rows where memory is too small for this way."""
        rows = self.rows[preset, kind]
        while rows and time.monotonic() < self.end:
            line = self.tried(preset, kind, way, rows)
            yield line
            if "OutOfMemory" not in line.failed:
                return
            rows //= 2

    def compiled(self, preset: str, kind: str) -> Iterator[Line]:
        """The compiled way, which takes long to begin."""
        if (preset, kind) in self.rows:
            yield from self.halved(preset, kind, "compile")

    def tried(self, preset: str, kind: str, way: str, rows: int) -> Line:
        """One measurement, or why there is none: out of memory, a way that does not work here."""
        try:
            return self.train_rows(preset, kind, way, rows)
        except Exception as error:
            return Line(preset, kind, way, rows, failed=f"{type(error).__name__}: {error}"[:200])
        finally:
            if self.place.type == "cuda":
                torch.cuda.empty_cache()

    def train_rows(self, preset: str, kind: str, way: str, rows: int) -> Line:
        """One measurement of a training step."""
        config = JatConfig.preset(preset)
        window = full_window(config, kind, 8 if self.rehearse and kind != "picture" else None)
        torch.manual_seed(0)
        model = made_model(config, way).to(self.place).train()
        batch = {n: x.to(self.place) for n, x in made_up(config, window, rows, self.place).items()}
        if "input_ids" in batch:
            batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        if self.place.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = self.seconds(training_step(model, batch, way))
        used = torch.cuda.max_memory_allocated() / 1e9 if self.place.type == "cuda" else 0.0
        utilisation = rows * training_flops(config, window) / seconds / PEAK
        speed = rows * window.tokens / seconds
        return Line(preset, kind, way, rows, round(speed), round(utilisation, 4), round(used, 2))

    def seconds(self, step: Callable[[], object]) -> float:
        """The mean time of a step, after three that warm up."""
        for _ in range(1 if self.rehearse else 3):
            step()
        self.wait()
        started, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - started) < (0.05 if self.rehearse else SECONDS):
            for _ in range(1 if self.rehearse else 5):
                step()
                count += 1
            self.wait()
        return spent / count if count else time.perf_counter() - started

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        if self.place.type == "cuda":
            torch.cuda.synchronize()

    # --- acting

    def act_all(self, preset: str) -> Iterator[Line]:
        """Decisions in one environment and in many."""
        for task in ACTING:
            yield from (self.act(preset, task, n) for n in (1, 64, 1024))

    def act(self, preset: str, task: str, environments: int) -> Line:
        """A decision in this many environments at once."""
        if self.rehearse and environments > 2:
            environments = 2
        line = Line(preset, ACTING[task], "acting", environments=environments)
        try:
            line.milliseconds = round(1000 * self.act_seconds(preset, task, environments), 3)
        except Exception as error:
            line.failed = f"{type(error).__name__}: {error}"[:200]
        return line

    @torch.no_grad()
    def act_seconds(self, preset: str, task: str, environments: int) -> float:
        """Seconds of a decision, sixteen timesteps into the episode."""
        agent = Agent(JatModel(JatConfig.preset(preset)).to(self.place), TextTokenizer.load(OWN))
        observation = first_observation(task)
        observations, rewards = [observation] * environments, np.zeros(environments, np.float32)
        agent.reset(environments, get_task(task))
        starts = np.ones(environments, bool)

        def step() -> None:
            agent.act(observations, rewards, starts)
            starts[:] = False

        for _ in range(2 if self.rehearse else 16):
            step()
        return self.seconds(step)


def first_observation(task: str) -> dict:
    """What an environment shows first."""
    env = make_env(task, render_mode=None)
    try:
        return env.reset(seed=0)[0]
    finally:
        env.close()


def made_model(config: JatConfig, way: str) -> torch.nn.Module:
    """The model that is trained in this way."""
    if way == "plain":
        from jatlab.experiments.benchmarks.reference.plain import PlainJat  # needs transformers

        return PlainJat(config)
    return JatModel(config)


def training_step(model: Any, batch: dict[str, Tensor], way: str) -> Callable[[], object]:
    """A function that trains on the batch once, in one of `WAYS`; the model is `made_model`'s."""
    place = next(iter(batch.values())).device.type
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    compiled = torch.compile(static_loss, fullgraph=True, dynamic=False)
    losses: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: model(**batch).loss,
        "usual": lambda: model(**batch).loss,
        "static": lambda: static_loss(model, batch),
        "graph": lambda: static_loss(model, batch),
        "compile": lambda: compiled(model, batch),
    }

    def backward() -> None:
        with torch.autocast(place, torch.bfloat16):
            loss = losses[way]()
        loss.backward()

    def step() -> None:
        optimizer.zero_grad(set_to_none=way != "graph")
        captured()
        optimizer.step()

    captured = captured_graph(backward) if way == "graph" else backward
    return step


def captured_graph(work: Callable[[], None]) -> Callable[[], None]:
    """The work as one CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def main() -> None:
    """Measure, and write bench.json after every line."""
    arguments = parse(__doc__)
    Bench(device(), arguments.rehearse).run(
        lambda r: write_json(arguments.output / "bench.json", r)
    )


if __name__ == "__main__":
    main()
