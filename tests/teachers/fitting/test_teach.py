"""Finding controllers: each method on problems with a known answer, and `jatlab teach` from end to
end, stopped and resumed.
"""

import json

import numpy as np
import pytest
import torch

from jatlab.cli import main
from jatlab.teachers.controller import load_controller, read_controller
from jatlab.teachers.fitting import recipes
from jatlab.teachers.fitting.ars import Ars, ArsSettings
from jatlab.teachers.fitting.heads import Choice, Gaussian
from jatlab.teachers.fitting.lqr import regulator
from jatlab.teachers.fitting.ppo import Ppo, PpoSettings
from jatlab.teachers.fitting.recipes import RECIPES, Recipe, recipe_of
from jatlab.teachers.fitting.teach import teach
from jatlab.teachers.policy import Policy

TINY = {
    "mujoco-reacher": Recipe(
        PpoSettings(envs=2, steps=60, hidden=(8,), passes=2, minibatch=64),
        rounds=4,
        minutes=0.1,
        check_every=2,
        check_episodes=2,
    ),
    "mujoco-pendulum": Recipe(
        ArsSettings(directions=2, best=1), rounds=4, minutes=0.1, check_every=2, check_episodes=2
    ),
    "atari-breakout": Recipe(
        PpoSettings(envs=2, steps=60, hidden=(8,), passes=2, minibatch=64, entropy=0.01),
        rounds=4,
        minutes=0.1,
        check_every=2,
        check_episodes=2,
    ),
}


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(recipes, "RECIPES", TINY)


# --- the methods
# -------------------------------------------------------------------------------------------------------------


def test_the_regulator_of_a_double_integrator():
    """x' = x + v dt, v' = v + u dt with Q = I, R = 1: stable, and no other feedback nearby is
    cheaper.
    """
    transition, control, cost, effort = (
        np.array([[1, 0.1], [0, 1]]),
        np.array([[0.0], [0.1]]),
        np.eye(2),
        np.eye(1),
    )
    gain = regulator(transition, control, cost, effort)
    assert np.abs(np.linalg.eigvals(transition - control @ gain)).max() < 1

    def total(gain):
        state, sum_ = np.array([1.0, -0.5]), 0.0
        for _ in range(200):
            action = -gain @ state
            sum_ += state @ cost @ state + action @ effort @ action
            state = transition @ state + control @ action
        return sum_

    for change in ([0.05, 0], [-0.05, 0], [0, 0.05], [0, -0.05]):
        assert total(gain) < total(gain + np.array([change]))
    golden = (1 + 5**0.5) / 2
    assert regulator(np.eye(1), np.eye(1), np.eye(1), np.eye(1))[0, 0] == pytest.approx(
        golden / (1 + golden)
    )
    with pytest.raises(ValueError, match="did not settle"):
        regulator(2 * np.eye(1), np.zeros((1, 1)), np.eye(1), np.eye(1))


def test_random_search_learns_to_balance():
    search = Ars("mujoco-pendulum", ArsSettings(directions=4, best=2, step=0.1, spread=0.1))
    first = search.round()["return"]
    assert first < 60 and any(search.round()["return"] > 3 * first for _ in range(12))


def test_policy_optimisation_learns_to_balance():
    search = Ppo(
        "mujoco-pendulum", PpoSettings(envs=4, steps=64, hidden=(16,), minibatch=64, rate=3e-3)
    )
    first = search.round()["return"]
    assert first < 30 and any(search.round()["return"] > 3 * first for _ in range(12))


def test_gaussian_actions_against_torch():
    head = Gaussian(np.ones(3, np.float32), spread=0.4)
    outputs, others, actions = torch.randn(3, 7, 3)
    before, now = head(outputs).detach(), head(others) - 0.3
    wanted = torch.distributions.Normal(outputs, 0.4)
    own = head.log_probability(before, actions)
    assert torch.allclose(
        own - own[0], (wanted.log_prob(actions) - wanted.log_prob(actions)[0]).sum(-1), atol=1e-4
    )
    moved = torch.distributions.Normal(now[:, 0], now[:, 1].exp())
    assert torch.allclose(
        head.change(before, now),
        torch.distributions.kl_divergence(wanted, moved).sum(-1).mean(),
        atol=1e-4,
    )
    assert torch.allclose(
        head.entropy(now) - head.entropy(before),
        (moved.entropy() - wanted.entropy()).sum(-1).mean(),
        atol=1e-4,
    )


def test_choices_against_torch():
    head = Choice(4)
    outputs, others, actions = *torch.randn(2, 7, 4), torch.randint(4, (7,))
    before, now = (torch.distributions.Categorical(logits=scores) for scores in (outputs, others))
    assert torch.allclose(head.log_probability(head(others), actions), now.log_prob(actions))
    assert torch.allclose(
        head.change(head(outputs), head(others)),
        torch.distributions.kl_divergence(before, now).mean(),
    )
    assert torch.allclose(head.entropy(head(others)), now.entropy().mean())
    drawn = head.draw(np.tile(outputs[:1].numpy(), (20_000, 1)), np.random.default_rng(0))
    assert np.bincount(drawn, minlength=4) / 20_000 == pytest.approx(
        before.probs[0].numpy(), abs=0.015
    )


def test_advantages_are_discounted_sums_cut_where_episodes_end():
    """With lambda = 1 a target is the discounted sum of the rewards to come, with the value of
    where it was cut off.
    """
    search = Ppo(
        "mujoco-pendulum", PpoSettings(envs=1, steps=5, hidden=(8,), discount=0.9, trace=1.0)
    )
    rng, n = np.random.default_rng(0), 4
    seen = {"observations": rng.normal(size=(6, 1, n)).astype(np.float32), "actions": np.zeros((5, 1, 1), np.float32), "rewards": np.ones((5, 1), np.float32),
            "ended": np.array([[0], [1], [0], [1], [0]], np.float32), "cut": np.array([[0], [0], [0], [1], [0]], np.float32),
            "last": rng.normal(size=(5, 1, n)).astype(np.float32)}  # fmt: skip
    scaled = search._scaled(seen["rewards"], seen["ended"])[:, 0]
    search.discounted[:] = 0
    search.reward_scale = type(search.reward_scale)(1)
    *_, targets = search._advantages(seen)

    def value(observation):
        with torch.no_grad():
            return float(
                search.networks.value(torch.from_numpy(search.policy().normalise(observation)))
            )

    wanted = [scaled[0] + 0.9 * scaled[1], scaled[1], scaled[2] + 0.9 * (scaled[3] + 0.9 * value(seen["last"][3, 0])),
              scaled[3] + 0.9 * value(seen["last"][3, 0]), scaled[4] + 0.9 * value(seen["observations"][5, 0])]  # fmt: skip
    assert np.allclose(targets.numpy(), wanted, atol=1e-5)


# --- jatlab teach
# ------------------------------------------------------------------------------------------------------------


def test_from_the_command_to_a_controller_that_acts(tiny, tmp_path, monkeypatch, capsys):
    package = tmp_path / "package"
    monkeypatch.setattr("jatlab.teachers.fitting.teach.FOLDER", package)
    assert main(["teach", "mujoco-reacher", "--output", str(tmp_path / "out"), "--install"]) == 0
    printed = capsys.readouterr().out
    assert (
        "proximal policy optimisation of a small network, 4 rounds; all 4 take about 0.1 minutes of one core"
        in printed
        and str(package) in printed
    )
    controller = load_controller("mujoco-reacher", package / "mujoco-reacher.safetensors")
    assert controller(np.zeros(11, np.float32)).shape == (2,)
    lines = [
        json.loads(line)
        for line in (tmp_path / "out" / "mujoco-reacher" / "log.jsonl").read_text().splitlines()
    ]
    assert (
        [line["rounds"] for line in lines] == [2, 4]
        and lines[-1]["steps"] == 4 * 2 * 60
        and lines[0]["minutes"] <= lines[1]["minutes"]
    )
    about = read_controller(package / "mujoco-reacher.safetensors")[1]
    assert (
        float(about["check"]) == pytest.approx(max(line["check"] for line in lines), abs=0.1)
        and about["task"] == "mujoco-reacher"
    )


@pytest.mark.parametrize("task", TINY)
def test_stopped_and_resumed_is_the_same_as_never_stopped(task, tiny, tmp_path, monkeypatch):
    whole = teach(task, tmp_path / "whole", progress=False)
    kind = type(recipe_of(task).make(task, 0))
    play = kind.round

    def stopped(search):
        if search.rounds == 3:
            raise KeyboardInterrupt
        return play(search)

    monkeypatch.setattr(kind, "round", stopped)
    with pytest.raises(KeyboardInterrupt, match="stopped after 3 rounds; the same command goes on"):
        teach(task, tmp_path / "parts", progress=False)
    monkeypatch.setattr(kind, "round", play)
    parts = teach(task, tmp_path / "parts", progress=False)
    one, other = (
        read_controller(path.with_name("state.safetensors"))[0] for path in (whole, parts)
    )
    assert set(one) == set(other) and one["rounds"] == 4
    for name in set(one) - {"progress"}:
        assert np.allclose(one[name], other[name], rtol=1e-3, atol=1e-6, equal_nan=True), (
            name
        )  # sums differ in the last bits, as memory is aligned
    (one, about), (other, about_other) = read_controller(whole), read_controller(parts)
    assert about == about_other and all(
        np.allclose(one[name], other[name], atol=1e-5) for name in one
    )


def test_a_killed_search_goes_on_from_its_last_save(tiny, tmp_path, monkeypatch):
    """Killed means that nothing runs any more, the last save neither."""
    from jatlab.teachers.fitting import teach as module

    save, play = module._save, Ars.round

    def killed(search):
        if search.rounds == 3:
            monkeypatch.setattr(module, "_save", lambda *arguments: None)
            raise SystemExit
        return play(search)

    monkeypatch.setattr(Ars, "round", killed)
    with pytest.raises(SystemExit):
        teach("mujoco-pendulum", tmp_path, progress=False)
    monkeypatch.setattr(module, "_save", save)
    counted = []
    monkeypatch.setattr(Ars, "round", lambda search: counted.append(search.rounds) or play(search))
    teach("mujoco-pendulum", tmp_path, progress=False)
    assert counted == [2, 3]  # saved at the check after two rounds


def test_a_finished_search_is_not_done_again_and_a_longer_one_goes_on(tiny, tmp_path, monkeypatch):
    teach("mujoco-pendulum", tmp_path, rounds=2, progress=False)
    counted, play = [], Ars.round
    monkeypatch.setattr(Ars, "round", lambda search: counted.append(search.rounds) or play(search))
    teach("mujoco-pendulum", tmp_path, rounds=2, progress=False)
    assert counted == []
    teach("mujoco-pendulum", tmp_path, rounds=3, progress=False)
    assert counted == [2]


def test_mistakes_are_refused(tiny, tmp_path):
    with pytest.raises(
        ValueError,
        match="there is no recipe for babyai-go-to-obj; there is one for mujoco-reacher, mujoco-pendulum",
    ):
        teach("babyai-go-to-obj", tmp_path)
    with pytest.raises(ValueError, match="did you mean mujoco-pendulum"):
        teach("mujoco-pendulom", tmp_path)
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        teach("mujoco-pendulum", tmp_path, rounds=0)
    teach("mujoco-pendulum", tmp_path, rounds=1, progress=False)
    with pytest.raises(
        ValueError, match="is a search with seed = 0, now it is 1; choose another --output"
    ):
        teach("mujoco-pendulum", tmp_path, seed=1, progress=False)
    state = tmp_path / "mujoco-pendulum" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(ValueError, match="is not a controller that can be read"):
        teach("mujoco-pendulum", tmp_path, progress=False)


def test_every_controller_has_a_recipe():
    from jatlab.experiments.recipes.mini import GAMES
    from jatlab.tasks import task_names

    assert set(RECIPES) == {*task_names("mujoco"), *GAMES}
    for name, recipe in RECIPES.items():
        assert recipe.rounds >= 1 and recipe.minutes > 0 and recipe.method, name


def test_the_policy_a_search_would_keep_fits_its_task():
    for task in TINY:
        assert isinstance(Policy(recipe_of(task).make(task, 0).tensors()), Policy)
