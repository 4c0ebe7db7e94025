"""Lessons in a real JupyterLab in headless Chromium, used as a reader uses them.

`make browser` opens every lesson; `make test` only the player.
"""

import os
import shutil
from pathlib import Path

import nbformat
import pytest

from tests.support import ROOT
from tests.support.lab import Lab

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# a folder: every lesson is opened, and its screenshots are kept there
PICTURES = os.environ.get("JATLAB_BROWSER", "")
PLAYER = """\
import jatlab
from jatlab.viz.player.app import Player
player = Player(jatlab.load_agent("demo"), task="babyai-go-to-local", speed=20)
player"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium"),
]


@pytest.fixture
def player(tmp_path):
    """A notebook whose last cell is the player, run."""
    cells = [nbformat.v4.new_code_cell(PLAYER), nbformat.v4.new_code_cell("len('still alive')")]
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(notebook, tmp_path / "player.ipynb")
    with Lab(tmp_path / "player.ipynb", short=True) as lab:
        assert lab.run_all(90) == []
        yield lab


def test_the_player_lives(player):
    """Buttons, menus and slider reach the agent, the picture moves, and the kernel stays free.

    Nothing is left behind.
    """
    player.click("Step")
    assert answer(player, "player.watch.moments[-1].step") == "1"
    player.click("Play")
    assert player.pictures(3) >= 3  # a busy machine draws few, an idle one 12 a second
    assert answer(player, "player.temperature") == "1.0"  # the kernel answers while it plays
    player.click("Pause")
    assert answer(player, "player.watch.moments[-1].step > 1 or player.watch.done") == "True"
    player.slide("Temperature", -2)
    assert float(answer(player, "player.temperature")) < 1
    player.choose("Task", "babyai-open-door · learnt")
    assert answer(player, "player.task") == "babyai-open-door"
    assert player.errors() == []
    player.python("player.close()")
    assert answer(player, "player.watch.open") == "False"


def answer(lab: Lab, expression: str) -> str:
    """What the notebook's kernel says that an expression is."""
    return lab.python(f"print({expression})").strip()


@pytest.mark.skipif(not PICTURES, reason="make browser opens every lesson")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_runs_by_run_all(notebook):
    with Lab(notebook, short=True) as lab:
        errors = lab.run_all(600)
        lab.screenshots(Path(PICTURES) / notebook.stem)
    assert errors == []
