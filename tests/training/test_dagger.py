"""Relabelling: the environment executes the agent's actions, the episodes keep the teacher's.

Files that exist are kept, and training uses them beside the demonstrations.
"""

import re

import numpy as np
import pytest

import jatlab
from jatlab.agents.checkpoints import save_agent
from jatlab.data.episodes import read_episodes, read_notes
from jatlab.data.recording.record import record
from jatlab.data.windows import open_source
from jatlab.evaluation.records import identity
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task, make_env
from jatlab.teachers import TeacherFailed, get_teacher
from jatlab.training import dagger
from jatlab.training.dagger import relabel, relabel_one
from jatlab.utils.manifest import verify

ROOM, REACH = "babyai-go-to-obj", "metaworld-reach"


@pytest.fixture(scope="module")
def novice(tmp_path_factory):
    """An untrained agent in a folder."""
    return save_agent(jatlab.Agent.untrained("nano", seed=3), tmp_path_factory.mktemp("novice"))


def relabelled_file(root, task):
    return root / task / "train" / "relabelled-050000.parquet"


@pytest.mark.parametrize("task", [ROOM, REACH])
def test_the_agent_acts_and_the_teacher_answers(task, novice, tmp_path):
    """Replaying the agent's actions gives the same states and the same teacher's actions."""
    steps = relabel(novice, task, tmp_path, 2, workers=0, max_steps=12)
    episodes = read_episodes(relabelled_file(tmp_path, task), get_task(task))
    assert steps == {task: sum(len(episode["rewards"]) for episode in episodes)}
    agent, teacher = jatlab.load_agent(novice), get_teacher(task)
    env, kind = make_env(task, render_mode=None), get_task(task)
    for seed, episode in zip((50_000, 50_001), episodes, strict=True):
        observation, _ = env.reset(seed=seed)
        teacher.reset(env, seed)
        agent.reset(1, task)
        executed, reward, differ = None, 0.0, 0
        for t in range(len(episode["rewards"])):
            # in a batch of another size, actions differ in their last digits
            recorded = episode[f"{kind.observation}_observations"][t]
            expected = observation[f"{kind.observation}_observation"]
            np.testing.assert_allclose(recorded, expected, rtol=1e-3, atol=1e-4)
            label, recorded = teacher.act(observation, executed), episode[f"{kind.action}_actions"]
            np.testing.assert_allclose(recorded[t], label, rtol=1e-3, atol=1e-3)
            executed = agent.act([observation], [reward], [t == 0], seeds=[seed])[0]
            executed = np.clip(executed, -1, 1) if kind.action == "continuous" else executed
            differ += not np.allclose(executed, label)
            observation, reward, *_ = env.step(executed)
        assert differ  # a novice does not do what its teacher would


def test_what_is_there_is_kept_and_another_agent_is_refused(novice, tmp_path):
    relabel(novice, ROOM, tmp_path, 2, workers=0, max_steps=5)
    before = relabelled_file(tmp_path, ROOM).stat().st_mtime_ns
    relabel(novice, ROOM, tmp_path, 2, workers=0, max_steps=5)
    assert relabelled_file(tmp_path, ROOM).stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="was recorded with agent = .*choose other seeds"):
        relabel("jatlab-mini", ROOM, tmp_path, 2, workers=0, max_steps=5)


def test_a_stop_says_what_is_kept(novice, tmp_path, monkeypatch):
    def stopped(job, report):
        if job.first > 50_000:
            raise KeyboardInterrupt
        return relabel_one(job, report)

    monkeypatch.setattr(dagger, "relabel_one", stopped)
    monkeypatch.setattr(dagger, "EPISODES_PER_FILE", 2)
    kept = f"{re.escape(str(tmp_path))} has 2 of 5 episodes of {ROOM}. The same command goes on"
    with pytest.raises(KeyboardInterrupt, match=f"^stopped; {kept}"):
        relabel(novice, ROOM, tmp_path, 5, workers=0, max_steps=3)
    assert verify(tmp_path) == (1, {})
    monkeypatch.undo()
    monkeypatch.setattr(dagger, "EPISODES_PER_FILE", 2)
    relabel(novice, ROOM, tmp_path, 5, workers=0, max_steps=3)
    assert verify(tmp_path) == (3, {})


def test_more_episodes_than_slots(novice, tmp_path):
    relabel(novice, ROOM, tmp_path, 18, workers=0, max_steps=3)
    notes = read_notes(relabelled_file(tmp_path, ROOM))
    assert len(notes["returns"]) == 18 and notes["timesteps"] <= 18 * 3
    firsts = {
        episode["discrete_observations"][0].tobytes()
        for episode in read_episodes(relabelled_file(tmp_path, ROOM), get_task(ROOM))
    }
    assert len(firsts) > 9  # other seeds, other rooms


def test_demonstrations_are_told_apart(novice, tmp_path):
    """Training reads both kinds of file; the recording's summary counts demonstrations only."""

    def timesteps():
        source = open_source(ROOM, tmp_path, JatConfig.preset("nano"), TextTokenizer.load())
        return source.timesteps

    record(ROOM, tmp_path, 2, workers=0, progress=False)
    demonstrated = timesteps()
    relabelled = relabel(novice, ROOM, tmp_path, 2, workers=0, max_steps=6)[ROOM]
    assert timesteps() == demonstrated + relabelled
    summary = record(ROOM, tmp_path, 2, workers=0, progress=False)[ROOM]
    assert summary["timesteps"] == demonstrated


def test_an_episode_is_cut_where_the_teacher_gives_up(novice, tmp_path, monkeypatch):
    from jatlab.teachers.babyai import BotTeacher

    real, asked = BotTeacher.act, []

    def gives_up(self, observation, executed=None):
        asked.append(self)
        if asked.count(self) == 4:
            raise TeacherFailed("lost")
        return real(self, observation, executed)

    monkeypatch.setattr(BotTeacher, "act", gives_up)
    relabel(novice, ROOM, tmp_path, 1, workers=0)
    notes = read_notes(relabelled_file(tmp_path, ROOM))
    assert notes["cut"] == ["lost"] and notes["timesteps"] == 3


@pytest.mark.parametrize("episodes, seed", [(0, 50_000), (1, 49_999), (2, 89_999)])
def test_seeds_of_others_are_refused(episodes, seed, novice, tmp_path):
    with pytest.raises(ValueError, match="relabelling uses seeds 50,000 to 89,999"):
        relabel(novice, ROOM, tmp_path, episodes, seed=seed)


@pytest.mark.slow
def test_workers_make_the_same_files(novice, tmp_path):
    for workers in (0, 1):
        root = tmp_path / str(workers)
        relabel(novice, ROOM, root, 2, workers=workers, max_steps=4, progress=False)
    ours, theirs = (relabelled_file(tmp_path / str(workers), ROOM) for workers in (0, 1))
    assert ours.read_bytes() == theirs.read_bytes()


def test_each_task_may_have_its_own_number(novice, tmp_path):
    other = "babyai-go-to-red-ball"
    counts = {ROOM: 1, other: 3}
    told = relabel(novice, counts, tmp_path, counts, workers=0, max_steps=3, progress=False)
    assert [len(read_notes(relabelled_file(tmp_path, name))["returns"]) for name in told] == [1, 3]
    with pytest.raises(ValueError, match=f"seed 50000 with 0 episodes of {other}"):
        relabel(novice, [ROOM, other], tmp_path, {ROOM: 1, other: 0})
    lacking = rf"episodes is {{'{ROOM}': 1}}, without \['{other}'\]: expected a number for every"
    with pytest.raises(ValueError, match=lacking):
        relabel(novice, [ROOM, other], tmp_path / "other", {ROOM: 1}, workers=0)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_new_weights_in_the_same_folder_play_and_are_named(novice, tmp_path):
    folder, other = tmp_path / "agent", jatlab.Agent.untrained("nano", seed=4)
    settings = dict(episodes=1, workers=0, max_steps=3, progress=False)
    save_agent(jatlab.load_agent(novice), folder)
    relabel(folder, REACH, tmp_path / "data", seed=50_000, **settings)
    save_agent(other, folder)
    relabel(folder, REACH, tmp_path / "data", seed=50_001, **settings)
    file = tmp_path / "data" / REACH / "train" / "relabelled-050001.parquet"
    assert read_notes(file)["agent"] == identity(other)["fingerprint"]
    # a folder that had no other weights before makes the same file; the old weights do not
    for agent, same in ((folder, True), (novice, False)):
        relabel(agent, REACH, tmp_path / str(same), seed=50_001, **settings)
        again = tmp_path / str(same) / REACH / "train" / file.name
        ours, theirs = (read_episodes(one, get_task(REACH))[0] for one in (file, again))
        key = "continuous_observations"
        assert np.array_equal(ours[key], theirs[key]) is same


def test_weights_that_change_while_they_play_are_refused(tmp_path, monkeypatch):
    folder = save_agent(jatlab.Agent.untrained("nano", seed=3), tmp_path / "agent")

    def as_a_worker_that_starts_late(job, report):
        save_agent(jatlab.Agent.untrained("nano", seed=4), folder)
        dagger._cached_agent.cache_clear()
        return relabel_one(job, report)

    monkeypatch.setattr(dagger, "relabel_one", as_a_worker_that_starts_late)
    with pytest.raises(ValueError, match="the weights of .*agent have changed since relabelling"):
        relabel(folder, ROOM, tmp_path / "data", 1, workers=0, max_steps=3)
    assert not relabelled_file(tmp_path / "data", ROOM).exists()
