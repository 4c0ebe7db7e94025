"""Retrieve and play: it repeats what it was shown, and refuses what it cannot use."""

import numpy as np
import pytest

from jatlab import Agent, RetrieveAndPlay, evaluate, load_agent, make_env, rollout
from jatlab.agents.checkpoints import save_agent
from jatlab.agents.retrieval.retrieve import frame_encoder
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


def test_an_encoder_may_be_named(tmp_path):
    """By its name or its folder; without one it is jatlab-mini's."""
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 84, 84), np.uint8)
    folder = save_agent(Agent.untrained(seed=1), tmp_path / "mine")
    features = {
        given: frame_encoder(given)(frames) for given in (None, "jatlab-mini", folder, str(folder))
    }
    np.testing.assert_array_equal(features["jatlab-mini"], features[None])
    for given in (folder, str(folder)):
        wanted = frame_encoder(Agent.untrained(seed=1))(frames)
        np.testing.assert_array_equal(features[given], wanted)
    episode = write_task(tmp_path, "atari-pong", [4])[0]
    by_name = RetrieveAndPlay("atari-pong", [episode], encoder="jatlab-mini")
    stored = by_name.index._search.vectors
    wanted = frame_encoder(load_agent())(episode["image_observations"])
    np.testing.assert_allclose(stored, wanted, rtol=1e-5)
    other = RetrieveAndPlay("atari-pong", [episode], encoder=folder)  # so records tell them apart
    assert by_name.demonstrations == RetrieveAndPlay("atari-pong", [episode]).demonstrations
    assert by_name.demonstrations != other.demonstrations
    with pytest.raises(ValueError, match="encoder is 3: expected an agent, or its name or folder"):
        RetrieveAndPlay("atari-pong", [episode], encoder=3)
    with pytest.raises(FileNotFoundError, match="nobody"):
        RetrieveAndPlay("atari-pong", [episode], encoder="nobody")


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
    wanted = ": expected a list of episodes, a store of them, or the folder of the data"
    for wrong, told in (
        (pendulum(0.0), r"is a dict of \['continuous_observations', .*\].*; of one episode, "),
        (None, f"is None{wanted}"),
        (3, f"is 3{wanted}"),
        ([pendulum(0.0), 4], rf"holds \[4\]{wanted}"),
        (b"data", rf"holds \[100\]{wanted}"),
    ):
        with pytest.raises(ValueError, match=f"^demonstrations {told}"):
            RetrieveAndPlay("mujoco-pendulum", wrong)


def test_any_iterable_of_episodes_will_do():
    shown = [pendulum(0.0), pendulum(2.0), pendulum(3.0)]
    for given in (tuple(shown), iter(shown), (one for one in shown)):
        index = DemonstrationIndex("mujoco-pendulum", given, 2)
        assert index.episodes == 2 and index.action(5) == 2


def test_bad_calls_are_named():
    agent = RetrieveAndPlay("mujoco-pendulum", [pendulum(0.0)])
    seen = {"continuous_observation": np.zeros(4, np.float32)}
    for k in (0, 2.5):
        with pytest.raises(ValueError, match=f"k is {k}: expected a whole number of at least 1"):
            agent.index.nearest([seen], k)
    with pytest.raises(ValueError, match="k is 6: there are 5 stored timesteps"):
        agent.index.nearest([seen], 6)
    with pytest.raises(ValueError, match="observations is empty: expected at least one"):
        agent.index.nearest([])
    with pytest.raises(ValueError, match="after agent.reset"):
        agent.act(seen)
    with pytest.raises(ValueError, match="mujoco-ant cannot be played from them"):
        agent.reset(1, "mujoco-ant")
    for wrong in (0, -1, 2.5, "2"):
        with pytest.raises(ValueError, match=f"^n is {wrong!r}: expected a whole number of at le"):
            agent.reset(wrong)
    agent.reset(np.int64(2))
    with pytest.raises(ValueError, match="reset for 2 environments"):
        agent.act([seen])
    for wrong, message in ((np.zeros(3), "has shape"), (np.full(4, np.nan), "NaN or infinity")):
        with pytest.raises(ValueError, match=message):
            agent.act([seen, {"continuous_observation": wrong}])


def test_integers_above_255_are_told_apart():
    """256 is not 0, and 300 is neither."""
    agent = RetrieveAndPlay("babyai-go-to-obj", [grid(256, 1), grid(0, 2)])
    agent.reset(3)
    seen = [{"discrete_observation": np.full(148, one), "text_observation": "go"}
            for one in (0, 256, 300)]  # fmt: skip
    assert agent.act(seen)[:2] == [2, 1]
    np.testing.assert_allclose(agent.neighbours.distances[:, 0] ** 2, [0, 0, 148])


def grid(value, action):
    """An episode of one timestep, whose grid holds one integer alone."""
    return {
        "discrete_observations": np.full((1, 148), value),
        "text_observations": np.array(["go"], object),
        "discrete_actions": np.array([action]),
        "rewards": np.zeros(1, np.float32),
    }
