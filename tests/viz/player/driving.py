"""What a reader does with a player: click, change, wait."""

import asyncio
import time


def click(player, name):
    assert not player.controls.buttons[name].disabled, name
    player.controls.buttons[name].click()


def change(player, name, value):
    player.controls.menus[name].value = value


async def until(condition, seconds=20.0):
    """Let the event loop run until something holds."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it never came"
        await asyncio.sleep(0.005)
