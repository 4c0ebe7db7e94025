"""The figures of ablations: variants beside each other, and scores over a number."""

from jatlab.experiments.ablations.figures.curves import (
    recall_figure,
    shown_figure,
    specialists_figure,
)
from jatlab.experiments.ablations.figures.variants import ablation_figure, joint_training_figure

__all__ = [
    "ablation_figure",
    "joint_training_figure",
    "recall_figure",
    "shown_figure",
    "specialists_figure",
]
