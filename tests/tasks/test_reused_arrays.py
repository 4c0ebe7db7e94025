"""Environments that give out one array again and again: nothing that was seen changes later."""

import numpy as np
import pytest

from jatlab.agents.checkpoints import save_agent
from jatlab.agents.rollout import RandomAgent, rollout
from jatlab.data.episodes import read_episodes
from jatlab.data.recording.record import record
from jatlab.evaluation.playing import EpisodeVideo, PlaySettings, play_task
from jatlab.tasks import make_env
from jatlab.training.dagger import relabel
from jatlab.viz.player.playback import play
from jatlab.viz.player.watching import Watch
from tests.support.little_tasks import make_agent
from tests.support.odd_tasks import FACTS, KINDS, STEPS, Reusing, ReusingTeacher, own_task

NAME = "odd-reusing"
COUNTED = list(range(STEPS))


@pytest.fixture(params=KINDS)
def task(request):
    facts = (*FACTS[request.param], "continuous", 2)
    with own_task(NAME, facts, lambda: Reusing(request.param), ReusingTeacher) as task:
        yield task


def firsts(values):
    """The first number of each timestep."""
    return np.asarray(values).reshape(len(values), -1)[:, 0].tolist()


def test_a_step_does_not_change_what_was_seen(task):
    env = make_env(NAME)
    action = np.full(2, 0.5, np.float32)
    seen = [env.reset()[0], *(env.step(action)[0] for _ in COUNTED)]
    key = f"{task.observation}_observation"
    assert firsts([observation[key] for observation in seen]) == list(range(STEPS + 1))
    assert action.tolist() == [0.5, 0.5], "the environment has changed its caller's action"


def test_recording_keeps_every_observation(task, tmp_path):
    record(NAME, tmp_path, 2, workers=0, progress=False)
    for episode in read_episodes(tmp_path / NAME / "train", task):
        assert firsts(episode[f"{task.observation}_observations"]) == COUNTED
        np.testing.assert_allclose(firsts(episode["continuous_actions"]), np.arange(STEPS) / 10)


def test_rollout_keeps_observations_actions_and_frames(task):
    agent = make_agent()
    episode = rollout(agent, make_env(NAME), seed=0, render=True)
    assert firsts(episode[f"{task.observation}_observations"]) == COUNTED
    assert firsts(episode["frames"]) == list(range(STEPS + 1))
    assert np.abs(episode["continuous_actions"]).max() < 9
    assert abs(float(agent._last_actions.abs().max())) < 9


def test_relabelling_keeps_observations_and_answers(task, tmp_path):
    save_agent(make_agent(), tmp_path / "agent")
    relabel(tmp_path / "agent", NAME, tmp_path, 2, workers=0, progress=False)
    for episode in read_episodes(tmp_path / NAME / "train", task):
        assert firsts(episode[f"{task.observation}_observations"]) == COUNTED
        np.testing.assert_allclose(firsts(episode["continuous_actions"]), np.arange(STEPS) / 10)


def test_videos_keep_every_frame(task):
    video = EpisodeVideo()
    play_task(RandomAgent(), NAME, PlaySettings(episodes=1), video)
    assert firsts(video.frames) == list(range(STEPS + 1))


def test_the_player_keeps_every_moment(task):
    watch = Watch(make_agent(), NAME)
    while watch.open:
        watch.step()
    assert [moment.frame[-1, -1, 0] for moment in watch.moments] == list(range(STEPS + 1))


def test_a_saved_play_shows_every_frame(task, tmp_path):
    pictures = play(make_agent(), NAME, output=tmp_path / "play.gif", quiet=True).pictures
    assert [picture[99, 9, 0] for picture in pictures] == list(range(STEPS + 1))


class Remembering:
    """An agent that looks at its observations only at the end of the episode."""

    def reset(self, n, task):
        self.seen = []

    def act(self, observations, rewards, starts, **how):
        self.seen += observations
        return [np.zeros(2, np.float32)] * len(observations)


def test_evaluation_copies_what_a_bare_environment_shows(task):
    agent = Remembering()
    play_task(agent, NAME, PlaySettings(episodes=1), make=lambda name: make_env(name).env)
    key = f"{task.observation}_observation"
    assert firsts([observation[key] for observation in agent.seen]) == COUNTED
