"""Corrections: the agent decides what happens, the teacher what is recorded; files are kept,
resumed, and trained on beside demonstrations.
"""

import numpy as np
import pytest

import jatlab
from jatlab.agents.checkpoints import save_agent
from jatlab.data.episodes import read_episodes, read_notes
from jatlab.data.recording.record import record
from jatlab.data.windows import open_source
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task, make_env
from jatlab.teachers import TeacherFailed, get_teacher
from jatlab.training.dagger import relabel

ROOM, REACH = "babyai-go-to-obj", "metaworld-reach"


@pytest.fixture(scope="module")
def novice(tmp_path_factory):
    """An untrained agent in a folder."""
    return save_agent(jatlab.Agent.untrained("nano", seed=3), tmp_path_factory.mktemp("novice"))


def the_file(root, task):
    return root / task / "train" / "relabelled-050000.parquet"


@pytest.mark.parametrize("task", [ROOM, REACH])
def test_the_agent_acts_and_the_teacher_answers(task, novice, tmp_path):
    """Played again by hand with what the agent decides, the same states come, and the teacher gives
    the recorded answers.
    """
    steps = relabel(novice, task, tmp_path, 2, workers=0, max_steps=12)
    episodes = read_episodes(the_file(tmp_path, task), get_task(task))
    assert steps == {task: sum(len(episode["rewards"]) for episode in episodes)}
    agent, env, teacher = (
        jatlab.load_agent(novice),
        make_env(task, render_mode=None),
        get_teacher(task),
    )
    for seed, episode in zip((50_000, 50_001), episodes, strict=True):
        observation, _ = env.reset(seed=seed)
        teacher.reset(env, seed)
        agent.reset(1, task)
        executed, reward, differ = None, 0.0, 0
        for t in range(len(episode["rewards"])):
            kind = get_task(task)
            recorded = episode[f"{kind.observation}_observations"][
                t
            ]  # with another agent in the batch, actions differ in their last digits
            np.testing.assert_allclose(
                recorded, observation[f"{kind.observation}_observation"], rtol=1e-3, atol=1e-4
            )
            label = teacher.act(observation, executed)
            np.testing.assert_allclose(
                episode[f"{kind.action}_actions"][t], label, rtol=1e-3, atol=1e-3
            )
            executed = agent.act([observation], [reward], [t == 0], seeds=[seed])[0]
            executed = np.clip(executed, -1, 1) if kind.action == "continuous" else executed
            differ += not np.allclose(executed, label)
            observation, reward, *_ = env.step(executed)
        assert differ  # a novice does not do what its teacher would


def test_what_is_there_is_kept_and_another_agent_is_refused(novice, tmp_path):
    relabel(novice, ROOM, tmp_path, 2, workers=0, max_steps=5)
    before = the_file(tmp_path, ROOM).stat().st_mtime_ns
    relabel(novice, ROOM, tmp_path, 2, workers=0, max_steps=5)
    assert the_file(tmp_path, ROOM).stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="was made with corrected = .*choose other seeds"):
        relabel("demo", ROOM, tmp_path, 2, workers=0, max_steps=5)


def test_more_episodes_than_lanes(novice, tmp_path):
    relabel(novice, ROOM, tmp_path, 18, workers=0, max_steps=3)
    notes = read_notes(the_file(tmp_path, ROOM))
    assert len(notes["returns"]) == 18 and notes["timesteps"] <= 18 * 3
    firsts = {
        episode["discrete_observations"][0].tobytes()
        for episode in read_episodes(the_file(tmp_path, ROOM), get_task(ROOM))
    }
    assert len(firsts) > 9  # other seeds, other rooms


def test_demonstrations_are_told_apart(novice, tmp_path):
    """They are trained on together, and the recording's summary speaks of demonstrations alone."""
    record(ROOM, tmp_path, 2, workers=0, progress=False)
    shown = open_source(ROOM, tmp_path, JatConfig.preset("nano"), TextTokenizer.load()).timesteps
    told = relabel(novice, ROOM, tmp_path, 2, workers=0, max_steps=6)[ROOM]
    assert (
        open_source(ROOM, tmp_path, JatConfig.preset("nano"), TextTokenizer.load()).timesteps
        == shown + told
    )
    assert record(ROOM, tmp_path, 2, workers=0, progress=False)[ROOM]["timesteps"] == shown


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
    notes = read_notes(the_file(tmp_path, ROOM))
    assert notes["cut"] == ["lost"] and notes["timesteps"] == 3


@pytest.mark.parametrize("episodes, seed", [(0, 50_000), (1, 49_999), (2, 99_999)])
def test_seeds_of_others_are_refused(episodes, seed, novice, tmp_path):
    with pytest.raises(ValueError, match="corrections use seeds 50,000 to 99,999"):
        relabel(novice, ROOM, tmp_path, episodes, seed=seed)


def test_workers_make_the_same_files(novice, tmp_path):
    relabel(novice, ROOM, tmp_path / "here", 2, workers=0, max_steps=4, progress=False)
    relabel(novice, ROOM, tmp_path / "there", 2, workers=1, max_steps=4, progress=False)
    assert (
        the_file(tmp_path / "here", ROOM).read_bytes()
        == the_file(tmp_path / "there", ROOM).read_bytes()
    )


def test_each_task_may_have_its_own_number(novice, tmp_path):
    other = "babyai-go-to-red-ball"
    told = relabel(
        novice, [ROOM, other], tmp_path, {ROOM: 1, other: 3}, workers=0, max_steps=3, progress=False
    )
    assert [len(read_notes(the_file(tmp_path, name))["returns"]) for name in told] == [1, 3]
    with pytest.raises(ValueError, match=f"seed 50000 with 0 episodes of {other}"):
        relabel(novice, [ROOM, other], tmp_path, {ROOM: 1, other: 0})
