"""Another view of a demonstration is one of another world: checked in the environment."""

import numpy as np
import pytest

from jatlab.data.symmetries import COLOURS, GridSymmetries
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import make_env


class Fixed:
    """A generator that always draws this permutation and this toss."""

    def __init__(self, permutation, mirrored):
        self.permutation, self.mirrored = permutation, mirrored

    def permuted(self, rows, axis):
        return np.tile(self.permutation, (len(rows), 1))

    def random(self, n):
        return np.full(n, 0.0 if self.mirrored else 1.0)


def one_window(observation, mission, actions, tokenizer):
    text = tokenizer.encode_batch([mission], 64)[0]
    rows = np.stack([np.concatenate([o, text]) for o in observation])
    return {
        "discrete_observations": rows[None],
        "discrete_actions": np.array(actions)[None],
        "attention_mask": np.ones((1, len(actions)), dtype=np.int64),
    }


def test_colours_change_places_in_grid_and_mission(tokenizer):
    grid = np.zeros(148, dtype=np.int64)
    grid[1:10] = (6, 0, 0, 2, 5, 0, 7, 5, 0)  # a red ball, a (grey) wall, a grey box
    batch = one_window([grid], "go to the red ball after you pick up a grey box", [2], tokenizer)
    swapped = GridSymmetries(tokenizer)(batch, Fixed([5, 1, 2, 3, 4, 0], mirrored=False))
    assert swapped["discrete_observations"][0, 0, 1:10].tolist() == [6, 5, 0, 2, 5, 0, 7, 0, 0]
    mission = tokenizer.decode(swapped["discrete_observations"][0, 0, 148:])
    assert mission == "go to the grey ball after you pick up a red box"
    assert swapped["discrete_actions"].tolist() == [[2]]
    assert batch["discrete_observations"][0, 0, 2] == 0  # the original is untouched


def test_a_mirrored_world_unfolds_as_the_mirror_says(tokenizer):
    """A reflected room, played with left and right exchanged, shows what the mirror shows."""
    env = make_env("babyai-go-to-local")
    for seed in range(5):
        actions = np.random.default_rng(seed).integers(0, 3, 25)
        plain, mission = play(env, seed, actions, reflect=False)
        actions = actions[: len(plain)]
        exchanged = np.where(actions == 0, 1, np.where(actions == 1, 0, actions))
        reflected, _ = play(env, seed, exchanged, reflect=True)
        window = one_window(plain, mission, actions, tokenizer)
        mirror = GridSymmetries(tokenizer)(window, Fixed(range(6), mirrored=True))
        assert mirror["discrete_actions"][0].tolist() == exchanged.tolist()
        seen = mirror["discrete_observations"][0]
        np.testing.assert_array_equal(seen[:, 0], [o[0] for o in reflected])
        agree = (seen[:, 1:148] == np.stack(reflected)[:, 1:]).mean()
        assert agree == 1.0, f"seed {seed}: {agree:.3f} of the grid values"


def play(env, seed, actions, reflect):
    observation, _ = env.reset(seed=seed)
    world = env.unwrapped
    if reflect:
        reflect_world(world)
        observation = {"discrete_observation": flat(world.gen_obs())}
    seen = []
    for action in actions:
        seen.append(np.asarray(observation["discrete_observation"]))
        observation, _, terminated, _, _ = env.step(int(action))
        if terminated:
            break
    return seen, env.unwrapped.mission


def flat(observation):
    return np.concatenate([[observation["direction"]], observation["image"].flatten()])


def reflect_world(world):
    """East and west change places: cells, the agent and the way it faces."""
    grid = world.grid
    columns = range(grid.width - 1, -1, -1)
    cells = [[grid.get(x, y) for x in columns] for y in range(grid.height)]
    for y, row in enumerate(cells):
        for x, cell in enumerate(row):
            grid.set(x, y, cell)
            if cell is not None:
                cell.cur_pos = (x, y)
    world.agent_pos = (grid.width - 1 - world.agent_pos[0], world.agent_pos[1])
    world.agent_dir = (2, 1, 0, 3)[world.agent_dir]
    world.instrs.reset_verifier(world)  # it remembers where things were


def test_padding_stays_padding_and_other_batches_pass(tokenizer):
    batch = one_window([np.zeros(148, dtype=np.int64)] * 3, "go", [1, 0, 0], tokenizer)
    batch["attention_mask"][0, 1:] = 0
    view = GridSymmetries(tokenizer)(batch, Fixed(range(6), mirrored=True))
    assert view["discrete_actions"].tolist() == [[0, 0, 0]]
    other = {"continuous_observations": np.zeros((1, 2, 3))}
    assert GridSymmetries(tokenizer)(other, np.random.default_rng(0)) is other


def test_views_differ_between_windows_and_repeat_with_the_seed(tokenizer):
    grid = np.zeros(148, dtype=np.int64)
    grid[1:4] = (6, 0, 0)
    one = one_window([grid], "go to the red ball", [2], tokenizer)
    many = {name: np.repeat(value, 600, axis=0) for name, value in one.items()}
    draw = GridSymmetries(tokenizer)
    view, again = (draw(many, np.random.default_rng(7))["discrete_observations"] for _ in range(2))
    np.testing.assert_array_equal(view, again)
    balls = view[:, 0, 1:148].reshape(600, 49, 3)
    colours = balls[balls[..., 0] == 6][:, 1]
    assert len(colours) == 600
    np.testing.assert_allclose(np.bincount(colours, minlength=6) / 600, 1 / 6, atol=0.06)
    named = [tokenizer.decode(row) for row in view[:, 0, 148:]]
    assert all(
        name == f"go to the {COLOURS[c]} ball" for name, c in zip(named, colours, strict=True)
    )


def test_a_tokenizer_that_splits_a_colour_is_told():
    small = TextTokenizer.train(["go to the ball"], 260)
    with pytest.raises(ValueError, match="splits 'red' into"):
        GridSymmetries(small)
