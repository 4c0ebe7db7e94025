"""Watching an agent: one episode, frame by frame.

Each picture has a panel with what the agent was told, what it does and how sure it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from jatlab.evaluation.playing import FIRST_SEED, EpisodeVideo, EvaluatedAgent
from jatlab.tasks import make_env
from jatlab.tasks.env import TaskEnv
from jatlab.teachers.human.names import BABYAI_ACTIONS, METAWORLD_ACTIONS, action_names
from jatlab.utils.checks import positive_number, whole_number
from jatlab.utils.console import say
from jatlab.viz.player.panel import Facts, facts_of, picture
from jatlab.viz.video import check_suffix, save_video

__all__ = ["BABYAI_ACTIONS", "METAWORLD_ACTIONS", "Playback", "action_names", "play"]

PICTURES = 200  # at most twice as many


@dataclass
class Playback:
    """An episode that was watched.

    Attributes:
        task: The task's name.
        seed: Of the episode.
        total: The return.
        length: Timesteps.
        success: None where the task cannot tell.
        pictures: The frames with their panel: one for each timestep and the last, or evenly thinned
            out where there would be more than 400.
        steps: What happened in each timestep.
        path: The file that was written.
    """

    task: str
    seed: int
    total: float = 0.0
    length: int = 0
    success: bool | None = None
    pictures: list[np.ndarray] = field(default_factory=list)
    steps: list[Facts] = field(default_factory=list)
    path: Path | None = None

    def __str__(self) -> str:
        ending = {None: "", True: ", success", False: ", no success"}[self.success]
        played = f"return {self.total:.4g} in {self.length} steps"
        return f"{self.task}, seed {self.seed}: {played}{ending}"


def play(
    agent: EvaluatedAgent,
    task: str,
    seed: int = FIRST_SEED,
    output: str | Path | None = None,
    *,
    fps: float = 8,
    greedy: bool = False,
    temperature: float | None = None,
    max_steps: int | None = None,
    limit: int | None = None,
    quiet: bool = False,
) -> Playback:
    """Play one episode and watch it: print each step, or with `output` save a video.

    Each picture shows the frame, the mission, step and return so far, and what the agent does next:
    the probabilities of discrete actions, the values of continuous ones.

    Args:
        agent: Who plays.
        task: The task's name.
        seed: Of the episode.
        output: A .gif or .mp4 file to write.
        fps: Frames a second of the video.
        greedy: Take the likeliest action instead of sampling.
        temperature: Of the sampling; the agent's own unless given.
        max_steps: End after so many timesteps; at the episode's end unless given.
        limit: The most bytes that the file may have.
        quiet: Print nothing.

    Returns:
        The episode.

    Raises:
        ValueError: The task or the suffix is unknown, `fps` or `max_steps` is not above 0, or the
            environment cannot be drawn. It is raised before anything is played.
    """
    if output is not None:
        check_suffix(output)
    fps = positive_number(fps, "fps")
    if max_steps is not None:
        max_steps = whole_number(max_steps, "max_steps", 1)
    if temperature is None:
        temperature = getattr(agent, "temperature", 1.0)
    env = make_env(task)
    try:
        video = EpisodeVideo(PICTURES if output is not None else 0)
        playback = _watch(agent, env, seed, video, max_steps, greedy, temperature)
    finally:
        env.close()
    playback.pictures = [
        picture(frame, caption["facts"])
        for frame, caption in zip(video.frames, video.captions, strict=True)
    ]
    if output is not None:
        playback.path = save_video(playback.pictures, output, fps, limit)
    if not quiet:
        _print(playback)
    return playback


def _print(playback: Playback) -> None:
    if playback.path is not None:
        say(playback)
        say(f"written: {playback.path}")
        return
    for facts in playback.steps:
        say(_line(facts))
    say(playback)
    say("add an output (.gif or .mp4) to see it")


def _line(facts: Facts) -> str:
    if facts.signed:
        said = " ".join(f"{name} {value:+.2f}" for name, value, _ in facts.bars)
    else:
        sure = "" if facts.probability is None else f"  p = {facts.probability:.2f}"
        said = f"{facts.action:<10}{sure}"
    return f"{facts.step:5d}  {said}  reward {facts.reward:+.3f}"


def _watch(
    agent: EvaluatedAgent,
    env: TaskEnv,
    seed: int,
    video: EpisodeVideo,
    max_steps: int | None,
    greedy: bool,
    temperature: float,
) -> Playback:
    playback, names = Playback(env.task.name, seed), action_names(env)
    agent.reset(1, env.task.name)
    observation, _ = env.reset(seed=seed)
    reward, done = 0.0, False
    info: dict[str, Any] = {}
    while not done and playback.length != max_steps:
        arrived, start = np.array([reward], np.float32), np.array([playback.length == 0])
        how: Any = dict(greedy=greedy, temperature=temperature, seeds=[seed])
        [choice] = agent.act([observation], arrived, start, **how)
        facts = facts_of(_probabilities(agent), observation, choice, playback, names)
        _record(video, env, facts)
        observation, reward, terminated, truncated, info = env.step(choice)
        reward = float(reward)
        playback.steps.append(replace(facts, reward=reward))
        playback.total, playback.length = playback.total + reward, playback.length + 1
        done = terminated or truncated
    playback.success = None if info.get("success") is None else bool(info["success"])
    end = replace(facts, step=playback.length, total=playback.total, bars=())
    _record(video, env, end, last=True)
    return playback


def _probabilities(agent: EvaluatedAgent) -> np.ndarray | None:
    """What the agent says of its last action, (1, actions), if it does."""
    return getattr(getattr(agent, "last", None), "probabilities", None)


def _record(video: EpisodeVideo, env: TaskEnv, facts: Facts, last: bool = False) -> None:
    if video.limit:
        video.add(env.render, {"facts": facts}, last)
    if video.problem:
        raise ValueError(
            f"{env.task.name} cannot be saved as a video: {video.problem}. Without an output, its "
            "steps are printed"
        )
