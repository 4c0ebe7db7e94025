"""The table of an agent's speed: measured, and compared with its targets."""

import json

import pytest

from jatlab.cli import main
from jatlab.experiments.benchmarks import acting as bench_agent
from jatlab.experiments.benchmarks.acting import Acting


def test_a_table_of_an_agent(capsys, monkeypatch):
    found = [
        Acting("babyai-go-to", 0.5, 300.0, 20.0, 400.0),
        Acting("atari-pong", 0.5, 39.0, 20.0, 400.0),
    ]
    monkeypatch.setattr(bench_agent, "run", lambda agent: found)
    assert main(["bench", "--agent", "jatlab-mini"]) == 0
    assert main(["bench", "--agent", "jatlab-mini", "--check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("jatlab-mini on one thread")
    assert any(line.startswith("| babyai-go-to") and line.endswith("yes |") for line in lines)
    assert any(line.startswith("| atari-pong") and line.endswith("no |") for line in lines)


@pytest.mark.parametrize(
    "line, met",
    [
        (Acting("atari-pong", 2.0, 40.0, 15.0, 500.0), True),
        (Acting("babyai-go-to", 2.0, 99.0, 15.0, 500.0), False),
        (Acting("atari-pong", 2.1, 40.0, 15.0, 500.0), False),
        (Acting("atari-pong", 2.0, 40.0, 15.0, 501.0), False),
        (Acting("atari-pong", 2.0, 40.0, 14.9, 500.0), False),
    ],
)
def test_every_target_counts(line, met):
    assert line.met is met


@pytest.mark.slow
def test_measured_in_a_process_of_its_own():
    (line,) = bench_agent.run("jatlab-mini", ("babyai-go-to-obj",))
    assert line.task == "babyai-go-to-obj" and 0 < line.loaded < 60 and line.steps_per_second > 1
    assert line.pictures_per_second > 1
    assert 50 < line.memory < 3000  # torch, the agent and a grid


@pytest.mark.slow
def test_what_fails_says_why():
    with pytest.raises(OSError, match="no agent 'nobody'"):
        bench_agent.run("nobody", ("babyai-go-to-obj",))


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_was_measured_of_an_agent_is_written(monkeypatch, capsys, tmp_path, form):
    found = [Acting("atari-pong", 0.5, 39.0, 20.0, 400.0)]
    monkeypatch.setattr(bench_agent, "run", lambda agent: found)
    path = tmp_path / "f.json"
    assert main(["bench", "--agent", "jatlab-mini", "--output", str(path), *form]) == 0
    [line] = json.loads(path.read_text())
    assert line.pop("met") is False and Acting(**line) == found[0]
    assert not form or json.loads(capsys.readouterr().out) == [line | {"met": False}]


@pytest.mark.parametrize(
    "options, message",
    [
        ("--agent a --device cpu", "--agent and --device each measure something else"),
        ("--reference --gpu", "--device and --reference each measure something else"),
        ("--check --device cpu", "--check compares with targets, and --device has none"),
        ("--check --reference", "--check compares with targets, and --reference has none"),
        ("--presets nano", "--presets are sizes for --device or --reference"),
        ("--agent a --presets nano", "--presets are sizes for --device or --reference"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options, message, capsys):
    assert main(["bench", *options.split()]) == 2
    assert message in capsys.readouterr().err
