"""How fast demonstrations are recorded, by domain, beside the environment's bare speed.

`python -m scripts.recording_speed` (about two minutes) writes the table in docs/results/speed.md.

Everything is in processor seconds of one core, so that a busy machine does not count. Bare: the
recorded episodes once more, reset and step alone, with the actions that were recorded. Recording:
the same episodes by the teacher, kept and written to disk. The best of three rounds counts.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

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
    lines = []
    for domain, (tasks, wanted) in DOMAINS.items():
        found = [
            speeds(task, wanted, "search" if "search" in domain else "teacher")
            for task in expand(tasks.split())
        ]
        steps, bare, recorded = map(sum, zip(*found, strict=True))
        lines.append(
            f"| {domain} ({len(found)} tasks) | {steps / bare:,.0f} | {steps / recorded:,.0f} | {recorded / bare:.3g} |"
        )
        print(lines[-1], flush=True)
    head = [
        "| steps per second of one core | bare | recording | times as long |",
        "| --- | ---: | ---: | ---: |",
    ]
    insert("recording-speed", "\n".join([*head, *lines]))


def speeds(task: str, wanted: int, who: str) -> tuple[int, float, float]:
    """Steps of a round, and its processor seconds: bare, and recorded."""
    player, env, shown, steps = EpisodePlayer(task, who), make_env(task, render_mode=None), [], 0
    if player.teacher.slowness > 1:
        player.teacher.max_decisions = wanted
    while steps < wanted:
        shown.append(player.play(len(shown), timeout=60)[1])
        steps += len(shown[-1]["rewards"])
    bare = min(seconds(lambda: replay(env, shown)) for _ in range(ROUNDS))
    recorded = min(seconds(lambda: record(player, len(shown))) for _ in range(ROUNDS))
    print(f"{task}: {steps / bare:,.0f} bare, {steps / recorded:,.0f} recorded", flush=True)
    return steps, bare, recorded


def seconds(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def replay(env, shown: list[Episode]) -> None:
    for seed, episode in enumerate(shown):
        env.reset(seed=seed)
        for action in episode[
            "continuous_actions" if "continuous_actions" in episode else "discrete_actions"
        ]:
            env.step(action)


def record(player: EpisodePlayer, episodes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_episodes(
            Path(folder) / "00000.parquet",
            [player.play(seed, timeout=60)[1] for seed in range(episodes)],
            player.task,
        )


if __name__ == "__main__":
    main()
