"""Paths that begin with ``~``: every door takes them as the user's home."""

import os
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import export_official, load_agent, save_agent
from jatlab.agents.generation import generate
from jatlab.agents.rollout import RandomAgent
from jatlab.cli import main
from jatlab.data.episodes import episode_files, read_episodes, read_notes, write_episodes
from jatlab.data.recording.measuring import measure
from jatlab.data.recording.record import record
from jatlab.data.storage import EpisodeStore
from jatlab.evaluation.evaluate import evaluate
from jatlab.model import JatModel
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task
from jatlab.training.dagger import relabel
from jatlab.training.log import read_log
from jatlab.training.recipe import TrainConfig
from jatlab.training.trainer import train
from jatlab.utils.files import atomic_write, expanded, write_json
from jatlab.viz.player.playback import play
from jatlab.viz.report.run import evaluate_and_report
from tests.support.little_tasks import PUSH
from tests.support.training import TINY

REACH = "metaworld-reach"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home and, elsewhere, the current folder, which must stay empty."""
    for name in ("home", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "home"
    assert os.listdir(tmp_path / "here") == []


def test_only_a_leading_tilde_is_the_home(home):
    assert expanded("~/x") == home / "x" and expanded("~") == home
    assert expanded("x/~") == Path("x/~") and expanded(Path("./a~b")) == Path("a~b")


@pytest.mark.slow
def test_the_package_writes_and_reads_below_the_home(home):
    summary = record(REACH, "~/data", 2, workers=0, progress=False)[REACH]
    assert summary["episodes"] == 2 and (home / "data" / REACH / "recording.json").exists()
    [file] = episode_files(f"~/data/{REACH}/train")
    assert file.is_relative_to(home)
    task, path = get_task(REACH), f"~/data/{REACH}/train/00000.parquet"
    episodes = read_episodes(path, task)
    assert len(episodes) == 2 == len(EpisodeStore.open(task, "~/data").lengths)
    assert read_notes(path)["task"] == REACH
    write_episodes("~/copy.parquet", episodes, task)
    measure(REACH, 1, workers=0, who=["random"], path="~/scores.json", progress=False)
    save_agent(Agent.untrained("nano"), "~/agent")
    agent = load_agent("~/agent")
    assert agent.info["name"] == "agent"
    relabel("~/agent", REACH, "~/data", 1, workers=0, progress=False, max_steps=3)
    export_official(agent, "~/official")
    JatModel.from_pretrained("~/official")
    agent.model.save_pretrained("~/again")
    TextTokenizer.load("~/agent").save("~/tokenizer.json")
    config = TrainConfig(
        data="~/data",
        output="~/run",
        tasks=[REACH],
        steps=1,
        model=TINY,
        precision="fp32",
        device="cpu",
        progress=False,
        batch_timesteps=64,
        log_every=1,
    )
    train(config)
    assert len(read_log("~/run")) == 1 and TrainConfig.of_run("~/run").output == str(home / "run")
    assert shown(home) == {
        "again",
        "agent",
        "copy.parquet",
        "data",
        "official",
        "run",
        "scores.json",
        "tokenizer.json",
    }


def shown(home):
    """What is in a folder, without the caches that matplotlib makes where it is imported first."""
    return {name for name in os.listdir(home) if not name.startswith(".")}


@pytest.mark.slow
def test_results_and_videos_go_below_the_home(home):
    evaluate(RandomAgent(), PUSH, episodes=1, output="~/records", progress=False)
    evaluate_and_report(RandomAgent(), PUSH, "~/report", episodes=1, progress=False)
    play(RandomAgent(), PUSH, output="~/play.gif", quiet=True)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(home / "black.png")
    generate("a", Agent.untrained("nano"), image="~/black.png", max_tokens=1)
    write_json("~/some/file.json", 1)
    with atomic_write("~/text") as temporary:
        temporary.write_text("x")
    found = {"records", "report", "play.gif", "black.png", "some", "text"}
    assert shown(home) == found
    assert (home / "report" / "report.html").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["record", REACH, "--episodes", "1", "--workers", "0", "--output=~/x"],
        ["play", "random", PUSH, "--output=~/x.gif"],
        ["evaluate", "random", "--tasks", PUSH, "--episodes", "1", "--no-videos", "--output=~/x"],
        ["teach", "mujoco-pendulum", "--output=~/x"],
    ],
)
def test_the_command_line_writes_below_the_home(command, home, capsys):
    assert main(command) == 0
    assert shown(home) == {"x.gif" if command[0] == "play" else "x"}


def test_an_agent_below_the_home_is_named_on_the_command_line(home, capsys):
    save_agent(Agent.untrained("nano"), home / "agent")
    assert main(["play", "~/agent", PUSH]) == 0
    assert main(["export", "~/agent", "~/official"]) == 0
    assert shown(home) == {"agent", "official"}


def test_a_folder_called_tilde_is_reached_by_its_whole_path(tmp_path):
    record(REACH, tmp_path / "~", 1, workers=0, progress=False)
    assert len(read_episodes(tmp_path / "~" / REACH / "train/00000.parquet", get_task(REACH))) == 1


@pytest.mark.parametrize("command, option", [("push", "report"), ("play", "demonstrations")])
def test_options_that_name_folders_may_begin_at_home(home, monkeypatch, command, option):
    """A shell leaves --report=~/x as it is."""
    given = {}
    words = {"push": ["push", "me", "me/agent"], "play": ["play", "retrieve", PUSH]}[command]
    module = import_module(f"jatlab.cli.{command}")
    monkeypatch.setattr(module, command, lambda **arguments: given.update(arguments))
    assert main([*words, f"--{option}=~/x"]) == 0
    assert given[option] == str(home / "x")
