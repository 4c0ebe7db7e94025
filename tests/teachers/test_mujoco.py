"""MuJoCo's controllers: they reach their floors, act from the observation alone, and a file that
does not fit is refused.
"""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import save_file

from jatlab.data.recording.measuring import MEASURED_FILE
from jatlab.data.recording.playing import Disturbance, EpisodePlayer
from jatlab.tasks import get_task, make_env, task_names
from jatlab.teachers import describe, get_teacher, has_teacher
from jatlab.teachers.controller import (
    FOLDER,
    controller_file,
    load_controller,
    make_teacher,
    read_controller,
)
from jatlab.teachers.fitting.simulation import Simulation, play
from jatlab.teachers.listing import format_teachers, teacher_table
from jatlab.teachers.policy import Normaliser, Policy

TASKS = task_names("mujoco")
TAUGHT = [name for name in TASKS if has_teacher(name)]

# mean return over three episodes cut off after so many steps; what random actions get there is far
# below
FLOORS = {
    "mujoco-pendulum": (300, 299), "mujoco-doublependulum": (200, 1800), "mujoco-swimmer": (400, 100), "mujoco-reacher": (50, -9), "mujoco-pusher": (100, -45),
    "mujoco-hopper": (300, 500), "mujoco-halfcheetah": (300, 1200), "mujoco-walker": (300, 500), "mujoco-ant": (300, 500), "mujoco-humanoid": (200, 600),
    "mujoco-standup": (300, 15_000),
}  # fmt: skip


def policy(widths, limit=1.0, seed=0):
    """Tensors of a policy with layers of these widths."""
    rng = np.random.default_rng(seed)
    layers = {
        f"weight.{i}": rng.normal(size=(b, a)) for i, (a, b) in enumerate(zip(widths, widths[1:]))
    }
    layers |= {f"bias.{i}": rng.normal(size=b) for i, b in enumerate(widths[1:])}
    return {
        "mean": rng.normal(size=widths[0]),
        "scale": rng.uniform(0.5, 2, widths[0]),
        "limit": np.full(widths[-1], limit),
        **layers,
    }


# --- the controllers
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TAUGHT)
def test_a_controller_reaches_its_floor(name):
    steps, floor = FLOORS[name]
    env, teacher, totals = make_env(name, render_mode=None), get_teacher(name), []
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        teacher.reset(env, seed)
        totals.append(0.0)
        for _ in range(steps):
            observation, reward, terminated, truncated, _ = env.step(teacher.act(observation))
            totals[-1] += reward
            if terminated or truncated:
                break
    assert np.mean(totals) > floor


def test_every_mujoco_task_has_a_controller_and_together_they_are_small():
    assert TAUGHT == TASKS and len(TASKS) == 11
    assert sum(controller_file(name).stat().st_size for name in TASKS) < 3_000_000
    assert {path.suffix for path in FOLDER.iterdir()} == {".safetensors"}


@pytest.mark.parametrize("name", TAUGHT)
def test_actions_fit_the_task_and_follow_from_the_observation(name):
    env, task = make_env(name, render_mode=None), get_task(name)
    observations = [env.reset(seed=1)[0]] + [
        env.step(env.action_space.sample())[0] for _ in range(5)
    ]
    actions = [get_teacher(name).act(observation) for observation in observations]
    teacher = get_teacher(name)
    for observation, action in reversed(list(zip(observations, actions))):
        assert np.array_equal(teacher.act(observation), action)
        assert (
            action.shape == (task.action_size,)
            and action.dtype == np.float32
            and (np.abs(action) <= env.action_space.high).all()
        )


def test_a_noisy_episode_is_recorded_with_the_teachers_own_actions():
    player = EpisodePlayer("mujoco-reacher", noise=0.5)
    outcome, episode = player.play(3, timeout=30)
    calm = EpisodePlayer("mujoco-reacher").play(3, timeout=30)[0]
    assert outcome.length == calm.length == 50 and outcome.total < calm.total
    answers = [
        player.teacher.act({"continuous_observation": row})
        for row in episode["continuous_observations"]
    ]
    assert np.array_equal(answers, episode["continuous_actions"])


@pytest.mark.parametrize("name", ["mujoco-pusher", "mujoco-humanoid"])
def test_noise_is_relative_to_the_actions_limit(name):
    """Pusher's actions reach to 2, Humanoid's to 0.4: the same noise takes away the same share."""
    task, space = get_task(name), make_env(name, render_mode=None).action_space
    disturb = Disturbance(task, space, 0.1, np.random.default_rng(0))
    executed = np.array([disturb(np.zeros(task.action_size, np.float32)) for _ in range(2000)])
    assert 0.08 < np.median(np.abs(executed)) / 0.6745 / space.high[0] < 0.12


# --- files that do not fit
# ---------------------------------------------------------------------------------------------------


def refused(path, tensors, message, about=None):
    save_file({name: np.asarray(value, np.float32) for name, value in tensors.items()}, path, about)
    with pytest.raises(ValueError, match=message):
        load_controller("mujoco-reacher", path)


def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path):
    path, good = tmp_path / "own.safetensors", policy((11, 8, 2))
    refused(
        path,
        policy((12, 8, 2)),
        "own.safetensors does not fit mujoco-reacher: tensor mean must have shape \\(11,\\), it has \\(12,\\)",
    )
    refused(path, policy((11, 8, 3)), "tensor limit must have shape \\(2,\\), it has \\(3,\\)")
    refused(
        path,
        good | {"weight.1": np.zeros((2, 9))},
        "tensor weight.1 must have shape \\(2, 8\\), it has \\(2, 9\\)",
    )
    refused(
        path,
        good | {"bias.0": np.full(8, np.nan)},
        "tensor bias.0 holds values that are not finite",
    )
    incomplete = {name: value for name, value in good.items() if name != "bias.1"}
    refused(
        path,
        incomplete,
        "has the tensors mean, scale, limit, weight.0, bias.0 and so on; here are bias.0, limit",
    )
    refused(path, good | {"extra": np.zeros(1)}, "here are .*extra")
    refused(
        path, good, "is a controller of mujoco-ant, not of mujoco-reacher", {"task": "mujoco-ant"}
    )
    save_file({name: np.asarray(value, np.float32) for name, value in good.items()}, path)
    assert make_teacher("mujoco-reacher", path).act(
        {"continuous_observation": np.zeros(11, np.float32)}
    ).shape == (2,)


def test_a_broken_or_missing_file_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "mujoco-ant.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is not a controller that can be read .*jatlab teach"):
        load_controller("mujoco-ant", tmp_path / "mujoco-ant.safetensors")
    monkeypatch.setattr("jatlab.teachers.controller.FOLDER", tmp_path)
    with pytest.raises(
        ValueError, match="mujoco-hopper has no controller .*jatlab teach mujoco-hopper --install"
    ):
        get_teacher("mujoco-hopper")
    assert not has_teacher("mujoco-hopper")
    with pytest.raises(ValueError, match="did you mean mujoco-hopper"):
        get_teacher("mujoco-hoper")


# --- the policy and its normaliser
# -------------------------------------------------------------------------------------------


def test_a_policy_is_what_its_formula_says():
    tensors, rng = policy((3, 4, 2), limit=0.5), np.random.default_rng(1)
    observation = rng.normal(size=3)
    hidden = np.tanh(
        tensors["weight.0"] @ ((observation - tensors["mean"]) * tensors["scale"])
        + tensors["bias.0"]
    )
    wanted = 0.5 * np.clip(tensors["weight.1"] @ hidden + tensors["bias.1"], -1, 1)
    assert np.allclose(Policy(tensors)(observation.astype(np.float32)), wanted, atol=1e-6)
    linear = policy((3, 2))
    many = rng.normal(size=(5, 3)).astype(np.float32)
    assert np.allclose(
        Policy(linear).mean_action(many),
        (many - linear["mean"]) * linear["scale"] @ linear["weight.0"].T + linear["bias.0"],
        atol=1e-5,
    )


@pytest.mark.parametrize("task", ["mujoco-halfcheetah", "mujoco-swimmer", "mujoco-pendulum"])
def test_acting_on_one_observation_is_the_formula_to_the_last_bit(task):
    """It computes in arrays of its own, and what it returns is not one of them."""
    controller = load_controller(task)
    actions, wanted = [], []
    for observation in (
        np.random.default_rng(0)
        .normal(scale=0.05, size=(50, len(controller.mean)))
        .astype(np.float32)
    ):
        actions.append(controller(observation))
        wanted.append(controller.limit * np.clip(controller.mean_action(observation), -1, 1))
    assert np.array_equal(actions, wanted) and len(np.unique(np.array(actions), axis=0)) > 25
    assert controller(np.zeros((2, len(controller.mean)), np.float32)).shape == (
        2,
        len(controller.limit),
    )


@settings(max_examples=40, deadline=None)
@given(
    values=arrays(
        np.float32,
        st.tuples(st.integers(2, 30), st.just(3)),
        elements=st.floats(-100, 100, width=32),
    ),
    data=st.data(),
)
def test_the_normaliser_merges_portions_exactly(values, data):
    cut = data.draw(st.integers(1, len(values) - 1))
    normaliser, resumed = Normaliser(3), Normaliser(3)
    normaliser.add(values[:cut])
    resumed.restore(normaliser.state())
    resumed.add(values[cut:])
    deviation = values.astype(np.float64).std(axis=0)
    assert np.allclose(resumed.mean, values.astype(np.float64).mean(axis=0), atol=1e-9)
    spread = deviation > 1e-3
    assert np.allclose(resumed.scale[spread], 1 / deviation[spread], rtol=1e-5)
    assert (resumed.scale[deviation < 1e-7] == 0).all()


# --- the simulation that searches use
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, bonus",
    [
        ("mujoco-hopper", 1.0),
        ("mujoco-ant", 0.0),
        ("mujoco-humanoid", 0.0),
        ("mujoco-reacher", 0.0),
    ],
)
def test_the_simulation_gives_the_environments_numbers(name, bonus):
    env, simulation = make_env(name, render_mode=None), Simulation(name, alive_bonus=bonus)
    rng, (observation, _) = np.random.default_rng(0), env.reset(seed=7)
    assert np.array_equal(simulation.reset(7), observation["continuous_observation"])
    for _ in range(60):
        action = rng.uniform(-1, 1, len(simulation.limit)).astype(np.float32) * simulation.limit
        observation, reward, terminated, truncated, _ = env.step(action)
        seen, seen_reward, *ends = simulation.step(action)
        assert np.array_equal(seen, observation["continuous_observation"]) and ends == [
            terminated,
            truncated,
        ]
        assert seen_reward == pytest.approx(reward - bonus, abs=1e-12)
        if terminated or truncated:
            break


def test_a_simulation_goes_on_from_its_state():
    first, second = Simulation("mujoco-halfcheetah"), Simulation("mujoco-halfcheetah")
    actions = np.random.default_rng(0).uniform(-1, 1, (80, 6)).astype(np.float32)
    first.reset(3)
    for action in actions[:40]:
        first.step(action)
    second.restore(first.state())
    for action in actions[40:]:
        (observation, *rest), (again, *rest_again) = first.step(action), second.step(action)
        assert np.array_equal(observation, again) and rest == rest_again
    assert second.elapsed == 80


def test_playing_a_seed_gives_the_measured_return():
    controller = load_controller("mujoco-reacher")
    total, length = play(Simulation("mujoco-reacher"), controller, 5)
    outcome = EpisodePlayer("mujoco-reacher").play(5, timeout=30)[0]
    assert length == outcome.length and total == pytest.approx(outcome.total, abs=1e-9)


# --- the list of teachers
# ----------------------------------------------------------------------------------------------------


def test_the_table_says_who_teaches_and_how_well():
    (row,) = teacher_table(["mujoco-pendulum", "python-docs"])
    assert (
        row["teacher"] == 1000
        and row["episodes"] == 100
        and row["taught_by"] == describe("mujoco-pendulum")
        and "regulator" in row["taught_by"]
    )
    assert (
        row["share"]
        == pytest.approx(
            (1000 - row["published_random"]) / (row["expert"] - row["published_random"])
        )
        and row["share"] > 2
    )
    text = format_teachers(["mujoco-pendulum", "metaworld-reach"])
    assert "2 teachers" in text and " 2.12 " in text and "linear-quadratic regulator" in text
    with pytest.raises(ValueError, match="none of these tasks has a teacher"):
        format_teachers(["python-docs"])


def test_the_measured_score_is_that_of_the_shipped_controller():
    """The description holds a digest of the file: a controller that changed has to be measured
    again.
    """
    measured = json.loads(MEASURED_FILE.read_text())
    for name in TAUGHT:
        assert measured[name]["teacher"]["policy"] == describe(name), (
            f"measure again: jatlab teachers --measure {name}"
        )
        assert read_controller(controller_file(name))[1]["task"] == name
