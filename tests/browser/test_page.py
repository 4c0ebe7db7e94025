"""The page of an episode in a real browser: the film, the mouse, the keys, and narrow windows."""

import json
import shutil

import pytest

from jatlab.agents.rollout import rollout
from jatlab.tasks import make_env
from jatlab.viz import export_html, published_page
from tests.support import little_tasks
from tests.support.chromium import Chromium, wait_until
from tests.support.little_tasks import GAME, GRID, PUSH

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium"),
]
MISSION = '</script><script>document.title = "taken over"</script>"\'&'


@pytest.fixture(scope="module")
def browser():
    chromium = Chromium(1200, 900)
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def page(browser):
    tab = browser.page()
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def episodes():
    agent, made = little_tasks.make_agent(), {}
    for task in (GRID, PUSH, GAME):
        env = make_env(task)
        made[task] = rollout(agent, env, 7, None, True, True, True)
        env.close()
    made[GRID]["text_observations"] = [MISSION] * 12
    return agent, made


@pytest.fixture
def opened(page, episodes, tmp_path):
    """Opens the page of a task's episode."""

    def open_page(task, width=1200, embedded=False):
        agent, made = episodes
        shown, file = export_html(made[task], agent=agent, task=task, seed=7), tmp_path / "a.html"
        text = f"<body>{shown._repr_html_()}</body>" if embedded else shown.html
        file.write_text(text, encoding="utf-8")
        page.problems.clear()
        page.resize(width, 900)
        page.open(file.as_uri())
        ready = "document.readyState === 'complete'"
        page.wait_for(f"{ready} && location.href.endsWith('a.html')", 30, "the page does not load")
        if not embedded:
            drawn = "document.getElementById('hovered').textContent.startsWith('Shown')"
            page.wait_for(drawn, 30, "the attention is not drawn")
        return page

    return open_page


def text(page, name):
    return page.evaluate(f"document.getElementById({json.dumps(name)}).textContent")


def test_the_film_runs_and_stops_at_its_end(opened):
    page = opened(GRID)
    assert text(page, "step") == "0 / 12"
    first = page.evaluate("document.getElementById('frame').src")
    page.press("]", 3)  # as fast as it goes
    page.click("document.getElementById('play')")
    wait_until(lambda: text(page, "step") == "12 / 12", 20, "the film does not end")
    assert text(page, "ending") == "The film ends here, with success."
    assert text(page, "play") == "Replay" and text(page, "return") == "12"
    assert page.evaluate("document.getElementById('frame').src") != first
    assert page.evaluate("document.getElementById('frame').naturalWidth") == 60
    assert page.problems == []


def test_keys_and_scrubber_move_the_film(opened):
    page = opened(GRID)
    page.press("ArrowRight", 3)
    page.press("ArrowLeft")
    assert text(page, "step") == "2 / 12"
    page.press("End")
    assert text(page, "step") == "12 / 12"
    page.press("Home")
    page.click("document.getElementById('scrubber')")
    assert text(page, "step") == "6 / 12"
    page.press(" ")
    assert text(page, "play") == "Pause"
    page.press(" ")
    assert text(page, "play") == "Play"
    page.press("[", 9)
    assert page.evaluate("document.getElementById('speed').selectedOptions[0].text") == "1 a second"


def test_attention_follows_scrubber_and_mouse(opened, episodes):
    page, episode = opened(GRID), episodes[1][GRID]
    page.press("ArrowRight", 6)
    page.evaluate("document.getElementById('layer').value = 1; null")
    page.evaluate("document.getElementById('layer').dispatchEvent(new Event('change')); null")
    page.move("document.getElementById('timeline')", across=0.97)
    weights = episode["attentions"][6][1].mean(0)  # of layer 1, the newest observation last
    said = f"{100 * weights[-1]:.0f} % to its observation"
    assert text(page, "hovered").startswith("Timestep 6, layer 1, mean of all heads: ")
    assert said in text(page, "hovered")
    page.move("document.getElementById('timeline')", across=0.92)
    assert text(page, "hovered").startswith("Timestep 5")
    assert text(page, "back") == "looking back at t 5"
    assert page.evaluate("document.getElementById('frame').alt").endswith("at timestep 5")


def test_a_click_on_a_row_chooses_its_head(opened):
    page = opened(GRID)
    page.press("ArrowRight", 4)
    page.click("document.getElementById('heads')")
    chosen = page.evaluate("[layer.value, head.value]")
    assert chosen in (["0", "1"], ["1", "0"])
    page.move("document.getElementById('task')")
    assert text(page, "hovered") == f"Shown: layer {chosen[0]}, head {chosen[1]}."


def test_probabilities_and_expectations_are_shown(opened, episodes):
    page, episode = opened(PUSH), episodes[1][PUSH]
    page.press("ArrowRight", 2)
    values = page.evaluate("[...document.querySelectorAll('#bars .value')].map(e => e.textContent)")
    assert values == [f"{value:.2f}" for value in episode["continuous_actions"][2]]
    assert page.evaluate("document.querySelectorAll('#observations .bar').length") == 3
    assert page.evaluate("document.querySelectorAll('#observations .track b').length") == 3
    page = opened(GAME)
    page.press("ArrowRight", 2)
    assert page.evaluate("document.querySelectorAll('#observations img').length") == 2
    assert page.problems == []


def test_words_of_others_stay_words(opened):
    page = opened(GRID)
    assert text(page, "mission") == MISSION
    assert page.evaluate("document.title") == "app-grid · tiny · seed 7"
    assert page.evaluate("document.scripts.length") == 2 and page.problems == []


def test_nothing_is_fetched(opened):
    page = opened(GAME)
    names = "performance.getEntriesByType('resource').map(e => e.name)"
    assert [name for name in page.evaluate(names) if not name.startswith("data:")] == []


@pytest.mark.parametrize("width", [420, 640, 1200])
@pytest.mark.parametrize("task", [GRID, PUSH, GAME])
def test_nothing_is_cut_off_in_narrow_windows(opened, task, width):
    page = opened(task, width)
    page.press("ArrowRight", 3)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate("""[...document.querySelectorAll('main *')].filter(e =>
        e.offsetParent && parseFloat(getComputedStyle(e).fontSize) < 12).length""")
    assert small == 0


def test_the_frame_of_a_notebook_runs_the_page(opened, browser):
    page = opened(GRID, embedded=True)
    frame = page.evaluate("""(() => {
        const f = document.querySelector('iframe').getBoundingClientRect();
        return [f.x, f.y, f.width, f.height];
    })()""")
    assert frame[2] > 1000 and frame[3] == 760
    assert page.evaluate("document.querySelector('iframe').contentDocument") is None  # kept apart
    assert page.problems == []


def test_a_frame_that_is_laid_out_late_is_drawn(opened, episodes):
    """A notebook lays its frames out after their pages are loaded."""
    page = opened(GRID, embedded=True)
    page.evaluate("""(() => {
        const frame = document.querySelector('iframe'), late = document.createElement('iframe');
        late.style = 'display: none';
        late.srcdoc = frame.srcdoc;  // without its sandbox, so that this test can look inside
        frame.replaceWith(late);
    })()""")
    inside = "document.querySelector('iframe').contentDocument"
    said = f"{inside}?.getElementById('hovered')?.textContent.startsWith('Shown')"
    page.wait_for(said, 20, "the page does not run")
    page.evaluate("document.querySelector('iframe').style = 'width: 900px; height: 700px'; null")
    drawn = f"""(() => {{
        const c = {inside}.getElementById('timeline');
        if (!c.width) return false;
        return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0);
    }})()"""
    page.wait_for(drawn, 20, "the attention is not drawn")


def test_published_scores_are_chosen_without_a_kernel(page, tmp_path):
    published_page().save(tmp_path / "b.html")
    page.problems.clear()
    page.resize(900, 1200)
    page.open((tmp_path / "b.html").as_uri())
    page.wait_for("document.querySelectorAll('.row').length === 55", 20, "there are no rows")
    page.click("document.querySelectorAll('.row')[2]")
    assert text(page, "name") == "atari-krull"
    change = "dispatchEvent(new Event('change')); null"
    page.evaluate(f"domain.value = 'mujoco'; domain.{change}")
    assert page.evaluate("document.querySelectorAll('.row').length") == 11
    assert page.evaluate("document.getElementById('scale').disabled")
    assert text(page, "name") == "mujoco-ant"
    page.resize(420, 900)
    page.wait_for("innerWidth === 420", 20, "the window keeps its size")
    assert page.evaluate("document.documentElement.scrollWidth") <= 420 and page.problems == []
