"""Every cell of the table that compares jatlab with other projects is run."""

import json
import zipfile

import gymnasium
import numpy as np
import pytest

import jatlab.gym  # registers the names
from jatlab.tasks import get_task
from tests.support import ROOT

sb3 = pytest.importorskip("stable_baselines3")
PAGE = ROOT / "docs" / "design" / "compared.md"
SHOWN = {  # row -> where its cells are run; what has no test here is tested there
    "one network for tasks of different observations and actions": "here",
    "learns from rewards alone": "here",
    "learns from recorded episodes": "tests/training/test_trainer.py",
    "plays jatlab's tasks of gymnasium": "here",
    "saved agents are free of pickles": "here",
    "reads Minari's data sets": "tests/data/convert/test_convert.py",
    "writes LeRobot's format (v3)": "tests/data/convert/test_convert.py",
    "intervals over seeds in an evaluation": "here",
}


def test_every_row_is_run_somewhere():
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(SHOWN)
    assert all(place == "here" or (ROOT / place).is_file() for place in SHOWN.values())


def test_one_network_plays_different_tasks_and_sb3s_does_not():
    agent = jatlab.Agent.untrained("nano")
    for name in ("babyai-go-to-obj", "metaworld-reach"):
        episode = jatlab.rollout(agent, jatlab.make_env(name), seed=0, max_steps=2)
        assert episode["length"] == 2 and get_task(name).action in "discrete continuous"
    model = sb3.PPO("MlpPolicy", "CartPole-v1", device="cpu")
    with pytest.raises(ValueError, match="spaces do not match"):
        model.set_env(gymnasium.make("Pendulum-v1"))


def test_sb3_learns_from_rewards_and_plays_our_tasks():
    assert jatlab.gym.gym_name("mujoco-pendulum") in gymnasium.registry
    env = gymnasium.make("jatlab/mujoco-pendulum-v0")
    wrapped = gymnasium.wrappers.FlattenObservation(env)
    model = sb3.PPO("MlpPolicy", wrapped, n_steps=16, batch_size=8, device="cpu", seed=0)
    before = model.policy.action_net.weight.detach().clone()
    model.learn(16)
    assert (model.policy.action_net.weight != before).any()


def test_our_agents_hold_no_pickles_and_sb3s_do(tmp_path):
    jatlab.Agent.untrained("nano").save_pretrained(tmp_path / "ours")
    kinds = {path.suffix for path in (tmp_path / "ours").iterdir()}
    assert kinds == {".json", ".safetensors", ".md"}
    sb3.PPO("MlpPolicy", "CartPole-v1", device="cpu").save(tmp_path / "theirs.zip")
    with zipfile.ZipFile(tmp_path / "theirs.zip") as file:
        assert ":serialized:" in json.loads(file.read("data"))["policy_class"]


def test_our_evaluation_has_intervals_and_sb3s_has_none():
    from stable_baselines3.common.evaluation import evaluate_policy

    agent = jatlab.Agent.untrained("nano")
    results = jatlab.evaluate(agent, "babyai-go-to-obj", episodes=2, max_steps=3, progress=False)
    assert "interval" in json.dumps(results)
    model = sb3.PPO("MlpPolicy", "CartPole-v1", device="cpu")
    mean, spread = evaluate_policy(model, model.get_env(), n_eval_episodes=2)
    assert np.ndim(mean) == np.ndim(spread) == 0  # a mean and a standard deviation
