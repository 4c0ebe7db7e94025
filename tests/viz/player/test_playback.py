"""Watching an episode: what is drawn, printed and written."""

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from jatlab.agents.rollout import RandomAgent
from jatlab.tasks import Task, register
from jatlab.viz.player import playback as player
from jatlab.viz.player.playback import action_names, play
from jatlab.viz.video import save_small_gif, save_video

WORDS, FORCE = "player-words", "player-force"
MISSION = "go to the very long and winding red door at the end"


class Corridor(gym.Env):
    """Five steps; a grey that grows. Pays 0.5 at the end."""

    def __init__(self, observation, actions):
        self.observation_space, self.action_space = observation, actions

    def _observe(self):
        if isinstance(self.action_space, gym.spaces.Discrete):
            return {"discrete_observation": np.zeros(148, np.int64), "text_observation": MISSION}
        return np.zeros(2, np.float32)

    def reset(self, *, seed=None, options=None):
        self.time, self.first = 0, seed
        return self._observe(), {}

    def step(self, action):
        self.time += 1
        done = self.time == 5
        return self._observe(), 0.5 * done, done, False, {"success": True} if done else {}

    def render(self):
        return np.full((40, 60, 3), 40 * self.time, np.uint8)


GRID = gym.spaces.Dict(
    {
        "discrete_observation": gym.spaces.MultiDiscrete([8] * 148),
        "text_observation": gym.spaces.Text(100),
    }
)
VECTOR, PUSH = (gym.spaces.Box(-1, 1, (2,), np.float32) for _ in range(2))
register(
    Task(WORDS, "player", "Words-v0", None, "discrete", 148, "discrete", 3),
    lambda task, render_mode=None: Corridor(GRID, gym.spaces.Discrete(3)),
)
register(
    Task(FORCE, "player", "Force-v0", None, "continuous", 2, "continuous", 2),
    lambda task, render_mode=None: Corridor(VECTOR, PUSH),
)


@pytest.mark.parametrize("task", [WORDS, FORCE])
def test_a_video_has_one_picture_a_step_and_the_last(tmp_path, capsys, task):
    playback = play(RandomAgent(), task, output=tmp_path / "a.gif")
    assert (playback.total, playback.length, playback.success) == (0.5, 5, True)
    assert len(playback.pictures) == 6 and {p.shape for p in playback.pictures} == {(320, 704, 3)}
    assert [int(p[5, 5, 0]) for p in playback.pictures] == [0, 40, 80, 120, 160, 200]
    assert [(step.step, step.reward) for step in playback.steps][3:] == [(3, 0.0), (4, 0.5)]
    with Image.open(playback.path) as image:
        assert image.n_frames == 6
    assert "return 0.5 in 5 steps, success" in capsys.readouterr().out


def test_without_output_steps_are_printed_and_none_is_rendered(monkeypatch, capsys):
    monkeypatch.setattr(Corridor, "render", lambda self: pytest.fail("rendered for nothing"))
    playback = play(RandomAgent(), WORDS, seed=1_000_007)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "action" in line and "reward" in line]) == 5
    assert not any("p = " in line for line in lines)  # this agent does not say how sure it was
    assert "player-words, seed 1000007: return 0.5 in 5 steps, success" in lines
    assert playback.pictures == []


def test_how_sure_the_agent_was_is_printed(capsys):
    class Sure(RandomAgent):
        def act(self, *args, **kwargs):
            self.last = type("Last", (), {"probabilities": np.array([[0.5, 0.3, 0.2]])})
            return [1]

    play(Sure(), WORDS, max_steps=2)
    assert "    0  action 1    p = 0.30  reward +0.000" in capsys.readouterr().out.splitlines()


def test_max_steps_and_quiet(capsys):
    assert play(RandomAgent(), FORCE, max_steps=2, quiet=True).length == 2
    assert capsys.readouterr().out == ""


def test_the_limit_of_a_gif_is_kept(tmp_path):
    playback = play(RandomAgent(), WORDS, output=tmp_path / "a.gif", limit=9_000, quiet=True)
    assert playback.path.stat().st_size <= 9_000


def test_long_episodes_are_thinned(monkeypatch, tmp_path):
    monkeypatch.setattr(player, "PICTURES", 2)
    assert len(play(RandomAgent(), WORDS, output=tmp_path / "a.gif", quiet=True).pictures) <= 4


@pytest.mark.parametrize(
    "task, output, says",
    [("player-word", None, "player-words"), (WORDS, "a.webm", ".gif or .mp4")],
)
def test_bad_names_are_errors_before_anything_is_played(monkeypatch, task, output, says):
    monkeypatch.setattr(Corridor, "reset", lambda self, **_: pytest.fail("played"))
    with pytest.raises(ValueError, match=says):
        play(RandomAgent(), task, output=output)


def test_actions_have_their_names():
    def env(domain, action, size):
        made = gym.Wrapper(Corridor(VECTOR, PUSH))
        made.task = Task(f"{domain}-x", domain, "X-v0", None, "continuous", 2, action, size)
        return made

    assert action_names(env("babyai", "discrete", 7))[:4] == ["left", "right", "forward", "pick up"]
    assert action_names(env("metaworld", "continuous", 4)) == ["x", "y", "z", "grip"]
    assert action_names(env("mujoco", "continuous", 3)) == ["a0", "a1", "a2"]
    assert action_names(env("own", "discrete", 2)) == ["action 0", "action 1"]


@pytest.mark.parametrize("fps", [0, -8, float("nan"), "8"])
def test_frames_a_second_are_checked_before_anything_is_played(tmp_path, monkeypatch, fps):
    monkeypatch.setattr("jatlab.viz.player.playback.make_env", None)
    with pytest.raises(ValueError, match="fps is .*: expected a number above 0"):
        play(RandomAgent(), WORDS, output=tmp_path / "a.gif", fps=fps)
    for write, name in ((save_video, "a.gif"), (save_video, "a.mp4"), (save_small_gif, "b.gif")):
        with pytest.raises(ValueError, match="fps is .*: expected a number above 0"):
            write([np.zeros((8, 8, 3), np.uint8)], tmp_path / name, fps=fps)
    assert list(tmp_path.iterdir()) == []
