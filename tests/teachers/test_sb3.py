"""A teacher from stable-baselines3's zip acts as the policy does; no pickle is loaded."""

import json
import pickle
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch

from jatlab.teachers import SB3Teacher

sb3 = pytest.importorskip("stable_baselines3")
CASES = {
    "ppo": ("PPO", "CartPole-v1", {}),
    "ppo-relu": ("PPO", "Pendulum-v1", {"activation_fn": torch.nn.ReLU, "net_arch": [8, 8, 8]}),
    "a2c": ("A2C", "CartPole-v1", {"net_arch": [8]}),
    "dqn": ("DQN", "CartPole-v1", {"net_arch": [8, 8]}),
    "sac": ("SAC", "Pendulum-v1", {"net_arch": [8, 8]}),
    "td3": ("TD3", "Pendulum-v1", {"net_arch": [8, 8]}),
}


def saved(path, algorithm="PPO", task="CartPole-v1", policy="MlpPolicy", **options):
    torch.manual_seed(0)
    model = getattr(sb3, algorithm)(policy, task, device="cpu", **options)
    model.save(path)
    return model


@pytest.fixture(scope="module")
def ppo(tmp_path_factory):
    path = tmp_path_factory.mktemp("sb3") / "ppo.zip"
    saved(path)
    return path


@pytest.mark.parametrize("name", CASES)
def test_it_acts_as_the_policy_does(name, tmp_path, monkeypatch):
    algorithm, task, kwargs = CASES[name]
    model = saved(tmp_path / "model.zip", algorithm, task, policy_kwargs=kwargs)
    monkeypatch.setattr(pickle, "loads", None)  # whoever unpickles now fails
    teacher, env = SB3Teacher(tmp_path / "model.zip"), gym.make(task)
    observation, _ = env.reset(seed=0)
    teacher.reset(env)
    env.action_space.seed(0)
    for _ in range(20):
        action = teacher.act({"continuous_observation": observation})
        expected, _ = model.predict(observation, deterministic=True)
        np.testing.assert_allclose(action, expected, atol=1e-5)
        observation, *_ = env.step(env.action_space.sample())
        observation *= 3  # far from where every action is the same


def changed(path, target, **files):
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            copy.writestr(name, files.get(name.partition(".")[0], source.read(name)))
    return target


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


def test_weights_that_hold_code_are_refused(ppo, tmp_path):
    torch.save({"action_net.weight": Evil()}, tmp_path / "evil.pth")
    path = changed(ppo, tmp_path / "evil.zip", policy=(tmp_path / "evil.pth").read_bytes())
    with pytest.raises(ValueError, match="holds more than weights, and is not loaded"):
        SB3Teacher(path)


def test_pickles_in_the_settings_are_not_touched(ppo, tmp_path):
    with zipfile.ZipFile(ppo) as file:
        settings = json.loads(file.read("data"))
    settings["policy_class"][":serialized:"] = "bm8gcGlja2xl"
    path = changed(ppo, tmp_path / "other.zip", data=json.dumps(settings).encode())
    assert len(SB3Teacher(path).layers) == 3


def test_what_is_not_served_is_named(ppo, tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(ValueError, match="no file that model.save of stable-baselines3 wrote"):
        SB3Teacher(tmp_path / "text.zip")
    with pytest.raises(FileNotFoundError):
        SB3Teacher(tmp_path / "nothing.zip")
    saved(tmp_path / "sde.zip", task="Pendulum-v1", use_sde=True)
    with pytest.raises(ValueError, match="use_sde"):
        SB3Teacher(tmp_path / "sde.zip")
    saved(tmp_path / "elu.zip", policy_kwargs={"activation_fn": torch.nn.Softplus})
    with pytest.raises(ValueError, match="Softplus.* is not served; Tanh, ReLU"):
        SB3Teacher(tmp_path / "elu.zip")


def test_sizes_that_do_not_fit_are_named(ppo):
    teacher = SB3Teacher(ppo)
    with pytest.raises(ValueError, match="trained with 2 actions, and the task has Discrete.3"):
        teacher.reset(gym.make("Acrobot-v1"))
    teacher.reset(gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="trained on 4 numbers, and the task observes 6"):
        teacher.act({"continuous_observation": np.zeros(6)})
    with pytest.raises(ValueError, match="observes image_observation: give SB3Teacher a function"):
        teacher.act({"image_observation": np.zeros(6)})


def test_a_function_may_prepare_what_it_sees(ppo):
    plain = SB3Teacher(ppo)
    half = SB3Teacher(ppo, observe=lambda seen: seen["continuous_observation"][:4] / 2)
    env = gym.make("CartPole-v1")
    plain.reset(env), half.reset(env)
    seen = np.array([1.0, -2.0, 0.1, 3.0, 9.0], np.float32)
    assert half.act({"continuous_observation": seen}) == plain.act(
        {"continuous_observation": seen[:4] / 2}
    )
