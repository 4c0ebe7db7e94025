"""The command line imports little, and a user's mistakes end in a sentence."""

import subprocess
import sys
import textwrap

import pytest

import jatlab.cli
from jatlab.cli import main
from jatlab.cli.parser import build_parser

HEAVY = (
    "torch",
    "transformers",
    "gymnasium",
    "minigrid",
    "metaworld",
    "ale_py",
    "mujoco",
    "matplotlib",
)


def loaded_by(start, heavy):
    """What a process prints that runs `start`, and the modules among `heavy` that it has loaded."""
    code = f"""
        import sys, atexit, jatlab
        atexit.register(lambda: print('loaded:', [m for m in {heavy} if m in sys.modules]))
        {start}
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def commands():
    [action] = [
        action for action in build_parser()._actions if action.dest != "help" and action.choices
    ]
    return action.choices


@pytest.mark.parametrize("start", ["", "from jatlab.cli import main; main(['--help'])"])
def test_importing_is_light_and_help_as_well(start):
    shown = loaded_by(start, (*HEAVY, "numpy"))
    assert shown.endswith("loaded: []\n")
    assert not start or all(command in shown for command in commands())


def test_listing_tasks_is_light():
    shown = loaded_by("from jatlab.cli import main; main(['tasks'])", HEAVY)
    assert "atari-pong" in shown and shown.endswith("loaded: []\n")


def test_the_docstring_names_every_command():
    assert len(commands()) == 22
    for name in commands():
        assert f"`{name}`" in jatlab.cli.__doc__


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "jatlab", "--version"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown == f"jatlab {jatlab.__version__}\n"


@pytest.mark.parametrize(
    "argv, message",
    [
        (["tasks", "babbai"], "no task matches 'babbai'"),
        (["play", "random", "babyai-goto-obj"], "babyai-go-to-obj"),
        (["play", "nobody", "babyai-go-to-obj"], "no agent 'nobody'"),
        (["generate", "random"], "random has no model and cannot write"),
        (["teach", "mujoco-ant", "atari-alien", "--output", "DIR"], "no recipe for atari-alien"),
        (["teachers", "mujoco-and"], "did you mean mujoco-ant"),
        (["teachers", "python-docs"], "none of these tasks has a teacher"),
        (["train", "--data", "DIR", "--steps", "2", "--output", "DIR/out"], "no recorded task"),
        (["train", "--resume", "DIR"], "checkpoint"),
        (
            ["evaluate", "random", "--tasks", "babyai-go-to-obj", "--seed", "3", "--output", "DIR"],
            "1000000",
        ),
    ],
)
def test_mistakes_end_in_a_sentence(argv, message, capsys, tmp_path):
    assert main([word.replace("DIR", str(tmp_path)) for word in argv]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and "Traceback" not in error


def test_tasks_are_listed(capsys):
    assert main(["tasks"]) == 0
    listed = capsys.readouterr().out
    for name in ("atari-pong", "babyai-go-to-local", "metaworld-reach", "mujoco-ant"):
        assert name in listed


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8")],
)
def test_no_memory_is_told_in_a_sentence(error, monkeypatch, capsys):
    def fail(**options):
        raise error

    monkeypatch.setattr("jatlab.data.recording.record.record", fail)
    assert main(["record", "babyai-go-to-obj"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: there was no memory left: try fewer workers")
    assert told.count("\n") == 1


def test_another_error_of_a_library_keeps_its_traceback(monkeypatch):
    def fail(**options):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr("jatlab.data.recording.record.record", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        main(["record", "babyai-go-to-obj"])
