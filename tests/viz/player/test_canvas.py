"""The picture of a moment: every kind of observation, the past, grids and frames."""

import numpy as np
import pytest

from jatlab.viz.player.app import Player
from jatlab.viz.player.canvas import FRAME, HEIGHT, LEFT, WIDTH, draw_moment, picture_of
from tests.support.little_tasks import GAME, GRID, PUSH


@pytest.mark.parametrize("task", [GRID, PUSH, GAME])
def test_every_kind_of_observation_is_drawn(agent, task):
    """With what was expected."""
    with Player(agent, task) as player:
        first = player.picture
        player.advance(3)
        moment = player.watch.moments[-1]
        assert first.shape == (HEIGHT, WIDTH, 3) == player.picture.shape
        assert moment.expected is not None and moment.expected.shape == moment.observed.shape
        assert player.watch.moments[0].expected is None
        player.advance(99)
        assert player.watch.moments[-1].facts.bars == () and player.picture.shape == first.shape


def test_the_one_beside_has_a_row_of_its_own(agent):
    """It shows its own frame and actions, at the same timestep, and follows the slider."""
    with Player(agent, GRID, seed=5, beside="random", endless=False) as player:
        player.advance(3)
        shown = player.picture
        assert shown.shape == (HEIGHT + FRAME, WIDTH, 3)
        whole = draw_moment(player.rival.moments, 3)
        np.testing.assert_array_equal(shown[HEIGHT:, :LEFT], whole[:FRAME, :LEFT])
        alone = draw_moment(player.watch.moments, 3, about=player.about)
        np.testing.assert_array_equal(shown[:HEIGHT], alone)
        player.index = 1
        assert (player.picture[HEIGHT:] != shown[HEIGHT:]).any()


def test_a_picture_does_not_depend_on_what_came_later(player):
    player.advance(4)
    then = player.picture
    player.advance(5)
    np.testing.assert_array_equal(draw_moment(player.watch.moments, 4, about=player.about), then)


def test_grids_and_frames_have_their_pictures():
    grid = np.zeros(148, np.int64)
    grid[1:] = np.tile([1, 0, 0], 49)
    empty = picture_of(grid)
    grid[1 + 3 * (7 * 2 + 5) :][:3] = (6, 1, 0)  # column 2, row 5: a green ball
    ball = picture_of(grid)
    changed = np.argwhere((ball != empty).any(-1)) // 20
    assert np.unique(changed, axis=0).tolist() == [[5, 2]]
    assert picture_of(np.full((84, 84), -1.0)).max() == 0
    assert picture_of(np.ones((84, 84))).min() == 255
