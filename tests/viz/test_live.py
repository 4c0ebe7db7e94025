"""Curves that move: one picture in a notebook, replaced while the training goes on."""

import io

import pytest
from PIL import Image

from jatlab.viz import live
from jatlab.viz.live import LiveCurves, training_figure


def lines(count):
    return [
        {
            "step": 10 * n,
            "timesteps": 5000 * n,
            "seconds": 1.5 * n,
            "lr": 1e-3 / n,
            "gradient_norm": 1.0 + n,
            "loss": {"metaworld-reach": 1 / n},
            "validation": {"metaworld-reach": 2 / n},
        }
        for n in range(1, count + 1)
    ]


def test_the_figure_has_loss_learning_rate_and_gradient_norm():
    figure = training_figure(lines(5), total=100)
    losses, rate, norm = figure.axes
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["loss (log scale)", "learning rate", "gradient norm\n(log scale)"]
    assert norm.get_yscale() == "log"
    assert losses.get_xlabel() and norm.get_xlabel() == "step"
    assert rate.lines[0].get_xydata().tolist() == [[10 * n, 1e-3 / n] for n in range(1, 6)]
    assert rate.get_xlim() == (0, 100) and losses.get_title(loc="left") == "step 50 of 100, 8 s"
    with pytest.raises(ValueError, match="the log holds no loss"):
        training_figure([])


class Screen:
    """Stands in for IPython's display: what is shown, and what replaces it."""

    def __init__(self):
        self.shown, self.updates = [], []

    def display(self, bundle, display_id, raw, metadata):
        assert display_id and raw and metadata["image/png"]["alt"] == bundle["text/plain"]
        self.shown.append(bundle)
        return self

    def update(self, bundle, raw, metadata):
        self.updates.append(bundle)


@pytest.fixture
def screen(monkeypatch):
    screen = Screen()
    monkeypatch.setattr("IPython.display.display", screen.display)
    monkeypatch.setattr("IPython.get_ipython", lambda: object())
    return screen


def test_one_picture_is_shown_and_then_replaced(screen, monkeypatch):
    clock = iter(range(0, 10_000, 1))
    monkeypatch.setattr(live.time, "monotonic", lambda: next(clock))
    curves = LiveCurves("losses fall", total=40, every=0.5)
    for line in lines(4):
        curves(line)
    assert len(screen.shown) == 1 and len(screen.updates) == 3
    assert Image.open(io.BytesIO(screen.updates[-1]["image/png"])).size[0] > 500


@pytest.mark.slow
def test_updates_are_rare_but_the_last_step_is_always_shown(screen, monkeypatch):
    monkeypatch.setattr(live.time, "monotonic", lambda: 0.0)
    curves = LiveCurves("losses fall", total=40, every=1000)
    for line in lines(3):
        curves(line)
    assert len(screen.shown) == 1 and not screen.updates
    curves(lines(4)[-1])
    assert len(screen.shown) == len(screen.updates) == 1 and curves.log == lines(4)


def test_outside_a_notebook_it_only_collects(monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: pytest.fail("shown"))
    curves = LiveCurves(total=20, every=0)
    for line in lines(2):
        curves(line)
    curves.refresh()
    assert curves.log == lines(2)
