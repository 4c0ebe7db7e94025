"""Curves that move while a training runs: a figure in a notebook, updated in place.

    curves = LiveCurves("what to look at")
    train(config, on_report=curves)

The figure is updated between two steps, without a thread. Each update replaces the picture of the
one before, so that what stays in the notebook is one static figure.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jatlab.viz.plots import CYCLE, INK, MUTED, WIDTH, learning_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LogLine = Mapping[str, Any]  # a line of a run's `log.jsonl`


def training_figure(log: Sequence[LogLine], total: int | None = None) -> Figure:
    """Three views of a run: the loss of each task, the learning rate, the norm of the gradient.

    Loss and norm have logarithmic axes; thin lines are the batches trained on, dots episodes held
    out.

    Args:
        log: The run's log lines.
        total: Steps of the whole run, so that the axes stand still while it goes on.

    Raises:
        ValueError: The log has no loss.
    """
    figure = learning_figure(log)
    figure.set_size_inches(2.1 * WIDTH, 2.9)
    [losses], last = figure.axes, log[-1]
    with style():
        grid = figure.add_gridspec(2, 2, width_ratios=(1.5, 1))
        losses.set_subplotspec(grid[:, 0])
        rate, norm = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
        _draw_by_step(rate, log, "lr", CYCLE[2])
        _draw_by_step(norm, log, "gradient_norm", CYCLE[3])
        rate.set_ylim(bottom=0)
        rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
        norm.set_yscale("log")
        for axes, label in ((rate, "learning rate"), (norm, "gradient norm\n(log scale)")):
            axes.set_ylabel(label, color=INK)
            axes.set_xlim(0, total or last["step"])
        rate.tick_params(labelbottom=False)
        norm.set_xlabel("step")
    of_total = f" of {total:,}" if total else ""
    title = f"step {last['step']:,}{of_total}, {last['seconds']:.0f} s"
    losses.set_title(title, loc="left", size=8.5, color=MUTED)
    return figure


def _draw_by_step(axes: Axes, log: Sequence[LogLine], key: str, color: str) -> None:
    steps, values = [line["step"] for line in log], [line[key] for line in log]
    axes.plot(steps, values, color=color, linewidth=1.4)


class LiveCurves:
    """Collects a training's reports and shows them as one picture that is replaced.

    Outside a notebook it only collects. Call `refresh` to see the last lines of a run that was
    stopped.

    Args:
        caption: What to look at; also the picture's alt text.
        total: The run's number of steps. The picture is always replaced at the last one.
        every: Seconds between two pictures, at least.
        draw: Makes the figure from the log lines and `total`.

    Attributes:
        log: The lines reported so far.
    """

    def __init__(
        self,
        caption: str = "",
        total: int | None = None,
        every: float = 1.5,
        draw: Callable[[list[LogLine], int | None], Figure] = training_figure,
    ) -> None:
        self.caption, self.total, self.every, self.draw = caption, total, every, draw
        self.log: list[LogLine] = []
        self._handle: Any = None  # IPython's, once there is a picture
        self._shown = float("-inf")

    def __call__(self, record: LogLine) -> None:
        """Collect a line, and replace the picture if it is time to."""
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
        about: Any = dict(raw=True, metadata={"image/png": {"alt": self.caption}})
        if self._handle is None:
            self._handle = display(bundle, display_id=True, **about)
        else:
            self._handle.update(bundle, **about)
        self._shown = time.monotonic()

    def _png(self) -> bytes:
        figure, picture = self.draw(self.log, self.total), io.BytesIO()
        figure.savefig(picture, format="png", dpi=90, facecolor="white")
        return picture.getvalue()
