"""An agent, a player of it, and the check that no test leaves anything behind."""

import pytest

from jatlab.viz.player.app import Player
from tests.support import little_tasks
from tests.support.little_tasks import GRID


@pytest.fixture(scope="module")
def agent():
    return little_tasks.make_agent()


@pytest.fixture(autouse=True)
def nothing_is_left():
    with little_tasks.nothing_left():
        yield


@pytest.fixture
def player(agent):
    with Player(agent, GRID, seed=7, endless=False) as made:
        yield made
