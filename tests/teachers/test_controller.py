"""MuJoCo's controllers: they reach their floors, and a file that does not fit is refused."""

import json

import numpy as np
import pytest
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
from jatlab.teachers.tuned import TUNED_FILE
from tests.teachers.tensors import policy_tensors

TASKS = task_names("mujoco")
TAUGHT = [name for name in TASKS if has_teacher(name)]
# episodes are cut off after so many steps; the mean return of three, far above that of random play
FLOORS = {
    "mujoco-pendulum": (300, 299),
    "mujoco-doublependulum": (200, 1800),
    "mujoco-swimmer": (400, 100),
    "mujoco-reacher": (50, -9),
    "mujoco-pusher": (100, -45),
    "mujoco-hopper": (300, 500),
    "mujoco-halfcheetah": (300, 1200),
    "mujoco-walker": (300, 500),
    "mujoco-ant": (300, 500),
    "mujoco-humanoid": (200, 600),
    "mujoco-standup": (300, 15_000),
}


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


def test_every_mujoco_task_has_a_controller_of_few_bytes():
    assert TAUGHT == TASKS and len(TASKS) == 11
    assert sum(controller_file(name).stat().st_size for name in TASKS) < 3_000_000
    assert {path.suffix for path in FOLDER.iterdir() if path != TUNED_FILE} == {".safetensors"}


@pytest.mark.parametrize("name", TAUGHT)
def test_actions_fit_the_task_and_follow_from_the_observation(name):
    env, task = make_env(name, render_mode=None), get_task(name)
    observations = [env.reset(seed=1)[0]]
    observations += [env.step(env.action_space.sample())[0] for _ in range(5)]
    actions = [get_teacher(name).act(observation) for observation in observations]
    teacher = get_teacher(name)
    for observation, action in reversed(list(zip(observations, actions, strict=True))):
        assert np.array_equal(teacher.act(observation), action)
        assert action.shape == (task.action_size,) and action.dtype == np.float32
        assert (np.abs(action) <= env.action_space.high).all()


def test_a_noisy_episode_holds_the_teachers_actions():
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


def refused(path, tensors, message, about=None):
    save_file({name: np.asarray(value, np.float32) for name, value in tensors.items()}, path, about)
    with pytest.raises(ValueError, match=message):
        load_controller("mujoco-reacher", path)


def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path):
    path, good = tmp_path / "own.safetensors", policy_tensors((11, 8, 2))
    mean = r"tensor mean must have shape \(11,\), it has \(12,\)"
    refused(
        path, policy_tensors((12, 8, 2)), f"own.safetensors does not fit mujoco-reacher: {mean}"
    )
    refused(
        path, policy_tensors((11, 8, 3)), "tensor limit must have shape \\(2,\\), it has \\(3,\\)"
    )
    wide = good | {"weight.1": np.zeros((2, 9))}
    refused(path, wide, r"tensor weight.1 must have shape \(2, 8\), it has \(2, 9\)")
    infinite = good | {"bias.0": np.full(8, np.nan)}
    refused(path, infinite, "tensor bias.0 holds values that are not finite")
    incomplete = {name: value for name, value in good.items() if name != "bias.1"}
    names = "has the tensors mean, scale, limit, weight.0, bias.0 and so on"
    refused(path, incomplete, f"{names}; here are bias.0, limit")
    refused(path, good | {"extra": np.zeros(1)}, "here are .*extra")
    message = "is a controller of mujoco-ant, not of mujoco-reacher"
    refused(path, good, message, {"task": "mujoco-ant"})
    save_file({name: np.asarray(value, np.float32) for name, value in good.items()}, path)
    observation = {"continuous_observation": np.zeros(11, np.float32)}
    assert make_teacher("mujoco-reacher", path).act(observation).shape == (2,)


def test_a_broken_or_missing_file_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "mujoco-ant.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is not a controller that can be read .*jatlab teach"):
        load_controller("mujoco-ant", tmp_path / "mujoco-ant.safetensors")
    monkeypatch.setattr("jatlab.teachers.controller.FOLDER", tmp_path)
    message = "mujoco-hopper has no controller .*jatlab teach mujoco-hopper --install"
    with pytest.raises(ValueError, match=message):
        get_teacher("mujoco-hopper")
    assert not has_teacher("mujoco-hopper")
    with pytest.raises(ValueError, match="did you mean mujoco-hopper"):
        get_teacher("mujoco-hoper")


def test_the_measured_score_is_that_of_the_shipped_controller():
    """The description holds a digest of the file: a changed controller must be measured again."""
    measured = json.loads(MEASURED_FILE.read_text())
    for name in TAUGHT:
        advice = f"measure again: jatlab teachers --measure {name}"
        assert measured[name]["teacher"]["policy"] == describe(name), advice
        assert read_controller(controller_file(name))[1]["task"] == name
