"""What all views share: an axes to draw on, and the words that go with the picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jatlab.viz.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


@contextmanager
def panel(axes: Axes | None = None, width: float = 5.0, height: float = 2.6) -> Iterator[Axes]:
    """The axes to draw on, in the house's style.

    It is the one given, or that of a new figure of `width` x `height` inches that no window owns.
    """
    from matplotlib.figure import Figure

    with style():
        if axes is None:
            axes = Figure(figsize=(width, height), layout="constrained").subplots()
        yield axes


def words(axes: Axes, caption: str, alt: str) -> Figure:
    """Give the figure its words, and return it.

    Args:
        axes: An axes of the figure.
        caption: What to see, as `figure.caption`.
        alt: What is drawn, for readers who cannot see it, as `figure.alt`.
    """
    figure = axes.figure.figure  # the whole figure, also of an axes in a subfigure
    vars(figure).update(caption=caption, alt=alt)  # matplotlib has no place for words
    return figure


def bare(axes: Axes) -> None:
    """Make an axes only frame a picture: no ticks, grid or spines."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def colour_bar(axes: Axes, image: AxesImage, label: str, shrink: float = 1.0) -> None:
    """Put a bar that explains the colours of `image` beside the axes."""
    bar = axes.figure.colorbar(image, ax=axes, label=label, shrink=shrink)
    bar.outline.set_visible(False)
