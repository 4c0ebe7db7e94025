"""What a page holds is what happened in the episode."""

import base64
import io
import zlib

import numpy as np
import pytest
from PIL import Image

from jatlab.viz.web.content import Detail, Names, content, kept
from tests.support.little_tasks import GAME, GRID, MISSION, PUSH

ALL = Detail(400, 320, 80, 64)


def decoded(address):
    head, text = address.split(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def test_timesteps_returns_and_ending(played):
    page = content(played(GRID), Names(GRID, "tiny"), ALL)
    assert page["steps"] == list(range(13)) and page["length"] == 12
    assert page["returns"] == [float(t) for t in range(13)]
    assert page["rewards"] == [0.0] + [1.0] * 12
    assert page["mission"] == MISSION
    assert page["ending"] == "The film ends here, with success."


@pytest.mark.parametrize("success, words", [(False, ", without success"), (None, "")])
def test_other_endings(played, success, words):
    page = content(played(GRID) | {"success": success}, Names(GRID), ALL)
    assert page["ending"] == f"The film ends here{words}."


def test_frames_are_those_of_the_episode(played):
    episode = played(GRID)
    page = content(episode, Names(GRID), ALL)
    for frame, address in zip(episode["frames"], page["frames"], strict=True):
        assert np.abs(decoded(address).astype(int) - frame).max() <= 2


def test_frames_are_no_wider_than_asked(played):
    page = content(played(GRID), Names(GRID), Detail(400, 30, 80, 64))
    assert {decoded(address).shape for address in page["frames"]} == {(20, 30, 3)}


def test_decisions_have_probabilities(played):
    episode = played(GRID)
    actions = content(episode, Names(GRID, actions=["left"]), ALL)["actions"]
    assert actions["names"] == ["left", "action 1", "action 2"]
    assert actions["taken"] == [*episode["discrete_actions"].tolist(), None]
    np.testing.assert_allclose(actions["shares"][:12], episode["probabilities"], atol=6e-4)
    assert actions["shares"][12] is None


def test_continuous_decisions_have_values(played):
    episode = played(PUSH)
    actions = content(episode, Names(PUSH), ALL)["actions"]
    assert actions["kind"] == "continuous" and actions["names"] == ["a0", "a1"]
    np.testing.assert_allclose(actions["taken"][:12], episode["continuous_actions"], atol=6e-4)


def test_what_was_expected_stands_beside_what_came(played):
    episode = played(PUSH)
    observed = content(episode, Names(PUSH, observations=["speed"]), ALL)["observed"]
    assert observed["names"] == ["speed", "number 1", "number 2"]
    np.testing.assert_allclose(observed["seen"][:12], episode["continuous_observations"], atol=1e-4)
    assert observed["expected"][0] is None  # nothing was said before the first
    expected = np.array(observed["expected"][1:12])
    np.testing.assert_allclose(expected, episode["pred_observations"], atol=1e-4)
    low, high = np.array(observed["ranges"]).T
    assert (low <= expected + 1e-4).all() and (expected - 1e-4 <= high).all() and (low <= 0).all()


def test_grids_are_places_in_an_atlas_of_cells(played):
    episode = played(GRID)
    observed = content(episode, Names(GRID), ALL)["observed"]
    grids = np.stack([*episode["discrete_observations"], *episode["pred_observations"]])
    distinct = {tuple(cell) for grid in grids for cell in grid[1:148].reshape(49, 3).tolist()}
    places = {place for rows in ("seen", "expected") for g in observed[rows] if g for place in g}
    assert len(places) == len(distinct)
    assert decoded(observed["atlas"]).shape == (20, 20 * len(distinct), 3)
    first = episode["discrete_observations"][0][1:148].reshape(7, 7, 3)  # column, row
    again = observed["seen"][0].index(observed["seen"][0][8])
    assert (first[again % 7, again // 7] == first[1, 1]).all()


def test_frames_seen_and_expected_are_pictures(played):
    episode = played(GAME)
    observed = content(episode, Names(GAME), ALL)["observed"]
    assert observed["kind"] == "image"
    assert decoded(observed["seen"][0]).shape == (140, 140, 3)
    assert observed["seen"][12] is None and observed["expected"][0] is None
    wanted = (np.clip(episode["pred_observations"][2][-1], -1, 1) + 1) * 127.5
    assert abs(decoded(observed["expected"][3]).mean() - wanted.mean()) < 3


def test_attention_is_that_of_the_episode(played):
    episode = played(GRID)
    attention = content(episode, Names(GRID, layers=("global", "local")), ALL)["attention"]
    assert (attention["rows"], attention["heads"]) == (4, 2)
    assert attention["kinds"] == ["global", "local"] and not attention["hidden"]
    values = np.frombuffer(zlib.decompress(base64.b64decode(attention["weights"])), np.uint8)
    start = 0
    for tokens, weights in zip(attention["tokens"], episode["attentions"], strict=True):
        assert tokens == weights.shape[-1]
        shares = (values[start : start + 4 * tokens] / 255.0) ** 2
        np.testing.assert_allclose(shares, weights.reshape(-1), atol=4e-3)
        start += 4 * tokens
    assert start == len(values)


def test_the_past_is_cut_to_the_newest_timesteps(played):
    episode = played(GRID)
    attention = content(episode, Names(GRID), Detail(400, 320, 80, 3))["attention"]
    assert max(attention["tokens"]) == 5  # three observations and two actions


def test_hidden_actions_are_said(played):
    episode = played(GRID)
    for row in episode["attentions"]:
        row[..., -2::-2] = 0
    assert content(episode, Names(GRID), ALL)["attention"]["hidden"]


def test_without_records_only_the_film_is_left(played):
    episode = played(GRID, record_attention=False, record_predictions=False)
    page = content(episode, Names(GRID), ALL)
    assert page["attention"] is None and page["actions"]["shares"] is None
    assert not any(page["observed"]["expected"])


@pytest.mark.parametrize(
    "length, most, wanted",
    [(3, 9, [0, 1, 2, 3]), (8, 4, [0, 3, 6, 8]), (9, 4, [0, 3, 6, 9]), (0, 1, [0])],
)
def test_which_timesteps_are_kept(length, most, wanted):
    assert kept(length, most) == wanted
    assert wanted[-1] == length


def test_an_episode_of_something_else_is_an_error():
    with pytest.raises(ValueError, match="no actions, only rewards: give what jatlab.rollout"):
        content({"rewards": np.zeros(1)}, Names("x"), ALL)
