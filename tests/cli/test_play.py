"""What the commands pass on to those who evaluate and play."""

import pytest
import torch

from jatlab.agents.checkpoints import save_agent
from jatlab.cli import main
from tests.agents.retrieval.test_in_context import network
from tests.support.synthetic import write_task

REPORT = "jatlab.viz.report.run.evaluate_and_report"


@pytest.mark.parametrize(
    "command",
    [
        ["play", "jatlab-mini", "babyai-go-to-obj"],
        ["evaluate", "jatlab-mini", "--tasks", "babyai-go-to-obj"],
    ],
)
def test_an_agent_is_loaded_as_asked(monkeypatch, command):
    held = []

    def hold(agent, *_, **__):
        held.append(agent.model.text_embedding.weight.dtype)
        return {"failed": {}}

    monkeypatch.setattr("jatlab.viz.player.playback.play", hold)
    monkeypatch.setattr(REPORT, hold)
    main([*command, "--dtype", "bfloat16"])
    main([*command])
    assert held == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("failed, code", [({}, 0), ({"mujoco-ant": "ValueError: NaN"}, 1)])
def test_evaluate_ends_with_1_where_a_task_failed(monkeypatch, failed, code):
    asked = {}

    def evaluate_and_report(agent, tasks, output, **options):
        asked.update(options, name=agent.info["name"], tasks=tasks, output=output)
        return {"failed": failed}

    monkeypatch.setattr(REPORT, evaluate_and_report)
    words = "evaluate untrained:nano --tasks all --episodes 1 --max-steps 9 --no-videos"
    assert main(words.split()) == code
    assert asked["name"] == "untrained:nano" and asked["tasks"] == ["all"]
    assert asked["output"] == "runs/evaluation/untrained-nano"
    assert asked["max_steps"] == 9 and asked["videos"] is False and asked["episodes"] == 1


@pytest.mark.parametrize(
    "command, message",
    [
        (["play", "retrieve", "mujoco-pendulum"], "add --demonstrations FOLDER"),
        (
            ["play", "random", "mujoco-pendulum", "--demonstrations", "data"],
            "random does not play from demonstrations",
        ),
        (
            ["play", "untrained:nano", "mujoco-pendulum", "--demonstrations", "data"],
            "untrained:nano is no in-context agent",
        ),
        (["play", "untrained:nano", "mujoco-pendulum", "--count", "3"], "add --demonstrations"),
    ],
)
def test_who_plays_from_demonstrations_needs_them(capsys, command, message):
    assert main(command) != 0
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("output", [None, "film.gif", "page.html"])
def test_an_in_context_agent_plays_from_a_folder(capsys, tmp_path, output):
    folder = save_agent(network(), tmp_path / "agent")
    write_task(tmp_path / "data", "mujoco-pendulum", [20, 20])
    words = ["play", str(folder), "mujoco-pendulum", "--max-steps", "3", "--count", "1"]
    written = [] if output is None else ["--output", str(tmp_path / output)]
    assert main([*words, "--demonstrations", str(tmp_path / "data"), *written]) == 0
    if output is None:
        assert "in 3 steps" in capsys.readouterr().out
    else:
        assert (tmp_path / output).stat().st_size > 1000
    assert main(words[:-2]) != 0
    assert "agent is an in-context agent and plays from demonstr" in capsys.readouterr().err
