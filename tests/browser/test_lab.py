"""Lessons in a real JupyterLab in headless Chromium, used as a reader uses them.

`make browser` opens every lesson, in Notebook 7 too; `make test` only the player.
"""

import os
import shutil
import time
from pathlib import Path

import nbformat
import pytest

from tests.support import ROOT
from tests.support.chromium import wait_until
from tests.support.lab import APPLICATIONS, Lab

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# a folder: every lesson is opened, and its screenshots are kept there
PICTURES = os.environ.get("JATLAB_BROWSER", "")
PLAYER = """\
import jatlab
from jatlab.viz.player.app import Player
player = Player(jatlab.load_agent("jatlab-mini"), task="babyai-go-to-local", speed=20)
player"""
PAGE = """\
import jatlab
from jatlab.viz import export_html
agent, env = jatlab.load_agent("jatlab-mini"), jatlab.make_env("babyai-go-to-obj")
episode = jatlab.rollout(agent, env, seed=1_000_000, max_steps=5, render=True)
export_html(episode, agent=agent, limit=400_000)"""
WINDOW = (1400, 1000)
THEME = (
    "jupyterapp.commands.execute('apputils:change-theme', {{theme: 'JupyterLab {}'}})"
    ".then(() => null)"
)
# a cell that runs for three seconds, started and not waited for
KERNEL = "notebook.sessionContext.session.kernel"
BUSY = f"{KERNEL}.requestExecute({{code: 'import time; time.sleep(3)'}}); null"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A notebook whose first cell makes a player, in a JupyterLab that the tests share."""
    folder = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(PLAYER), nbformat.v4.new_code_cell("len('still alive')")]
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(notebook, folder / "player.ipynb")
    with Lab(folder / "player.ipynb", short=True) as lab:
        yield lab


@pytest.fixture
def player(lab):
    """The notebook, run anew, in a window of the usual size and the light theme."""
    lab.page.resize(*WINDOW)
    lab.page.evaluate(THEME.format("Light"))
    assert lab.run_all(90) == []
    return lab


def test_the_player_lives(player):
    """Buttons, menus and slider reach the agent, the picture moves, and the kernel stays free.

    Nothing is left behind.
    """
    player.click("Step")
    assert answer(player, "player.watch.moments[-1].step") == "1"
    player.click("Play")
    assert player.pictures(3) >= 3  # a busy machine draws few, an idle one 15 a second
    assert answer(player, "player.temperature") == "0.5"  # the kernel answers while it plays
    player.click("Pause")
    assert answer(player, "player.watch.moments[-1].step > 1 or player.watch.done") == "True"
    player.slide("Temperature", -2)
    assert float(answer(player, "player.temperature")) < 0.5
    player.choose("Task", "babyai-open-door · learnt")
    assert answer(player, "player.task") == "babyai-open-door"
    assert player.errors() == []
    player.python("player.close()")
    assert answer(player, "player.watch.open") == "False"


def test_keys_play_step_and_change_the_speed(player):
    """JupyterLab's own keys rest meanwhile: no cell is added or taken away."""
    player.page.click("document.querySelector('.jl-player h4')")
    player.page.press("ArrowRight", 3)
    wait_until(lambda: answer(player, "player.watch.length") == "3", 20, "no step is taken")
    player.page.press("ArrowLeft")
    wait_until(lambda: answer(player, "player.index") == "2", 20, "it does not look back")
    player.page.press("[")
    wait_until(lambda: answer(player, "player.speed") == "13", 20, "the speed stays")
    player.page.press(" ")
    wait_until(lambda: answer(player, "bool(player.playing)") == "True", 20, "it does not play")
    player.page.press(" ")
    wait_until(lambda: answer(player, "bool(player.playing)") == "False", 20, "it does not pause")
    assert len(player.cells()) == 2 and player.errors() == []


def test_the_mouse_over_a_bar_shows_its_timestep(player):
    player.python("player.choose(seed=1_000_004); player.advance(3)")
    bar = "document.querySelector('.jl-past > span')"
    player.page.wait_for(f"Boolean({bar}?.querySelector('img'))", 20, "there are no bars")
    player.page.move(bar)
    tip = f"{bar}.querySelector('.jl-tip')"
    player.page.wait_for(f"getComputedStyle({tip}).display === 'block'", 20, "nothing is shown")
    first = answer(player, "player.watch.moments[-1].attention.shape[-1] // 2")
    oldest = 3 - int(first)  # of the timesteps that the agent remembers
    assert player.page.evaluate(f"{tip}.innerText").startswith(f"timestep {oldest}: ")
    assert player.page.evaluate(f"{tip}.querySelector('img').naturalHeight") == 88


def test_it_says_when_the_kernel_is_busy(player):
    waits = "getComputedStyle(document.querySelector('.jl-waits')).display"
    assert player.page.evaluate(waits) == "none"
    player.page.evaluate(BUSY)
    player.click("Step")
    player.page.wait_for(f"{waits} === 'block'", 20, "it says nothing")
    player.page.wait_for(f"{waits} === 'none'", 20, "it goes on saying so")
    assert answer(player, "player.watch.length") == "1"


@pytest.mark.parametrize("width", [420, 640])
def test_nothing_is_cut_off_in_narrow_windows(player, width):
    player.page.evaluate("jupyterapp.shell.collapseLeft(); null")
    player.page.resize(width, 1500)
    time.sleep(1)
    wide = """[...document.querySelectorAll('.jl-player .jl-row > *, .jl-player .jl-bar')]
        .filter(e => e.offsetParent).filter(e => e.getBoundingClientRect().right >
            document.querySelector('.jl-player').getBoundingClientRect().right + 2).length"""
    assert player.page.evaluate(wide) == 0


def test_the_dark_theme_has_light_words(player):
    player.page.evaluate(THEME.format("Dark"))
    light = """[...getComputedStyle(document.querySelector('.jl-player .jl-mission')).color
        .matchAll(/[0-9.]+/g)].slice(0, 3).every(c => Number(c[0]) > 180)"""
    player.page.wait_for(light, 20, "the words stay dark")
    arrows = "getComputedStyle(document.querySelector('.jl-player select')).colorScheme"
    assert player.page.evaluate(arrows) == "dark"


def test_a_page_in_a_cell_needs_no_kernel(tmp_path):
    """A stored output is a page that moves, once the notebook is trusted."""
    cells = [nbformat.v4.new_code_cell(PAGE)]
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(notebook, tmp_path / "page.ipynb")
    with Lab(tmp_path / "page.ipynb", short=True) as lab:
        assert lab.run_all(90) == []
        frame = "document.querySelector('.jp-OutputArea-output iframe')"
        assert lab.page.evaluate(f"{frame}.getBoundingClientRect().height") == 760
        assert lab.page.evaluate(f"{frame}.srcdoc.includes('babyai-go-to-obj')")
        assert lab.errors() == []


def answer(lab: Lab, expression: str) -> str:
    """What the notebook's kernel says that an expression is."""
    return lab.python(f"print({expression})").strip()


@pytest.mark.skipif(not PICTURES, reason="make browser opens every lesson")
@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_runs_by_run_all(notebook, application):
    pytest.importorskip(application)
    with Lab(notebook, short=True, application=application) as lab:
        errors = lab.run_all(600)
        lab.screenshots(Path(PICTURES) / application / notebook.stem)
    assert errors == []
