"""Curves that move while a training runs: a figure in a notebook, updated in place between two
steps, without a thread.

    curves = LiveCurves("what to look at")
    train(config, on_report=curves)

Each update replaces the picture of the one before, so that what stays in the notebook is one static
figure.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence

from jatlab.viz.plots import CYCLE, INK, MUTED, WIDTH, learning_figure, style


def training_figure(log: Sequence[dict], total: int | None = None):
    """Three views of a run's log lines: the loss of each task, the learning rate, and the norm of
    the gradient, against the step.

    The loss has a logarithmic axis, thin lines for the batches trained on and dots for episodes
    held out. ``total``: steps of the whole run, so that the axes stand still while it goes on.
    Raises `ValueError` for a log without a loss.
    """
    figure = learning_figure(log)
    figure.set_size_inches(2.1 * WIDTH, 2.9)
    losses = figure.axes[0]
    with style():
        grid = figure.add_gridspec(2, 2, width_ratios=(1.5, 1))
        losses.set_subplotspec(grid[:, 0])
        for row, (key, label, color) in enumerate(
            (("lr", "learning rate", CYCLE[2]), ("gradient_norm", "gradient norm", CYCLE[3]))
        ):
            axes = figure.add_subplot(grid[row, 1])
            axes.plot(
                [line["step"] for line in log],
                [line[key] for line in log],
                color=color,
                linewidth=1.4,
            )
            axes.set_ylabel(label, color=INK)
            axes.set_ylim(bottom=0)
            axes.set_xlim(0, total or log[-1]["step"])
            axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
        figure.axes[1].tick_params(labelbottom=False)
        figure.axes[2].set_xlabel("step")
    losses.set_title(
        f"step {log[-1]['step']:,}{f' of {total:,}' if total else ''}, {log[-1]['seconds']:.0f} s",
        loc="left",
        size=8.5,
        color=MUTED,
    )
    return figure


class LiveCurves:
    """Collects a training's reports and shows them as one picture that is replaced at most every
    ``every`` seconds, and at the last step.

    ``draw(log, total)`` makes the figure, ``total`` is the run's number of steps. Outside a
    notebook it only collects: ``log`` has the lines. Call `refresh` to see the last lines of a run
    that was stopped.
    """

    def __init__(
        self,
        caption: str = "",
        total: int | None = None,
        every: float = 1.5,
        draw: Callable = training_figure,
    ):
        self.caption, self.total, self.every, self.draw = caption, total, every, draw
        self.log: list[dict] = []
        self._handle, self._shown = None, float("-inf")

    def __call__(self, record: dict) -> None:
        self.log.append(record)
        if time.monotonic() - self._shown > self.every or record["step"] == self.total:
            self.refresh()

    def refresh(self) -> None:
        """Show the log as it is now, in the place of what was shown before."""
        try:
            from IPython import get_ipython
            from IPython.display import display
        except ImportError:
            return
        if get_ipython() is None or not self.log:
            return
        bundle = {"image/png": self._png(), "text/plain": self.caption}
        about = dict(raw=True, metadata={"image/png": {"alt": self.caption}})
        if self._handle is None:
            self._handle = display(bundle, display_id=True, **about)
        else:
            self._handle.update(bundle, **about)
        self._shown = time.monotonic()

    def _png(self) -> bytes:
        figure, picture = self.draw(self.log, self.total), io.BytesIO()
        figure.savefig(picture, format="png", dpi=90, facecolor="white")
        return picture.getvalue()
