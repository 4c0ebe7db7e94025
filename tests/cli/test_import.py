"""`--import my_tasks`: every command, and its worker processes, know a user's own tasks."""

import json

import pytest

from jatlab.cli import main
from jatlab.cli.parser import build_parser
from jatlab.tasks import registry, scores
from jatlab.teachers import registry as teacher_registry
from jatlab.utils.worker import VARIABLE, import_own
from scripts.docs.pages import subcommands

NAME = "own-imported"
MODULE = f'''
from pathlib import Path

from jatlab.tasks import Task, register, register_scores
from jatlab.teachers import register_teacher
from tests.test_own_tasks import Line, Walker


def make(task, render_mode=None):
    return Line()


register(Task("{NAME}", "own", None, None, "continuous", 2, "continuous", 1), make)
register_teacher("{NAME}", Walker, "walks straight to the goal")
if Path("scores.json").exists():
    register_scores("{NAME}", "scores.json")
'''


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with a user's module; all that it registers vanishes again."""
    for module, name in (
        (registry, "_TASKS"),
        (registry, "_MAKERS"),
        (teacher_registry, "_REGISTERED"),
        (scores, "_REGISTERED"),
    ):
        monkeypatch.setattr(module, name, dict(getattr(module, name)))
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "my_lines", raising=False)
    (tmp_path / "my_lines.py").write_text(MODULE)
    return tmp_path


def test_every_command_takes_it():
    for name, parser in subcommands(build_parser()).items():
        assert any("--import" in action.option_strings for action in parser._actions), name


@pytest.mark.parametrize("module", ["my_lines", "my_lines.py", "./my_lines.py"])
def test_a_task_is_listed(module, capsys):
    assert main(["tasks", NAME, "--import", module, "--json"]) == 0
    assert [task["task"] for task in json.loads(capsys.readouterr().out)] == [NAME]


def test_without_it_the_task_is_unknown(capsys):
    assert main(["tasks", NAME]) == 2
    assert f"no task matches '{NAME}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "text", "message"),
    [
        ("nowhere", "", "--import nowhere: there is no module of that name in"),
        ("broken", "1 / 0", "importing it ended in ZeroDivisionError: division by zero"),
        ("lacking", "import nobody_has_this", "No module named 'nobody_has_this'"),
    ],
)
def test_a_module_that_cannot_be_imported(module, text, message, folder, capsys):
    if text:
        (folder / f"{module}.py").write_text(text)
    assert main(["tasks", "--import", module]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_workers_measure_record_and_evaluate(folder, capsys):
    own = ["--import", "my_lines", "--workers", "1", "--episodes", "4"]
    assert main(["measure", NAME, *own, "--output", "scores.json", "--quiet"]) == 0
    assert set(json.loads((folder / "scores.json").read_text())[NAME]) == {"teacher", "random"}
    assert main(["record", NAME, *own, "--output", "data", "--quiet"]) == 0
    scores.register_scores(NAME, "scores.json")  # as a new process would
    evaluated = ["evaluate", "untrained:nano", "--tasks", NAME, *own, "--output", "report"]
    assert main([*evaluated, "--no-videos", "--quiet"]) == 0
    found = json.loads((folder / "report" / "report.json").read_text())
    assert "mean" in found["tasks"][NAME]["by_teacher"]


def test_the_variable_is_obeyed_too(folder, monkeypatch):
    monkeypatch.setenv(VARIABLE, "my_lines")
    import_own([])
    assert NAME in registry._TASKS


def test_scores_come_from_a_file(folder):
    import_own(["my_lines"])
    with pytest.raises(FileNotFoundError, match=f"`jatlab measure {NAME} --output"):
        scores.register_scores(NAME, "scores.json")
    (folder / "scores.json").write_text('{"another": {}}')
    with pytest.raises(ValueError, match=f"no scores of {NAME}, only of another"):
        scores.register_scores(NAME, "scores.json")
