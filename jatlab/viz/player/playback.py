"""Watching the agent: one episode, frame by frame, with what it was told, what it did and how sure
it was.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jatlab.evaluation.playing import FIRST_SEED, EpisodeVideo
from jatlab.tasks import Task, make_env
from jatlab.viz.video import GROUND, INK, MUTED, check_suffix, font, pillow, resize, save_video

METAWORLD_ACTIONS = ("x", "y", "z", "grip")  # where the hand goes, and how hard it closes
BABYAI_ACTIONS = (
    "left",
    "right",
    "forward",
    "pick up",
    "drop",
    "toggle",
    "done",
)  # MiniGrid's seven, in its order
TRACK, ACCENT = (48, 52, 60), (86, 180, 233)
FRAME, SIDE, MARGIN = 320, 224, 16  # pixels: height of the frame, width of the panel beside it
BARS = (92, 252)  # pixels: where the bars begin and end
PICTURES = 200  # at most twice as many


@dataclass
class Playback:
    """An episode that was watched. `steps` (T) is what happened in each timestep, `pictures` the
    frames with their panel: T + 1, or evenly thinned out where there would be more than 400.
    """

    task: str
    seed: int
    total: float = 0.0
    length: int = 0
    success: bool | None = None
    pictures: list[np.ndarray] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)
    path: Path | None = None

    def __str__(self) -> str:
        success = "" if self.success is None else ", success" if self.success else ", no success"
        return f"{self.task}, seed {self.seed}: return {self.total:.4g} in {self.length} steps{success}"


def play(
    agent,
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
    """Play one episode and watch it: print each step, or with `output` save it as .gif or .mp4;
    then print return and length.

    Each picture shows the frame, the mission, step and return so far, and what the agent does next:
    the probabilities of discrete actions, the values of continuous ones. `limit`: make a file of at
    most so many bytes. Raises `ValueError` for an unknown task or suffix, before anything is
    played.
    """
    if output is not None:
        check_suffix(output)
    env = make_env(task)
    try:
        video = EpisodeVideo(PICTURES if output is not None else 0)
        playback = _watch(agent, env, seed, video, max_steps, greedy, temperature)
    finally:
        env.close()
    playback.pictures = [
        picture(frame, facts) for frame, facts in zip(video.frames, video.captions, strict=True)
    ]
    if output is not None:
        playback.path = save_video(playback.pictures, output, fps, limit)
    if not quiet:
        print(
            "\n".join([] if output else map(_line, playback.steps))
            + ("" if output else "\n")
            + str(playback)
        )
        print(f"written: {output}" if output else "add an output (.gif or .mp4) to see it")
    return playback


def action_names(env) -> list[str]:
    """What the actions of an environment are called: BabyAI's, Meta-World's and Atari's by name,
    others a0, a1, … or action 0, action 1, …
    """
    task: Task = env.task
    if task.domain == "babyai":
        return list(BABYAI_ACTIONS)
    if task.domain == "metaworld":
        return list(METAWORLD_ACTIONS)
    if hasattr(env.unwrapped, "get_action_meanings"):
        return [name.lower() for name in env.unwrapped.get_action_meanings()]
    return [
        f"{'a' if task.action == 'continuous' else 'action '}{index}"
        for index in range(task.action_size)
    ]


def _watch(
    agent,
    env,
    seed: int,
    video: EpisodeVideo,
    max_steps: int | None,
    greedy: bool,
    temperature: float | None,
) -> Playback:
    playback, names = Playback(env.task.name, seed), action_names(env)
    agent.reset(1, env.task.name)
    observation, _ = env.reset(seed=seed)
    reward, done, info = 0.0, False, {}
    while not done and playback.length != max_steps:
        start = playback.length == 0
        choice = agent.act(
            [observation], [reward], [start], greedy=greedy, temperature=temperature, seeds=[seed]
        )[0]
        step = facts_of(agent, observation, choice, playback, names)
        _record(video, env, step)
        observation, reward, terminated, truncated, info = env.step(choice)
        playback.steps.append({**step, "reward": float(reward)})
        playback.total, playback.length = playback.total + float(reward), playback.length + 1
        done = terminated or truncated
    playback.success = None if info.get("success") is None else bool(info["success"])
    _record(
        video,
        env,
        {**step, "step": playback.length, "total": playback.total, "bars": []},
        last=True,
    )
    return playback


def _record(video: EpisodeVideo, env, facts: dict, last: bool = False) -> None:
    if video.limit:
        video.add(env.render, facts, last)


def facts_of(agent, observation: dict, action, playback: Playback, names: list[str]) -> dict:
    """What a picture tells about a timestep, with the total and length that `playback` has so far.
    `bars`: (name, value, chosen), probabilities in [0, 1] or continuous values.
    """
    facts = {
        "task": playback.task,
        "step": playback.length,
        "total": playback.total,
        "mission": observation.get("text_observation", ""),
    }
    if isinstance(action, np.ndarray):
        return facts | {
            "bars": [(name, float(value), True) for name, value in zip(names, action, strict=True)],
            "signed": True,
            "action": "",
        }
    probabilities = getattr(getattr(agent, "last", None), "probabilities", None)
    # an agent that does not say: the action it took
    shares = np.eye(len(names))[action] if probabilities is None else probabilities[0]
    bars = [
        (name, float(share), index == action)
        for index, (name, share) in enumerate(zip(names, shares, strict=True))
    ]
    return facts | {
        "bars": bars,
        "signed": False,
        "action": names[action],
        "probability": None if probabilities is None else float(shares[action]),
    }


def _line(step: dict) -> str:
    if step["signed"]:
        said = " ".join(f"{name} {value:+.2f}" for name, value, _ in step["bars"])
    else:
        said = f"{step['action']:<10}" + (
            "" if step["probability"] is None else f"  p = {step['probability']:.2f}"
        )
    return f"{step['step']:5d}  {said}  reward {step['reward']:+.3f}"


# --- pictures
# -----------------------------------------------------------------------------------------------------------------


def picture(frame: np.ndarray, facts: dict) -> np.ndarray:
    """A frame with its panel: uint8 (h, w, 3) -> (320, …, 3), all pictures of an episode alike in
    size.
    """
    pil = pillow()
    frame = resize(frame, max(1, round(FRAME * frame.shape[1] / frame.shape[0])))
    canvas = pil.Image.new("RGB", (frame.shape[1] + SIDE, frame.shape[0]), GROUND)
    canvas.paste(pil.Image.fromarray(frame), (0, 0))
    panel(pil.ImageDraw.Draw(canvas), frame.shape[1] + MARGIN, canvas.width - MARGIN, facts)
    return np.asarray(canvas)


def panel(draw, left: int, right: int, facts: dict) -> None:
    """Draw what `facts_of` tells between the columns `left` and `right` of a picture FRAME pixels
    high.
    """
    draw.text((left, MARGIN), facts["task"], font=font(13), fill=MUTED)
    top = MARGIN + 22
    for line in textwrap.wrap(facts["mission"], 26)[:3]:
        draw.text((left, top), line, font=font(15), fill=INK)
        top += 20
    for place, (name, value) in enumerate(
        [("step", f"{facts['step']}"), ("return", f"{facts['total']:.4g}")]
    ):
        column = left + place * (right - left) // 2
        draw.text((column, FRAME - 58), name, font=font(12), fill=MUTED)
        draw.text((column, FRAME - 42), value, font=font(22), fill=INK)
    first = top + 8 if len(facts["bars"]) > 8 else max(top + 8, BARS[0])
    height = min(20, (BARS[1] - first) / max(1, len(facts["bars"])))
    for index, bar in enumerate(facts["bars"]):
        _bar(draw, left, right, first + round(height * index), height, bar, facts["signed"])


def _bar(
    draw, left: int, right: int, top: int, height: float, bar: tuple[str, float, bool], signed: bool
) -> None:
    """One action in a row of `height`: its name, and a bar from 0 to 1, or from the middle for
    values in [-1, 1].
    """
    name, value, chosen = bar
    start, length, thick = left + 72, right - left - 72, round(height / 2)
    zero = start + length // 2 if signed else start
    tip = zero + round(np.clip(value, -1, 1) * (length // 2 if signed else length))
    draw.text(
        (left, top + thick / 2 + 2),
        name,
        font=font(min(13, round(height) + 1)),
        fill=INK if chosen else MUTED,
        anchor="lm",
    )
    draw.rectangle((start, top + 2, right, top + 1 + thick), fill=TRACK)
    if tip != zero:
        draw.rectangle(
            (min(zero, tip), top + 2, max(zero, tip), top + 1 + thick),
            fill=ACCENT if chosen else MUTED,
        )
