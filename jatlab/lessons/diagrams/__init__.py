"""The diagram of its concept that opens each lesson, drawn as SVG."""

from __future__ import annotations

from jatlab.lessons.diagrams import inside, outside
from jatlab.lessons.diagrams.drawing import Drawing

DIAGRAMS = {
    "00": inside.acting,
    "01": inside.two_tokens,
    "02": inside.two_masks,
    "03": inside.whole_model,
    "04": inside.auxiliary_loss,
    "05": inside.windows,
    "06": inside.training_loop,
    "07": outside.scale,
    "08": outside.deciding,
    "09": outside.patches_and_words,
    "10": outside.ablation,
    "11": outside.file_layout,
    "12": outside.own_task,
    "13": outside.retrieval,
}


def diagram_of(lesson: str) -> Drawing:
    """The diagram of a lesson, "00" to "13".

    Raises:
        ValueError: There is no such lesson.
    """
    if lesson not in DIAGRAMS:
        raise ValueError(f"there is no diagram of lesson {lesson!r}; lessons are 00 to 13")
    return DIAGRAMS[lesson]()
