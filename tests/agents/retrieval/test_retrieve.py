"""Retrieve and play: it repeats what it was shown, and refuses what it cannot use."""

import numpy as np
import pytest

from jatlab import Agent, RetrieveAndPlay, evaluate, make_env, rollout
from jatlab.data.retrieval.index import DemonstrationIndex
from jatlab.data.storage import EpisodeStore
from jatlab.tasks import get_task
from jatlab.teachers import get_teacher
from tests.support.synthetic import write_task

COLUMNS = ("continuous_observations", "discrete_observations", "text_observations")
ACTIONS = ("continuous_actions", "discrete_actions", "rewards")


def demonstrate(task, seed, steps=None):
    """An episode of the task's teacher, as a recording has it."""
    env, teacher = make_env(task, render_mode=None), get_teacher(task)

    class Shown:
        def reset(self, n, task):
            self.new = True

        def act(self, observation, *_, **__):
            if self.new:
                teacher.reset(env, seed)
            self.new = False
            return teacher.act(observation)

    episode = rollout(Shown(), env, seed=seed, max_steps=steps)
    env.close()
    episode = {name: episode[name] for name in (*COLUMNS, *ACTIONS) if name in episode}
    if "text_observations" in episode:
        episode["text_observations"] = np.array(episode["text_observations"], object)
    return episode


@pytest.mark.parametrize(
    "task",
    [
        "babyai-go-to-obj",
        "babyai-open-door",
        "mujoco-pendulum",
        pytest.param("metaworld-door-lock", marks=pytest.mark.slow),
    ],
)
def test_an_agent_repeats_its_own_demonstration(task):
    shown = [demonstrate(task, seed, 60) for seed in (3, 4)]
    env = make_env(task, render_mode=None)
    again = rollout(RetrieveAndPlay(task, shown), env, seed=4, max_steps=60)
    env.close()
    name = f"{get_task(task).action}_actions"
    np.testing.assert_array_equal(again[name], shown[1][name])
    np.testing.assert_array_equal(again["rewards"], shown[1]["rewards"])


def test_lockstep_acts_as_one_by_one():
    task = "babyai-go-to-obj"
    shown = [demonstrate(task, seed) for seed in range(5)]
    env = make_env(task, render_mode=None)
    observations = [env.reset(seed=seed)[0] for seed in range(20, 26)]
    env.close()
    agent, one = RetrieveAndPlay(task, shown), RetrieveAndPlay(task, shown)
    agent.reset(6)
    together = agent.act(observations)
    alone = []
    for observation in observations:
        one.reset(1, task)
        alone.append(one.act(observation))
    assert together == alone
    assert agent.neighbours.rows.shape == (6, 1)


def test_evaluate_takes_it(tmp_path):
    task = "mujoco-pendulum"
    agent = RetrieveAndPlay(task, [demonstrate(task, 0, 50)])
    results = evaluate(agent, task, episodes=2, max_steps=5, progress=False)
    assert not results["failed"]


def test_frames_are_compared_by_an_encoder():
    task = get_task("atari-pong")
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (6, 4, 84, 84)).astype(np.uint8)
    episode = {
        "image_observations": frames,
        "discrete_actions": np.arange(6),
        "rewards": np.zeros(6, np.float32),
    }
    agent = RetrieveAndPlay(task, [episode], encoder=Agent.untrained())
    agent.reset(1)
    assert [agent.act({"image_observation": frames[i]}) for i in (4, 2)] == [4, 2]
    with pytest.raises(ValueError, match="observes frames: give encode"):
        DemonstrationIndex(task, [episode])


def test_frames_of_a_folder_stay_on_disk(tmp_path):
    episodes = write_task(tmp_path, "atari-pong", [5, 7, 6])
    encoder = Agent.untrained()
    stored = RetrieveAndPlay("atari-pong", tmp_path, 2, encoder)
    held = RetrieveAndPlay("atari-pong", episodes[:2], encoder=encoder)
    assert isinstance(stored.index.store.columns["image_observations"].values, np.memmap)
    observations = [{"image_observation": frames} for frames in episodes[2]["image_observations"]]
    for agent in (stored, held):
        agent.reset(6)
        agent.act(observations)
    np.testing.assert_array_equal(stored.neighbours.rows, held.neighbours.rows)
    np.testing.assert_allclose(stored.neighbours.distances, held.neighbours.distances)


def test_scale_is_of_other_episodes():
    task = get_task("mujoco-pendulum")
    store = EpisodeStore.of_episodes(task, [pendulum(0.0), pendulum(2.0)])
    assert DemonstrationIndex(task, store).scale == pytest.approx(2.0)
    assert DemonstrationIndex(task, store, 1).scale == 1.0  # all alike: no distance


def pendulum(angle, steps=5):
    """An episode that stays at one angle."""
    observations = np.zeros((steps, 4), np.float32)
    observations[:, 1] = angle
    return {
        "continuous_observations": observations,
        "continuous_actions": np.full((steps, 1), angle, np.float32),
        "rewards": np.ones(steps, np.float32),
    }


def test_count_takes_the_first():
    index = DemonstrationIndex("mujoco-pendulum", [pendulum(0.0), pendulum(2.0)], 1)
    assert index.episodes == 1 and len(index) == 5 and index.place(4) == (0, 4)
    with pytest.raises(ValueError, match="count is 3, but there are 2 demonstrations"):
        DemonstrationIndex("mujoco-pendulum", [pendulum(0.0)] * 2, 3)


def test_bad_demonstrations_are_named(tmp_path):
    with pytest.raises(ValueError, match="mujoco-pendulum has no demonstration: record"):
        RetrieveAndPlay("mujoco-pendulum", [])
    with pytest.raises(FileNotFoundError, match="jatlab record"):
        RetrieveAndPlay("mujoco-pendulum", tmp_path)
    with pytest.raises(ValueError, match="NaN|finite"):
        RetrieveAndPlay("mujoco-pendulum", [pendulum(np.nan)])
    store = EpisodeStore.of_episodes(get_task("mujoco-pendulum"), [pendulum(0.0)])
    with pytest.raises(ValueError, match="of mujoco-pendulum, not of mujoco-ant"):
        RetrieveAndPlay("mujoco-ant", store)
    with pytest.raises(ValueError, match="read, not played"):
        RetrieveAndPlay("python-docs", [])


def test_bad_calls_are_named():
    agent = RetrieveAndPlay("mujoco-pendulum", [pendulum(0.0)])
    seen = {"continuous_observation": np.zeros(4, np.float32)}
    with pytest.raises(ValueError, match="after agent.reset"):
        agent.act(seen)
    with pytest.raises(ValueError, match="mujoco-ant cannot be played from them"):
        agent.reset(1, "mujoco-ant")
    agent.reset(2)
    with pytest.raises(ValueError, match="reset for 2 environments"):
        agent.act([seen])
    for wrong, message in ((np.zeros(3), "has shape"), (np.full(4, np.nan), "NaN or infinity")):
        with pytest.raises(ValueError, match=message):
            agent.act([seen, {"continuous_observation": wrong}])
