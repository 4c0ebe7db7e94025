"""Environments that never end: every door cuts their episodes, and says so."""

import numpy as np
import pytest

from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import save_agent
from jatlab.agents.rollout import RandomAgent, rollout
from jatlab.data.episodes import read_episodes, read_notes
from jatlab.data.recording.measuring import measure
from jatlab.data.recording.record import record
from jatlab.evaluation.evaluate import evaluate
from jatlab.tasks import Task, get_task, make_env, task, task_names
from jatlab.teachers.base import RandomTeacher
from jatlab.training.dagger import relabel
from jatlab.viz.player.playback import play
from jatlab.viz.player.watching import Watch
from jatlab.viz.report.words import provenance
from tests.support.odd_tasks import Endless, own_task

NAME = "odd-endless"
FACTS = ("continuous", 2, "discrete", 2)
LIMIT = 40
SAID = f"{NAME}: no end after {LIMIT} steps, so the episode was cut.*episode_limit=STEPS"
REASON = f"no end after {LIMIT} steps, which is its task's limit"

pytestmark = pytest.mark.filterwarnings("ignore:.*so the episode was cut:UserWarning")


@pytest.fixture
def endless(monkeypatch):
    monkeypatch.setattr(task, "LONGEST_EPISODE", LIMIT)
    with own_task(NAME, FACTS, Endless, RandomTeacher) as own:
        yield own


@pytest.fixture
def limited():
    with own_task(NAME, FACTS, Endless, RandomTeacher, episode_limit=7) as own:
        yield own


def test_rollout_and_play_end_and_warn(endless):
    with pytest.warns(UserWarning, match=SAID):
        assert rollout(RandomAgent(), make_env(NAME), seed=0)["length"] == LIMIT
    with pytest.warns(UserWarning, match=SAID):
        assert play(RandomAgent(), NAME, quiet=True).length == LIMIT


def test_every_episode_has_its_limit_from_its_start(endless):
    env = make_env(NAME)
    for _ in range(2):
        env.reset()
        ends = [env.step(0)[2:] for _ in range(LIMIT)]
        assert ends[:-1] == [(False, False, {})] * (LIMIT - 1)
        assert ends[-1] == (False, True, {"cut": LIMIT})


@pytest.mark.parametrize("make", [make_env, lambda name: Bare()])
def test_evaluation_ends_and_the_report_says_so(endless, make):
    results = evaluate(RandomAgent(), NAME, episodes=3, make=make, progress=False)
    found = results["tasks"][NAME]
    assert found["lengths"] == [LIMIT] * 3 and found["cut"] == 3
    assert dict(provenance(results))["Cut short"] == (
        f"3 episodes of {NAME} had not ended after {LIMIT} steps, "
        "the limit of a task that sets none (`episode_limit`)"
    )


class Bare(Endless):
    """As a `make` may return it: without the task's wrapper."""

    def reset(self, *, seed=None, options=None):
        return {"continuous_observation": np.zeros(2, np.float32)}, {}

    def step(self, action):
        return self.reset()[0], 1.0, False, False, {}


def test_measuring_and_recording_say_why_they_fail(endless, tmp_path):
    message = f"failed on all 2 seeds .*{REASON}"
    with pytest.raises(ValueError, match=message):
        measure(NAME, 2, workers=0, who=["random"], path=tmp_path / "s.json", progress=False)
    with pytest.raises(ValueError, match=f"{REASON}$"):
        record(NAME, tmp_path, 1, workers=0, progress=False)


def test_relabelling_keeps_what_came_before_the_limit(endless, tmp_path):
    save_agent(Agent.untrained("nano"), tmp_path / "agent")
    relabel(tmp_path / "agent", NAME, tmp_path, 1, workers=0, progress=False)
    [file] = (tmp_path / NAME / "train").iterdir()
    assert len(read_episodes(file, endless)[0]["rewards"]) == LIMIT
    assert read_notes(file)["cut"] == [REASON]


def test_the_player_ends(endless):
    watch = Watch(Agent.untrained("nano"), NAME, who="random")
    while watch.open:
        watch.step()
    assert watch.length == LIMIT


def test_a_tasks_limit_is_its_end(limited, tmp_path, recwarn):
    results = evaluate(RandomAgent(), NAME, episodes=2, progress=False)
    assert results["tasks"][NAME]["returns"] == [7.0, 7.0]
    assert results["tasks"][NAME]["cut"] == 0 and "Cut short" not in dict(provenance(results))
    assert rollout(RandomAgent(), make_env(NAME), seed=0)["length"] == 7
    assert record(NAME, tmp_path, 2, workers=0, progress=False)[NAME]["timesteps"] == 14
    entry = measure(NAME, 2, workers=0, path=tmp_path / "s.json", progress=False)[NAME]["random"]
    assert (entry["mean"], entry["dropped"]) == (7.0, 0)
    assert not recwarn.list


def test_a_limit_is_a_whole_number():
    for wrong in (0, -3, 2.5):
        with pytest.raises(ValueError, match=f"task {NAME}: episode_limit is {wrong}: expected"):
            Task(NAME, "odd", None, None, *FACTS, episode_limit=wrong)
    assert (
        type(Task(NAME, "odd", None, None, *FACTS, episode_limit=np.int64(3)).episode_limit) is int
    )


@pytest.mark.parametrize("name", ["babyai-boss-level", "metaworld-reach", "mujoco-swimmer"])
def test_published_tasks_end_long_before_the_limit(name):
    env = make_env(name, render_mode=None, seed=0)
    env.reset()
    longest = {"babyai": 2880, "metaworld": 100, "mujoco": 1000}[env.task.domain]
    assert env.task.longest_episode == 10_000 > 3 * longest


def test_games_of_atari_may_last_their_half_hour():
    for name in task_names("atari"):
        assert get_task(name).longest_episode > 108_000 / 4
