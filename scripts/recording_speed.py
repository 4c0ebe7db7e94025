"""How fast demonstrations are recorded, by domain, beside the environment without a teacher.

`python -m scripts.recording_speed` (about two minutes) writes the table in docs/results/speed.md.

All times are processor seconds of one core, so that a busy machine does not matter. "Bare" replays
the recorded episodes, reset and step only, with the recorded actions. "Recording" plays the same
episodes by the teacher, keeps them and writes them to disk. The best of three rounds counts.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym

from jatlab.data.episodes import Episode, write_episodes
from jatlab.data.recording.playing import EpisodePlayer
from jatlab.tasks import expand, make_env
from scripts.readme import insert

DOMAINS = {  # tasks, and at least so many steps of each in a round
    "BabyAI": ("babyai-go-to-local babyai-pickup-dist babyai-open-door", 1000),
    "Meta-World": ("metaworld-reach metaworld-door-close metaworld-drawer-open", 500),
    "MuJoCo": ("mujoco", 1000),
    "Atari": ("atari-pong atari-mspacman", 1000),
    "Atari, by search": ("atari-pong atari-mspacman", 200),
}
ROUNDS = 3


def main() -> None:
    lines = [
        "| steps per second of one core | bare | recording | times as long |",
        "| --- | ---: | ---: | ---: |",
    ]
    for domain, (tasks, wanted) in DOMAINS.items():
        who = "search" if "search" in domain else "teacher"
        found = [speeds(task, wanted, who) for task in expand(tasks.split())]
        steps, bare, recorded = map(sum, zip(*found, strict=True))
        rates = f"{steps / bare:,.0f} | {steps / recorded:,.0f} | {recorded / bare:.3g}"
        lines.append(f"| {domain} ({len(found)} tasks) | {rates} |")
        print(lines[-1], flush=True)
    insert("recording-speed", "\n".join(lines))


def speeds(task: str, wanted: int, who: str) -> tuple[int, float, float]:
    """Steps of a round, and its processor seconds, bare and recorded."""
    player, env = EpisodePlayer(task, who), make_env(task, render_mode=None)
    if player.teacher.slowness > 1:
        player.teacher.max_decisions = wanted
    episodes: list[Episode] = []
    steps = 0
    while steps < wanted:
        episodes.append(play(player, len(episodes)))
        steps += len(episodes[-1]["rewards"])
    bare = min(seconds(lambda: replay(env, episodes)) for _ in range(ROUNDS))
    recorded = min(seconds(lambda: record(player, len(episodes))) for _ in range(ROUNDS))
    print(f"{task}: {steps / bare:,.0f} bare, {steps / recorded:,.0f} recorded", flush=True)
    return steps, bare, recorded


def seconds(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def play(player: EpisodePlayer, seed: int) -> Episode:
    """The episode of a seed, played by the teacher."""
    episode = player.play(seed, timeout=60)[1]
    assert episode is not None  # it is kept unless one says otherwise
    return episode


def replay(env: gym.Env, episodes: list[Episode]) -> None:
    for seed, episode in enumerate(episodes):
        continuous = "continuous_actions" in episode
        env.reset(seed=seed)
        for action in episode["continuous_actions" if continuous else "discrete_actions"]:
            env.step(action)


def record(player: EpisodePlayer, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        episodes = [play(player, seed) for seed in range(count)]
        write_episodes(Path(folder) / "00000.parquet", episodes, player.task)


if __name__ == "__main__":
    main()
