"""What all views share: an axes to draw on, and the words that go with the picture."""

from __future__ import annotations

from contextlib import contextmanager

from jatlab.viz.plots import style


@contextmanager
def panel(axes=None, width: float = 5.0, height: float = 2.6):
    """The axes to draw on, in the house's style: the one given, or that of a new figure of `width`
    x `height` inches that no window owns.
    """
    from matplotlib.figure import Figure

    with style():
        yield (
            Figure(figsize=(width, height), layout="constrained").subplots()
            if axes is None
            else axes
        )


def words(axes, caption: str, alt: str):
    """Give the figure of `axes` its caption (what to see) and its alt text (what is drawn), and
    return the figure.
    """
    figure = axes.figure
    figure.caption, figure.alt = caption, alt
    return figure


def bare(axes) -> None:
    """An axes that only frames a picture: no ticks, grid or spines."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
