"""Seeds and lockstep, with environments and agents whose returns tell what happened."""

import numpy as np
import pytest

from jatlab.evaluation.playing import (
    FIRST_SEED,
    EpisodeVideo,
    PlaySettings,
    lockstep,
    play_task,
)
from jatlab.tasks import get_task
from tests.evaluation.seed_env import TASK, Diverging, Recorder, SeedEnv, make


def play(episodes=13, envs=4, agent=None, seed=FIRST_SEED, **settings):
    settings = PlaySettings(episodes, seed, envs, **settings)
    return play_task(agent or Recorder(), TASK, settings, make=make)


def test_every_seed_is_played_once_and_in_order():
    episodes = play(13, 4)
    assert [episode.seed for episode in episodes] == list(range(FIRST_SEED, FIRST_SEED + 13))
    assert [int(episode.total) for episode in episodes] == list(range(13))
    assert [episode.length for episode in episodes] == [1 + seed % 5 for seed in range(13)]
    succeed = [(FIRST_SEED + seed) % 3 == 0 for seed in range(13)]
    assert [episode.success for episode in episodes] == succeed
    assert sorted(SeedEnv.resets) == list(range(FIRST_SEED, FIRST_SEED + 13))
    assert SeedEnv.closed == 4


@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("envs", [2, 4, 13, 99])
def test_the_number_of_environments_does_not_matter(sample, envs):
    assert play(13, envs, Recorder(sample)) == play(13, 1, Recorder(sample))


def test_one_forward_answers_all_environments():
    agent = Recorder()
    play(12, 4, agent)
    assert agent.resets == 1 and agent.n == 4


def test_lockstep_keeps_its_environments_busy():
    asked = [(30, 16), (30, 30), (5, 16), (7, 1), (17, 16)]
    assert [lockstep(episodes, envs) for episodes, envs in asked] == [15, 30, 5, 1, 9]


def test_max_steps_cuts_episodes_and_says_so():
    episodes = play(5, 2, max_steps=2)
    assert [episode.length for episode in episodes] == [1, 2, 2, 2, 2]
    assert [episode.cut for episode in episodes] == [False, False, True, True, True]


def test_a_failure_closes_the_environments_and_names_the_seed():
    class Broken(SeedEnv):
        def step(self, action):
            raise RuntimeError("the simulation diverged")

    with pytest.raises(RuntimeError) as caught:
        play_task(Recorder(), TASK, PlaySettings(3, envs=2), make=lambda name: Broken())
    assert SeedEnv.closed == 2
    assert TASK in caught.value.__notes__[0] and str(FIRST_SEED) in caught.value.__notes__[0]


def test_a_return_that_is_not_finite_is_a_clear_error():
    with pytest.raises(ValueError, match=f"seed {FIRST_SEED}: the return is nan"):
        play_task(Recorder(), TASK, PlaySettings(3, envs=1), make=lambda name: Diverging())


def test_the_video_shows_the_first_episode_from_start_to_end():
    video = EpisodeVideo()
    settings = PlaySettings(6, FIRST_SEED + 4, envs=2)  # its first seed lasts five steps
    play_task(Recorder(), TASK, settings, video, make=make)
    assert [int(frame[0, 0, 0]) for frame in video.frames] == [0, 1, 2, 3, 4, 5]
    assert [caption["step"] for caption in video.captions] == [0, 1, 2, 3, 4, 5]
    assert video.captions[-1]["total"] == pytest.approx(4, abs=0.1)


def test_a_long_video_is_thinned_evenly():
    video = EpisodeVideo(limit=10)
    for step in range(1000):
        video.add(lambda: np.zeros((1, 1, 3), np.uint8), {"step": step}, last=step == 999)
    steps = [caption["step"] for caption in video.captions]
    assert 10 <= len(steps) <= 20 and steps[0] == 0 and steps[-1] == 999
    assert len(set(np.diff(steps)[:-1])) == 1


def test_a_video_may_keep_every_third_frame_only():
    video, rendered = EpisodeVideo(stride=3), []
    for step in range(11):
        video.add(
            lambda step=step: rendered.append(step) or np.zeros((1, 1, 3), np.uint8),
            {"step": step},
            last=step == 10,
        )
    assert rendered == [caption["step"] for caption in video.captions] == [0, 3, 6, 9, 10]


def test_a_real_agent_plays_the_same_alone_and_in_lockstep():
    import torch

    from jatlab.agents.agent import Agent
    from jatlab.model import JatModel
    from jatlab.model.config import JatConfig
    from jatlab.model.tokenization import TextTokenizer

    torch.manual_seed(0)
    agent = Agent(JatModel(JatConfig.preset("nano")), TextTokenizer.load())
    assert get_task(TASK).action == "discrete"
    alone = [episode.total for episode in play(9, 1, agent)]
    assert [episode.total for episode in play(9, 4, agent)] == pytest.approx(alone)
