"""Names, static facts, patterns, near misses, and tasks of your own."""

import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jatlab
from jatlab.tasks import (
    DOMAINS,
    Task,
    expand,
    get_task,
    make_env,
    register,
    registry,
    scores,
    task_names,
)

PUBLISHED = json.loads((scores.FOLDER / "published_scores.json").read_text())


def test_the_table_names_the_published_tasks_and_environments():
    assert task_names() == list(PUBLISHED)
    for name, row in PUBLISHED.items():
        assert get_task(name).published_env_id == row["env_id"], name
    assert [len(task_names(domain)) for domain in DOMAINS] == [57, 39, 50, 11]


def test_loss_weights_and_windows_are_the_published_ones():
    weights = {name: get_task(name).loss_weight for name in task_names()}
    assert {weights[name] for name in task_names("metaworld")} == {50.0}
    assert {weights[name] for name in task_names("atari") + task_names("babyai")} == {1.0}
    few = [weights[f"mujoco-{name}"] for name in ("pendulum", "doublependulum", "ant")]
    assert few == [50.0, 20.0, 10.0]
    for name in task_names():
        assert get_task(name).max_timesteps == (32 if name.startswith("atari") else None), name


def test_a_task_says_how_it_differs_from_the_published_one():
    tasks = [get_task(name) for name in task_names()]
    changed = [task for task in tasks if task.env_id != task.published_env_id]
    assert {task.name for task in changed} == {*task_names("metaworld"), "mujoco-pusher"}
    assert all(task.note for task in changed)
    assert "open gripper" in get_task("metaworld-button-press-topdown-wall").note


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("babyai-goto-local", "babyai-go-to-local"),
        ("reach", "metaworld-reach"),
        ("Metaworld_Reach", "metaworld-reach"),
        ("mujoco-half-cheetah", "mujoco-halfcheetah"),
        ("atari-montezuma", "atari-montezumarevenge"),
    ],
)
def test_an_unknown_name_gets_the_nearest_ones(wrong, meant):
    for look_up in (get_task, make_env, expand):
        with pytest.raises(ValueError, match=f"{wrong}.*did you mean.*{meant}"):
            look_up(wrong)


def test_a_name_like_nothing_points_to_the_list():
    with pytest.raises(ValueError, match="unknown task 'qqqqq'; `jatlab tasks` lists them all"):
        get_task("qqqqq")
    message = "unknown domain 'robots'; there are atari, babyai, metaworld, mujoco"
    with pytest.raises(ValueError, match=message):
        task_names("robots")


def test_expand_takes_names_patterns_and_domains():
    assert expand("mujoco-ant") == ["mujoco-ant"]
    others = [name for name in task_names("mujoco") if name != "mujoco-ant"]
    assert expand(["mujoco-ant", "mujoco"]) == ["mujoco-ant", *others]
    assert expand("babyai-go-to-obj*") == ["babyai-go-to-obj-door", "babyai-go-to-obj"]
    assert expand("all") == task_names()
    with pytest.raises(ValueError, match="no task matches 'babyai-x\\*'"):
        expand(["mujoco", "babyai-x*"])


@given(st.lists(st.sampled_from([*PUBLISHED, "atari", "babyai-*", "*-reach*", "all"]), max_size=6))
def test_expanding_twice_changes_nothing_and_names_come_once(patterns):
    names = expand(patterns)
    assert expand(names) == names
    assert len(set(names)) == len(names)


@given(st.text(max_size=20))
def test_any_other_text_is_refused_with_a_clear_error(name):
    if name in PUBLISHED or name in registry.language_tasks():
        assert get_task(name).name == name
    else:
        with pytest.raises(ValueError, match="unknown task"):
            get_task(name)


def test_importing_tasks_imports_no_environment():
    code = """
import sys, jatlab.tasks, jatlab.tasks.listing
jatlab.tasks.get_task("metaworld-reach"); jatlab.tasks.task_scores("atari-pong")
heavy = "gymnasium metaworld minigrid ale_py mujoco torch matplotlib transformers".split()
sys.exit(" ".join({*heavy} & {name.split(".")[0] for name in sys.modules}) or 0)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, f"imported: {result.stderr}"


@pytest.mark.parametrize(
    ("name", "package"),
    [("metaworld-reach", "metaworld"), ("atari-pong", "ale_py"), ("babyai-open", "minigrid")],
)
def test_a_missing_package_is_named_with_what_to_install(monkeypatch, name, package):
    for module in [module for module in sys.modules if module.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"jatlab.tasks.{get_task(name).domain}", raising=False)
    message = rf'{name} needs the package {package!r}.*pip install "jatlab\[envs\]"'
    with pytest.raises(ImportError, match=message):
        make_env(name)


@pytest.fixture
def own_tasks(monkeypatch):
    """Registered tasks vanish again after the test."""
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))
    monkeypatch.setattr(registry, "_MAKERS", dict(registry._MAKERS))


def cartpole(size=4, actions=2, kind="discrete"):
    return Task("own-cartpole", "own", "CartPole-v1", None, "continuous", size, kind, actions)


def make_cartpole(task, render_mode):
    return gym.make(task.env_id, render_mode=render_mode)


def test_a_registered_task_plays_like_the_others(own_tasks):
    register(cartpole(), make_cartpole)
    assert task_names()[-1] == "own-cartpole"
    assert task_names("own") == ["own-cartpole"] == expand("own-*")
    env = jatlab.make_env("own-cartpole", seed=3)
    first = env.reset()[0]["continuous_observation"]
    assert env.task == cartpole()
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, env.reset(seed=3)[0]["continuous_observation"])
    env.close()
    scored = scores.task_scores("own-cartpole")
    assert scored.expert is None and scored.teacher is None
    assert scores.normalise("own-cartpole", [1.0]) is None


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (cartpole(size=5), "continuous_observation has 5 values by the task, shape \\(4,\\)"),
        (cartpole(actions=3), "discrete actions of size 3, the environment Discrete\\(2\\)"),
        (cartpole(kind="continuous"), "continuous actions of size 2, the environment Discrete"),
    ],
)
def test_a_task_that_does_not_fit_its_environment_is_refused(own_tasks, task, message):
    with pytest.raises(ValueError, match=message):
        register(task, make_cartpole)
    assert "own-cartpole" not in task_names()
    register(task, make_cartpole, check=False)
    with pytest.raises(ValueError, match=message):
        make_env("own-cartpole")


def test_published_tasks_stay_and_facts_are_checked(own_tasks):
    with pytest.raises(ValueError, match="'mujoco-ant' is a published task"):
        register(get_task("mujoco-ant"), make_cartpole)
    with pytest.raises(ValueError, match="make must be a function"):
        register(cartpole(), "CartPole-v1")
    for changes, message in [
        ({"name": "Own CartPole"}, "lower-case words"),
        ({"observation": "pixels"}, "'continuous', 'discrete' or 'image'"),
        ({"action": "both"}, "'continuous' or 'discrete', not 'both'"),
        ({"action_size": 0}, "at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            Task(**(vars(cartpole()) | changes))
