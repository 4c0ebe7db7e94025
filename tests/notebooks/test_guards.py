"""The guards find what they are there to find, and nothing in a lesson that is as it should be."""

import copy

import pytest

from scripts.badges import SETUP
from tests.support import guards

HOME = "https://github.com/somebody/something"
HEADER = """\
# 01 · A lesson

<!-- badges -->

**You will be able to** see.

**You need** eyes.

**Minutes, hardware**: 10 minutes, two cores."""
EXERCISE = """### Exercise 01.{0} · a title

*Difficulty 1/5 · importance 2/5 · 5 minutes*

<details><summary>Hint</summary>look</details>

<!-- solution 01.{0} -->
<details><summary>Solution</summary>look</details>
<!-- end of solution -->"""


PASTED = "Solution</summary>\n\n```python\ndef f(x):\n    return np.exp(x)\n```\n"


def text(source):
    return {"cell_type": "markdown", "id": "a", "metadata": {}, "source": source}


def code(source, *outputs):
    fixed = {"cell_type": "code", "id": "b", "metadata": {}, "execution_count": 0}
    return fixed | {"source": source, "outputs": list(outputs)}


def printed(words, name="stdout"):
    return {"output_type": "stream", "name": name, "text": words}


def picture(metadata):
    data = {"image/png": "", "text/plain": "a curve"}
    return {"output_type": "display_data", "data": data, "metadata": metadata}


@pytest.fixture
def lesson(monkeypatch):
    """A small lesson without fault."""
    monkeypatch.setattr(guards, "exercises", lambda number: {f"01.{k}": None for k in (1, 2, 3)})
    cells = [text(HEADER), code(SETUP.format(homepage=HOME))]
    cells.append(text("## 1 · First\n\n![a cat](cat.png)"))
    for k in (1, 2, 3):
        untouched = printed(f"✘ 01.{k} not yet: nothing there yet: put …")
        cells += [
            text(EXERCISE.format(k)),
            code(f'answer = ...\ncheck("01.{k}", answer)', untouched),
            code("# NBVAL_CHECK_OUTPUT\nprint(2)", printed("2\n")),
        ]
    curve, drawn = picture({"image/png": {"alt": "a curve that rises"}}), picture({})
    drawn["data"] = {"image/svg+xml": "<svg/>"}
    drawn["metadata"] = {"image/svg+xml": {"alt": "boxes"}}
    cells.append(code('show(curve)\ndiagram("01")', curve, drawn))
    cells += [
        text("## Open project\n\n**A ship.** Build it.\n\n## Recap\n\n- it"),
        text("## References\n\nnone"),
    ]
    for count, cell in enumerate((cell for cell in cells if cell["cell_type"] == "code"), start=1):
        cell["execution_count"] = count
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


ALL = {
    "header": lambda notebook: guards.title_and_header(notebook, "01_lesson.ipynb"),
    "setup": lambda notebook: guards.setup_cell(notebook, HOME),
    "ending": guards.ending,
    "exercises": lambda notebook: guards.exercises_complete(notebook, "01"),
    "projects": guards.open_projects,
    "diagram": guards.diagram,
    "stubs": guards.stubs_untouched,
    "run": guards.was_run,
    "checked": guards.checked_cells,
    "machine": guards.machine_in_outputs,
    "alt": guards.alt_texts,
    "solutions": guards.solutions_run_here,
    "names": guards.solutions_are_named_as_asked,
    "frames": guards.left_without_scripts,
    "widgets": guards.widget_state,
}


def test_a_good_lesson_has_no_complaints(lesson):
    assert [complaint for guard in ALL.values() for complaint in guard(lesson)] == []


def replaced(number, old, new):
    """A change: in cell `number`, `old` becomes `new`."""

    def change(notebook):
        cell = notebook["cells"][number]
        assert old in cell["source"]
        cell["source"] = cell["source"].replace(old, new)

    return change


def with_output(output):
    return lambda notebook: notebook["cells"][1]["outputs"].append(output)


def with_page(html):
    shown = {"output_type": "display_data", "data": {"text/html": html}, "metadata": {}}
    return with_output(shown)


def without(number):
    return lambda notebook: notebook["cells"].pop(number)


def changed(number, **fields):
    return lambda notebook: notebook["cells"][number].update(fields)


def without_widget_state(notebook):
    notebook["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}


FAILED = {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": []}
TOLD = [printed("✘ 01.1 not yet: your code raised TypeError")]
CHECK = "# NBVAL_CHECK_OUTPUT\n"


FAULTS = [
    ("header", replaced(0, "01 ·", "02 ·"), "# 01 ·"),
    ("header", replaced(0, "<!-- badges -->", ""), "badges"),
    ("header", replaced(0, "**You will be able to**", "You can"), "able to"),
    ("header", replaced(0, "**You need**", "Needs"), "You need"),
    ("header", replaced(0, "10 minutes", "not long"), "N minutes"),
    ("header", replaced(0, ", two cores.", ""), "hardware"),
    ("setup", replaced(1, HOME, "https://github.com/another/one"), "exactly"),
    ("setup", without(1), "exactly"),
    ("ending", without(-1), "last two"),
    ("ending", replaced(2, "## 1 · First", "## First"), "no section"),
    ("exercises", without(3), "2 exercises; 3 is the least"),
    ("exercises", replaced(3, "01.1", "01.9"), "01.9 is not in jatlab.lessons"),
    ("exercises", replaced(3, "*Difficulty", "*Hard"), "01.1 lacks difficulty"),
    ("exercises", replaced(3, "<details><summary>Hint", ""), "2 folded hints"),
    ("exercises", replaced(4, "check(", "# check("), "01.1 lacks check"),
    ("exercises", replaced(3, "<!-- solution 01.1", "<!--"), "01.1 lacks a folded solution"),
    ("projects", replaced(13, "**A ship.**", "A ship."), "0 open projects"),
    ("projects", replaced(13, "## Open project", "## More"), "0 open projects"),
    ("diagram", changed(12, outputs=[]), "no cell shows the diagram"),
    ("stubs", changed(4, outputs=TOLD), "cell 4: the untouched"),
    ("stubs", changed(4, outputs=[printed("✔ 01.1 is right")]), "is right"),
    ("run", changed(4, execution_count=None), "not run once"),
    ("run", changed(4, execution_count=40), "not run once"),
    ("run", with_output(FAILED), "cell 1 ends in KeyError"),
    ("run", with_output(printed("careful", "stderr")), "stderr"),
    ("checked", replaced(5, CHECK, ""), "2 cells marked"),
    ("checked", replaced(5, CHECK, f"import sys\n{CHECK}"), "first line"),
    ("checked", changed(5, execution_count=None), "was not run"),
    ("checked", changed(5, outputs=[]), "has no output"),
    ("machine", with_output(printed("<object at 0x7f3ab2c4d5e6>")), "address"),
    ("machine", with_output(printed("saved in /home/me/runs")), "path"),
    ("machine", with_output(printed("C:\\Users\\me")), "path"),
    ("machine", with_output(printed(" 50%|█████     | 5/10")), "progress"),
    ("machine", with_output(printed("UserWarning: slow")), "warning"),
    ("alt", with_output(picture({})), "cell 1 shows an image/png"),
    ("alt", replaced(2, "![a cat]", "![]"), "cell 2: image 'cat.png'"),
    ("alt", replaced(2, "![a cat](cat.png)", '<img src="cat.png">'), "has no alt text"),
    ("solutions", replaced(3, "Solution</summary>look", PASTED), "solution 01.1 needs np"),
    ("names", replaced(6, "Solution</summary>look", PASTED), "solution 01.2 is ['f'], not []"),
    ("frames", with_page("<div><iframe srcdoc='<p>a page</p>'></iframe></div>"), "shows nothing"),
    ("frames", with_page(["<style>p {}</style>\n", "<script>run()</script>"]), "shows nothing"),
    ("widgets", without_widget_state, "no state"),
]


@pytest.mark.parametrize(("guard", "fault", "fragment"), FAULTS)
def test_a_fault_is_found(lesson, guard, fault, fragment):
    faulty = copy.deepcopy(lesson)
    fault(faulty)
    complaints = ALL[guard](faulty)
    assert any(fragment in complaint for complaint in complaints), complaints


def test_what_is_no_path_or_address(lesson):
    harmless = printed("data/episodes.parquet runs/lesson06 1/2 0x1f a/tmp/b")
    lesson["cells"][1]["outputs"].append(harmless)
    assert guards.machine_in_outputs(lesson) == []


def test_size(tmp_path):
    (tmp_path / "small.ipynb").write_bytes(bytes(1_500_000))
    (tmp_path / "big.ipynb").write_bytes(bytes(1_500_001 + 9_999))
    assert guards.size(tmp_path / "small.ipynb") == []
    assert guards.size(tmp_path / "big.ipynb") == ["1.51 MB; 1.5 are allowed"]


def test_dead_links(tmp_path):
    (tmp_path / "there.md").write_text("# One `thing` · two\n")
    page = tmp_path / "page.md"
    page.write_text("# Here\n")
    links = "[a](there.md) [b](there.md#one-thing--two) [c](#here) [d](https://example.org/x)"
    no_links = "`[e](gone.md)`\n\n```\n[f](gone.md)\n```"
    assert guards.dead_links(f"{links} {no_links}", page) == []
    assert guards.dead_links("[a](gone.md)", page) == ["page.md: gone.md does not exist"]
    no_heading = guards.dead_links('<a href="there.md#three">', page)
    assert no_heading == ["page.md: there.md#three: no such heading"]
    assert guards.dead_links("![p](no.png)", page) == ["page.md: no.png does not exist"]
