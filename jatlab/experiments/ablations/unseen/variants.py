"""The variants that are shown a few demonstrations of a task."""

from __future__ import annotations

from jatlab.experiments.ablations.new_tasks import NEW_TASKS
from jatlab.experiments.ablations.variants import GAME, OBJECT, Variant

SHOWN = (1, 5, 25, 100)  # demonstrations of a task that was never seen
STEPS = 150  # of training on them
BODY_STEPS = 600  # after 150 a hopper still falls (docs/results/log.md)
# a mission decides, or a few pixels
HARD_TO_RETRIEVE = (OBJECT, "babyai-open-door", GAME, "atari-pong")


def held_out(tasks: tuple[str, ...], steps: int = STEPS) -> tuple[Variant, ...]:
    """Each method with a few demonstrations of each task, beside an agent that has none.

    ``steps`` are those of the training on them.
    """
    methods = {
        "retrieve and play": "retrieve",
        "cloned": "clone",
        "fine-tuned": "fine-tune",
        "LoRA": "lora",
        "in-context": "in-context",
        "in-context, tuned": "in-context-tuned",
    }
    none = Variant("zero-shot", tasks, 0, method="zero-shot", shown=0)
    some = [
        Variant(f"{shown} shown: {name}", tasks, shown, steps=steps, method=method, shown=shown)
        for shown in SHOWN
        for name, method in methods.items()
        if shown > 1 or method != "in-context-tuned"  # which retrieves from another one
    ]
    return (none, *some)


def few_shown() -> tuple[Variant, ...]:
    """The tasks outside the benchmarks, by jatlab-mini and by random weights of its size."""
    methods = {"retrieve and play": "retrieve", "from nothing": "clone", "fine-tuned": "fine-tune"}
    some = [
        Variant(
            f"{shown} shown: {name}",
            NEW_TASKS,
            shown,
            steps=STEPS,
            start="jatlab-mini",
            method=method,
            shown=shown,
        )
        for shown in SHOWN
        for name, method in methods.items()
    ]
    none = Variant("zero-shot", NEW_TASKS, 0, start="jatlab-mini", method="zero-shot", shown=0)
    return (none, *some)


def limits() -> tuple[Variant, ...]:
    """Retrieve and play where the nearest timestep may be a wrong one."""
    return tuple(
        Variant(
            f"{shown} shown",
            HARD_TO_RETRIEVE,
            shown,
            start="jatlab-mini",  # its encoder compares frames
            method="retrieve",
            shown=shown,
        )
        for shown in (5, 25)
    )
