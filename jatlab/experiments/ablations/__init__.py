"""`jatlab ablate NAME`: questions that the paper leaves open, at small scale.

`questions` asks them, `variants` says what differs, `runs` trains and plays, `command` makes the
runs that are missing, `results` compares them, `costs` says what they cost, and `figures` draws
them. The names below are all that a notebook needs: ``from jatlab.experiments import ablations``.
"""

from jatlab.experiments.ablations.command import ablate, run_line
from jatlab.experiments.ablations.costs import cost_table, costs
from jatlab.experiments.ablations.questions import (
    ABLATIONS,
    Ablation,
    reach_of,
    to_recall,
    with_kappa,
    with_layers,
)
from jatlab.experiments.ablations.results import (
    assemble,
    difference,
    differences,
    load,
    over_tasks,
    paired,
    shipped,
    side_by_side,
    student_interval,
    summary,
    summary_table,
)
from jatlab.experiments.ablations.runs import play, run_point
from jatlab.experiments.ablations.variants import MODEL, Variant, recipe

__all__ = [
    "ABLATIONS",
    "MODEL",
    "Ablation",
    "Variant",
    "ablate",
    "assemble",
    "cost_table",
    "costs",
    "difference",
    "differences",
    "load",
    "over_tasks",
    "paired",
    "play",
    "reach_of",
    "recipe",
    "run_line",
    "run_point",
    "shipped",
    "side_by_side",
    "student_interval",
    "summary",
    "summary_table",
    "to_recall",
    "with_kappa",
    "with_layers",
]
