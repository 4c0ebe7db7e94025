"""A player that plays for hours holds no more than one that has played for minutes.

`make faults` plays two hours at the usual speed of eight timesteps a second, a picture for each.
"""

import asyncio
import gc
import os
from pathlib import Path

import pytest

from jatlab.viz.player import app
from jatlab.viz.player.app import Player
from jatlab.viz.player.watching import KEPT
from tests.support.little_tasks import GAME, GRID
from tests.support.works import MOMENTS

USUAL = 8  # timesteps a second
TASKS = ("babyai-go-to-local", "mujoco-hopper", "atari-pong")  # episodes of tens to thousands
PICTURES = 2 * 3600 * USUAL // len(TASKS) * MOMENTS // 50  # of each task
SETTLED = max(PICTURES // 4, 2 * KEPT)  # pictures after which all is kept that ever is
on_linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="a process of Linux")


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch):
    """Play as fast as it goes, with a picture for each timestep."""
    monkeypatch.setattr(app, "DRAWN", 1000)
    monkeypatch.setattr(app, "PAUSE", 0)
    monkeypatch.setattr(app, "REST", 0)


def watch(player: Player, pictures: int) -> None:
    """Let a player play on, with its widgets, for so many pictures."""
    shown, show = 0, player.controls.show

    def count(keep: bool = False) -> None:
        nonlocal shown
        shown += 1
        show(keep)

    async def script() -> None:
        player.play()
        while shown < pictures:
            assert player.playing, player.controls.status.value
            await asyncio.sleep(0)
        player.pause()

    player.controls.show = count
    asyncio.run(script())
    player.controls.show = show


def held() -> tuple[float, int]:
    """Megabytes of memory and Python's objects of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(gc.get_objects())


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize("task", [GRID, GAME])
def test_more_play_holds_no_more(agent, task):
    with Player(agent, task, speed=1000) as player:
        watch(player, 60)
        memory, objects = held()
        seed = player.seed
        watch(player, 120)
        assert player.seed >= seed + 9
        more_memory, more_objects = held()
    assert more_objects < objects + 50
    assert more_memory < 1.05 * memory


@pytest.mark.slow
@pytest.mark.faults
@on_linux
@pytest.mark.parametrize("task", TASKS)
def test_two_hours_of_play_hold_no_more(agent, task):
    with Player(agent, task, speed=1000) as player:
        watch(player, SETTLED)
        memory, objects = held()
        watch(player, PICTURES - SETTLED)
        more_memory, more_objects = held()
    print(f"{task}: {PICTURES} pictures, {memory:.0f} MB, then {more_memory:.0f} MB")
    assert more_objects < 1.05 * objects
    assert more_memory < 1.05 * memory
