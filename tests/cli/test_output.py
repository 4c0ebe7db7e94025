"""What scripts and plain terminals get: JSON, help without noise, output in ASCII."""

import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest

from jatlab.cli import main
from jatlab.cli.options import print_json
from jatlab.experiments.benchmarks import acting, algorithms, device
from jatlab.experiments.benchmarks.cost_numbers import cost
from jatlab.experiments.benchmarks.cost_report import report
from jatlab.tasks.listing import task_table
from jatlab.teachers.listing import search_table, teacher_table
from tests.cli.test_main import commands

WITH_JSON = {"tasks", "teachers", "evaluate", "bench", "cost", "info"}


def run_json(capsys, *argv, status=0):
    assert main([*argv, "--json"]) == status
    captured = capsys.readouterr()
    assert captured.out.isascii()
    return json.loads(captured.out)


def plain(value):
    """A value as it comes back from JSON."""
    return json.loads(json.dumps(value))


def test_these_commands_have_json():
    found = {
        name
        for name, parser in commands().items()
        if any("--json" in action.option_strings for action in parser._actions)
    }
    assert found == WITH_JSON


def test_tasks_as_json(capsys):
    assert run_json(capsys, "tasks", "mujoco") == plain(
        task_table(["mujoco-" + name for name in _mujoco()])
    )


def _mujoco():
    from jatlab.tasks import short_name, task_names

    return [short_name(name) for name in task_names("mujoco")]


def test_teachers_as_json(capsys):
    names = ["mujoco-ant", "atari-pong"]
    found = run_json(capsys, "teachers", *names)
    assert found == plain({"teachers": teacher_table(names), "searches": search_table(names)})
    assert found["teachers"][0]["task"] == "mujoco-ant"


def test_an_evaluation_as_json(capsys, tmp_path):
    argv = ["evaluate", "random", "--tasks", "babyai-go-to-obj", "--episodes", "2"]
    results = run_json(capsys, *argv, "--no-videos", "--output", str(tmp_path))
    assert results["report"] == str(tmp_path / "report.html")
    stored = json.loads((tmp_path / "report.json").read_text())
    task = results["tasks"]["babyai-go-to-obj"]
    assert task == stored["tasks"]["babyai-go-to-obj"] and len(task["returns"]) == 2


@pytest.mark.slow
def test_cost_as_json(capsys):
    found = run_json(capsys, "cost", "--preset", "nano", "--steps", "1000", "--device", "T4")
    assert found == plain(cost("nano", 1000, device="T4"))
    shown = report("nano", 1000, device="T4")
    assert f"{sum(found['parameters'].values()):,}" in shown
    assert f"{found['hours']['T4']:,.1f}" in shown
    assert f"{found['flops_per_step'] * 1000:.2e}" in shown
    assert main(["cost", "--steps", "0", "--json"]) == 2


@pytest.mark.slow
def test_ratios_as_json(capsys, monkeypatch):
    ratio = algorithms.Ratio("a", 1.0, 2.0, "why")
    names = "discrete_encoder few_rows acting_with_the_cache lockstep batches door"
    for measure in names.split():
        monkeypatch.setattr(algorithms, measure, lambda: [ratio])
    found = run_json(capsys, "bench", "--check", status=1)
    assert found["ratios"] == [asdict(ratio) | {"met": False}] * 6 and found["threads"] >= 1


def test_speeds_as_json(capsys, monkeypatch, tmp_path):
    line = dict(
        preset="nano", kind="text", windows=8, tokens=8, tokens_per_second=1.0, tflops=1.0,
        peak=None, memory=1.0,
    )  # fmt: skip
    monkeypatch.setattr(device, "call_apart", lambda *_: line)
    path = tmp_path / "speeds.json"
    argv = ["bench", "--device", "cpu", "--presets", "nano", "--output", str(path)]
    found = run_json(capsys, *argv)
    assert found["speeds"][0] == line and json.loads(path.read_text()) == found


def test_acting_as_json(capsys, monkeypatch):
    line = acting.Acting("mujoco-ant", 1.0, 5.0, 12.0, 100.0)
    monkeypatch.setattr(acting, "run", lambda agent: [line])
    assert run_json(capsys, "bench", "--agent", "jatlab-mini") == [asdict(line) | {"met": False}]


def test_what_json_lacks_becomes_null(capsys):
    print_json({"a": [float("nan"), 1.0], "b": (float("inf"), "±")})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.0], "b": [None, "±"]}


@pytest.mark.parametrize("name", sorted(commands()))
def test_help_names_defaults_only_where_there_are_some(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for noise in ("None)", "default: False)", "default: True)", "==SUPPRESS=="):
        assert noise not in shown
    if name == "record":
        assert "(default: 100)" in shown and "(default: 0.0)" in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    "argv, words",
    [
        ("teachers", "+-"),
        ("tasks", "atari-pong"),
        ("cost", "Hours are of one device"),
        ("info", "jatlab"),
        ("bench --help", "cuda"),
        ("record --help", "record a teacher's episodes"),
    ],
)
def test_output_survives_an_ascii_terminal(argv, words):
    done = subprocess.run(
        [sys.executable, "-m", "jatlab", *argv.split()],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert words in done.stdout.decode("ascii")


def test_other_characters_are_escaped_on_an_ascii_terminal():
    code = "from jatlab.cli import main; main(['tasks', 'é±…'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert "no task matches '\\xe9" in done.stderr.decode("ascii")
