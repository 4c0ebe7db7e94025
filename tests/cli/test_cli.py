"""The command line loads little, and user's mistakes end in a sentence."""

import subprocess
import sys
import textwrap

import pytest
import torch

from jatlab.cli import main


@pytest.mark.parametrize("start", ["", "from jatlab.cli import main; main(['--help'])"])
def test_importing_is_light_and_help_as_well(start):
    code = f"""
        import sys, atexit, jatlab
        heavy = ('torch', 'transformers', 'gymnasium', 'minigrid', 'metaworld', 'ale_py', 'mujoco', 'numpy')
        atexit.register(lambda: print('loaded:', [m for m in heavy if m in sys.modules]))
        {start}
    """
    shown = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    ).stdout
    assert shown.endswith("loaded: []\n")
    assert not start or all(
        command in shown
        for command in ("tasks", "record", "train", "evaluate", "play", "demo", "bench")
    )


@pytest.mark.parametrize(
    "argv, message",
    [
        (["tasks", "babbai"], "no task matches 'babbai'"),
        (["play", "random", "babyai-goto-obj"], "babyai-go-to-obj"),
        (["play", "nobody", "babyai-go-to-obj"], "no agent 'nobody'"),
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
    assert all(
        name in listed
        for name in ("atari-pong", "babyai-go-to-local", "metaworld-reach", "mujoco-ant")
    )


@pytest.mark.parametrize(
    "command",
    [["play", "demo", "babyai-go-to-obj"], ["evaluate", "demo", "--tasks", "babyai-go-to-obj"]],
)
def test_an_agent_is_loaded_as_asked(monkeypatch, command):
    held = []
    monkeypatch.setattr(
        "jatlab.viz.player.playback.play",
        lambda agent, *_, **__: held.append(agent.model.text_embedding.weight.dtype),
    )
    monkeypatch.setattr(
        "jatlab.viz.report.page.evaluate_and_report",
        lambda agent, *_, **__: (
            held.append(agent.model.text_embedding.weight.dtype) or {"failed": {}}
        ),
    )
    main([*command, "--dtype", "bfloat16"])
    main([*command])
    assert held == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("failed, code", [({}, 0), ({"mujoco-ant": "ValueError: NaN"}, 1)])
def test_evaluate_ends_with_1_where_a_task_failed(monkeypatch, failed, code):
    asked = {}

    def evaluate_and_report(agent, tasks, output, **options):
        asked.update(options, name=agent.info["name"], tasks=tasks, output=output)
        return {"failed": failed}

    monkeypatch.setattr("jatlab.viz.report.page.evaluate_and_report", evaluate_and_report)
    assert (
        main(
            [
                "evaluate",
                "untrained:nano",
                "--tasks",
                "all",
                "--episodes",
                "1",
                "--max-steps",
                "9",
                "--no-videos",
            ]
        )
        == code
    )
    assert (
        asked["name"] == "untrained:nano"
        and asked["tasks"] == ["all"]
        and asked["output"] == "runs/evaluation/untrained-nano"
    )
    assert asked["max_steps"] == 9 and asked["videos"] is False and asked["episodes"] == 1
