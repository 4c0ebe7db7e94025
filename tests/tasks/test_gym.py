"""Tasks under gymnasium's names, with gymnasium's own checker, wrappers and vectors."""

import pickle
import subprocess
import sys
import types

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordEpisodeStatistics, RecordVideo, TimeLimit

from jatlab import gym, task_names
from jatlab.tasks import Task, make_env, register

ONE_OF_EACH = ["atari-pong", "babyai-go-to-local", "metaworld-reach", "mujoco-ant"]
NAMES = pytest.mark.parametrize("name", ONE_OF_EACH)
# gymnasium's checker warns of every wrapper and of every box without limits
pytestmark = pytest.mark.filterwarnings("ignore:.*WARN.*:UserWarning")


@pytest.fixture(autouse=True)
def painter(monkeypatch):
    monkeypatch.setenv("JATLAB_RENDERER", "painter")


def play(env, steps=5):
    observation, _ = env.reset(seed=3)
    seen = [*observation.values()]
    env.action_space.seed(0)
    for _ in range(steps):
        observation, reward, *_ = env.step(env.action_space.sample())
        seen += [*observation.values(), reward]
    env.close()
    return seen


def same(left, right):
    return len(left) == len(right) and all(map(np.array_equal, left, right))


def test_every_task_has_a_name_of_gymnasiums():
    assert len(task_names()) == 157
    for name in task_names():
        assert gymnasium.spec(f"jatlab/{name}-v0").kwargs == {"name": name, "render_mode": None}


def test_a_fresh_process_finds_a_name_by_its_module():
    code = (
        "import gymnasium; "
        "env = gymnasium.make('jatlab.gym:jatlab/babyai-go-to-local-v0'); "
        "print(env.reset(seed=0)[0]['text_observation'], env.render_mode)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mission = make_env("babyai-go-to-local").reset(seed=0)[0]["text_observation"]
    assert shown.stdout == f"{mission} None\n"


@pytest.mark.slow
@NAMES
def test_gymnasiums_checker_passes(name):
    env = gymnasium.make(gym.gym_name(name), render_mode="rgb_array")
    check_env(env)
    env.close()


@pytest.mark.slow
@NAMES
def test_the_checker_passes_for_make_env_too(name):
    env = make_env(name, render_mode=None)
    check_env(env)
    env.close()


@NAMES
def test_both_ways_make_the_same_environment(name):
    assert same(play(gymnasium.make(gym.gym_name(name))), play(make_env(name, render_mode=None)))


@NAMES
def test_a_spec_makes_the_environment_again(name):
    env = TimeLimit(gymnasium.make(gym.gym_name(name)), 7)
    for spec in (pickle.loads(pickle.dumps(env.spec)), EnvSpec.from_json(env.spec.to_json())):
        again = gymnasium.make(spec)
        assert again.spec == env.spec == spec and str(again) == str(env)
        assert same(play(env), play(again))


def test_a_spec_keeps_seed_and_options():
    env = make_env("metaworld-reach", seed=np.int64(5), hide_goal=True, size=64)
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    np.testing.assert_array_equal(
        *(one.reset()[0]["continuous_observation"] for one in (env, again))
    )
    assert again.render().shape == (64, 64, 3) and again.spec == env.spec
    other = gymnasium.make(env.spec, render_mode=None)
    assert other.reset()[1] is not None and other.render_mode is None


@NAMES
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_several_environments_as_one(name, mode):
    wrappers = [gym.NumericMission] if name.startswith("babyai") else None
    env = gymnasium.make_vec(gym.gym_name(name), 2, mode, wrappers=wrappers)
    observations, _ = env.reset(seed=[0, 1])
    _, rewards, *_ = env.step(env.action_space.sample())
    env.close()
    assert rewards.shape == (2,)
    alone = make_env(name, render_mode=None)
    alone = gym.NumericMission(alone) if wrappers else alone
    for key, value in alone.reset(seed=1)[0].items():
        np.testing.assert_array_equal(observations[key][1], value)


@pytest.mark.slow
@NAMES
def test_episode_statistics_and_videos(name, tmp_path, monkeypatch):
    clips = []
    for module in ("moviepy", "moviepy.video", "moviepy.video.io"):
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))

    class Clip:  # gymnasium writes its videos with moviepy, which jatlab does not need
        def __init__(self, frames, fps):
            clips.append((np.shape(frames), fps))

        def write_videofile(self, path, logger=None):
            pass

    module = types.ModuleType("ImageSequenceClip")
    module.ImageSequenceClip = Clip
    monkeypatch.setitem(sys.modules, "moviepy.video.io.ImageSequenceClip", module)
    env = TimeLimit(gymnasium.make(gym.gym_name(name), render_mode="rgb_array"), 4)
    env = RecordEpisodeStatistics(RecordVideo(env, str(tmp_path), disable_logger=True))
    env.reset(seed=0)
    rewards = [env.step(env.action_space.sample()) for _ in range(4)]
    env.close()
    assert rewards[-1][4]["episode"]["l"] == 4
    assert rewards[-1][4]["episode"]["r"] == pytest.approx(sum(step[1] for step in rewards))
    [(shape, fps)] = clips
    assert shape[0] == 5 and shape[3] == 3 and fps == env.metadata["render_fps"] > 0


def test_render_modes_are_those_that_we_have():
    env = gymnasium.make("jatlab/mujoco-pendulum-v0")
    assert env.metadata["render_modes"] == ["rgb_array"] and env.render_mode is None
    with pytest.raises(ValueError, match="'rgb_array' or None, not 'human'"):
        gymnasium.make("jatlab/mujoco-pendulum-v0", render_mode="human")


def test_own_tasks_get_a_name_too():
    facts = ("continuous", 4, "discrete", 2)
    task = Task("own-gym-pole", "own", None, None, *facts)
    register(task, lambda task, render_mode=None: gymnasium.make("CartPole-v1"))
    name = gym.gym_name(task.name)
    try:
        gym.register_tasks()
        env = gymnasium.make(name)
        check_env(env)
        assert gymnasium.make(env.spec).reset(seed=0)[0]["continuous_observation"].shape == (4,)
    finally:
        gymnasium.registry.pop(name, None)


def mission_env(**options):
    return gym.NumericMission(gymnasium.make("jatlab/babyai-go-to-local-v0"), **options)


def test_a_mission_becomes_numbers_and_back():
    env = mission_env()
    check_env(env)
    observation, _ = env.reset(seed=0)
    numbers = observation["text_observation"]
    assert numbers.dtype == np.int64 and numbers.shape == (72,)
    assert env.observation_space.contains(observation)
    words = [gym.WORDS[number - 1] for number in numbers if number]
    plain = make_env("babyai-go-to-local").reset(seed=0)[0]
    assert " ".join(words) == plain["text_observation"]
    np.testing.assert_array_equal(
        observation["discrete_observation"], plain["discrete_observation"]
    )


def test_the_spec_of_a_mission_in_numbers():
    env = mission_env(length=50)
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again, gym.NumericMission) and again.spec == env.spec
    assert again.observation_space["text_observation"].shape == (50,)


def test_the_vocabulary_has_every_word_of_babyais_missions():
    for name in task_names("babyai"):
        env = gym.NumericMission(make_env(name, render_mode=None))
        for seed in range(3):
            assert env.reset(seed=seed)[0]["text_observation"].any()


@pytest.mark.slow
def test_the_vocabulary_and_length_are_enough():
    for name in task_names("babyai"):
        env = gym.NumericMission(make_env(name, render_mode=None))
        for seed in range(80):
            env.reset(seed=seed)


def test_missions_that_cannot_be_numbers_are_refused():
    with pytest.raises(ValueError, match="needs a 'text_observation'"):
        gym.NumericMission(make_env("mujoco-ant", render_mode=None))
    with pytest.raises(ValueError, match="words is empty"):
        mission_env(words=[])
    for length in (0, 2.5, "9"):
        with pytest.raises(ValueError, match=f"length is {length!r}: expected a whole number"):
            mission_env(length=length)
    with pytest.raises(ValueError, match=r"does not know: go, to"):
        mission_env(words=["the", "red", "blue"]).reset(seed=0)
    with pytest.raises(ValueError, match="at most 2 are expected"):
        mission_env(length=2).reset(seed=0)
