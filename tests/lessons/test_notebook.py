"""What every lesson uses: the switch for short runs, and figures with a caption."""

import importlib

import matplotlib.pyplot as plt
import pytest

import jatlab.lessons.notebook


@pytest.mark.parametrize(("value", "short"), [("1", True), ("0", False), ("", False)])
def test_the_switch_for_short_runs(monkeypatch, value, short):
    monkeypatch.setenv("JATLAB_SHORT", value)
    assert importlib.reload(jatlab.lessons.notebook).SHORT is short


def test_show_displays_picture_alt_text_and_caption(monkeypatch):
    shown = []

    def display(bundle, **options):
        shown.append((bundle, options))

    monkeypatch.setattr("IPython.display.display", display)
    figure, axes = plt.subplots()
    figure.caption, figure.alt = "a line", "a line that rises"
    jatlab.lessons.notebook.show(figure)
    (picture, options), (caption, _) = shown
    assert picture["image/png"].startswith(b"\x89PNG")
    assert options["metadata"] == {"image/png": {"alt": "a line that rises"}}
    assert caption.data == "*a line*"
    assert figure.number not in plt.get_fignums()


def test_a_film_is_in_html_which_every_viewer_shows(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *what, **how: shown.append(what[0]))
    jatlab.lessons.notebook.show_picture(b"GIF89a", alt='two "arms"')
    [data] = shown
    assert data["text/plain"] == 'two "arms"'
    assert data["text/html"] == (
        '<img src="data:image/gif;base64,R0lGODlh" alt="two &quot;arms&quot;">'
    )
