"""What a training run tells: a progress bar with the losses by domain, and ``log.jsonl`` with
everything.

A line of ``log.jsonl`` has ``step``, ``timesteps`` (without padding, of all processes),
``seconds``, ``lr``, ``gradient_norm``, ``timesteps_per_second``, ``loss`` (by task, the mean since
the line before) and, after a validation, ``validation`` (by task).
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import torch

from jatlab.data.mixture import BatchPlan
from jatlab.tasks import domain_of
from jatlab.utils.files import write_text


class Losses:
    """Losses of the batches since the last report. They stay tensors until asked for: reading each
    at once would make a GPU wait.
    """

    def __init__(self):
        self.seen: list[tuple[int, BatchPlan, torch.Tensor]] = []

    def add(self, step: int, plan: BatchPlan, loss: torch.Tensor) -> None:
        self.seen.append((step, plan, loss.detach()))

    def check(self) -> None:
        """Raise ValueError naming step, task and batch if a loss is not a finite number."""
        values = (
            torch.stack([loss for *_, loss in self.seen]).isfinite().tolist() if self.seen else []
        )
        for (step, plan, loss), finite in zip(self.seen, values, strict=True):
            if not finite:
                raise ValueError(
                    f"the loss is {loss.item()} for task {plan.task} at step {step}, {plan}. Nothing was saved since; go on from the last checkpoint with a "
                    "lower lr or clip, precision='fp32', or without these episodes if their values are huge"
                )

    def by_task(self, accelerator) -> dict[str, float]:
        """The mean loss of each task over all processes; starts over."""
        sums = defaultdict(lambda: [0.0, 0])
        for _, plan, loss in self.seen:
            sums[plan.task][0] += loss.item()
            sums[plan.task][1] += 1
        self.seen = []
        return mean_over_processes(sums, accelerator)


def mean_over_processes(sums: dict[str, list], accelerator) -> dict[str, float]:
    """{name: [sum, count]} of every process -> {name: mean}."""
    if accelerator.num_processes > 1:
        everyone: list[dict | None] = [None] * accelerator.num_processes
        torch.distributed.all_gather_object(everyone, dict(sums))
        sums = {
            name: [sum(s[name][i] for s in everyone if name in s) for i in (0, 1)]
            for name in {n for s in everyone for n in s}
        }
    return {name: total / count for name, (total, count) in sorted(sums.items())}


BAR = "{desc} {percentage:3.0f}%|{bar:20}| {n:.0f}/{total:.0f} {unit} [{elapsed}<{remaining}]{postfix}"


class Log:
    """The bar and the file. Goes on after ``step``: lines of later steps, written before a kill,
    are dropped.
    """

    def __init__(
        self, output: Path, step: int, total: float, unit: str, done: float, show: bool, write: bool
    ):
        from tqdm.auto import tqdm

        self.path, self.write = output / "log.jsonl", write
        if write:
            write_text(
                self.path,
                "".join(line for line in _lines(self.path) if json.loads(line)["step"] <= step),
            )
        self.bar = tqdm(
            total=total,
            initial=done,
            unit=unit,
            desc="training",
            disable=not show,
            dynamic_ncols=True,
            bar_format=BAR,
        )

    def line(self, record: dict, done: float) -> None:
        """Append ``record``, and move the bar to ``done``."""
        if self.write:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record, allow_nan=False) + "\n")
        self.bar.set_postfix_str(summary(record), refresh=False)
        self.bar.update(min(done, self.bar.total) - self.bar.n)


def _lines(path: Path) -> list[str]:
    """The whole lines of a log; a last one that was cut short is left out."""
    return (
        [
            line
            for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
            if line.endswith("\n")
        ]
        if path.exists()
        else []
    )


def read_log(output: str | Path) -> list[dict]:
    """The lines of a run's ``log.jsonl``, for plotting."""
    return [json.loads(line) for line in _lines(Path(output) / "log.jsonl")]


def summary(record: dict) -> str:
    """One line for the bar: losses by domain, then the rate."""
    domains = defaultdict(list)
    for task, loss in record["loss"].items():
        domains[domain_of(task)].append(loss)
    losses = "  ".join(
        f"{domain} {sum(values) / len(values):.4f}" for domain, values in sorted(domains.items())
    )
    return f"loss: {losses}  {record['timesteps_per_second']:,.0f} timesteps/s"
