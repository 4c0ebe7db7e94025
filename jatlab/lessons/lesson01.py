"""Lesson 01, Tokenization: solutions and checks."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from jatlab.lessons.answers import Answer, array, expect, near, number
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson01_build import STEPS, check_bpe, count_pairs, encode, learn, merge

# --- 01.1: the reward beside an observation ---


def arriving(rewards: Tensor) -> Tensor:
    """The rewards received on arriving at each observation, from those after each action: (T,)."""
    return torch.cat([torch.zeros(1), rewards[:-1]])


def check_arriving(answer: Answer) -> None:
    """Check 01.1 with three rewards, then with one."""
    got = _rewards(answer, 1.0, 2.0, 3.0)
    expect(
        len(got) == 3,
        f"three timesteps have three rewards, yours has {len(got)}: "
        "a 0 comes in front, and the last reward is left out",
    )
    expect(
        got != [1, 2, 3],
        "these are still the rewards that came after each action: move them one timestep later",
    )
    expect(
        got != [2, 3, 0],
        "moved the wrong way: this shows the model a reward before its action was chosen",
    )
    expect(
        got[0] == 0,
        "nothing was received before the first observation: its reward is 0, "
        f"not {got[0]:g} (torch.roll moves the last one to the front)",
    )
    expect(got == [0, 1, 2], f"from 1, 2, 3 comes 0, 1, 2; yours is {got}")
    expect(
        _rewards(answer, 5.0) == [0],
        "an episode of one timestep has one reward: 0",
    )


def _rewards(answer: Answer, *rewards: float) -> list[float]:
    wanted = "arriving returns one reward a timestep"
    found = array(answer(torch.tensor(rewards)), wanted)
    expect(found.ndim == 1, f"{wanted}, yours has shape {found.shape}")
    return found.tolist()


# --- 01.2: repeat a vector ---


def repeat(x: Tensor, size: int) -> Tensor:
    """Repeat the last dimension of (..., n) cyclically until it is `size` long."""
    return x[..., torch.arange(size) % x.shape[-1]]


def check_repeat(answer: Answer) -> None:
    """Check 01.2 with a vector, then with a batch."""
    x = torch.tensor([1.0, 2.0, 3.0])
    got = array(answer(x.clone(), 7))
    expect(
        got.shape == (7,),
        f"3 values repeated to 7 have shape (7,), yours has {got.shape}: cut the last copy",
    )
    expect(
        got.tolist() != [1, 1, 1, 2, 2, 2, 3],
        "each value is repeated in its place (repeat_interleave): "
        "repeat the whole vector, 1 2 3 1 2 3 1",
    )
    expect(got[3:].any(), "filled up with zeros: fill up with copies of the vector")
    expect(
        got.tolist() == [1, 2, 3, 1, 2, 3, 1],
        f"1 2 3 repeated to 7 is 1 2 3 1 2 3 1; yours is {got.tolist()}",
    )
    batch = torch.arange(24.0).reshape(2, 3, 4)
    _expect_same(
        answer(batch.clone(), 10),
        repeat(batch, 10),
        "only the last dimension is repeated: (2, 3, 4) to 10 is (2, 3, 10)",
    )
    _expect_same(answer(x.clone(), 3), x, "3 values repeated to 3 stay as they are")


# --- 01.3: one merge of BPE ---


def check_merge(answer: Answer) -> None:
    """Check 01.3: every pair, its order, pairs that overlap, the ends, and the caller's list."""

    def merged(*ids: int, pair: tuple[int, int] = (1, 2)) -> list[int]:
        given = list(ids)
        found = array(answer(given, pair, 9), "return a list of ids")
        expect(found.ndim == 1, f"return a list of ids, one whole number each; yours is {found}")
        expect(
            given == list(ids),
            "you change the list that is given, and its owner may need it: make a new list",
        )
        return found.tolist()

    ids = [5, 1, 2, 7, 1, 2]
    got = merged(*ids)
    expect(got != [5, 9, 7, 1, 2], "only the first pair was merged: merge every one")
    expect(
        got != [5, 9, 2, 7, 9, 2],
        "the pair's second id is still there: after a merge, go on two places further",
    )
    expect(
        got == [5, 9, 7, 9], f"merging (1, 2) into 9 in {ids} gives [5, 9, 7, 9]; yours is {got}"
    )
    expect(
        merged(3, 1, 2, 4) == [3, 9, 4],
        "the last id got lost: 4 comes after the pair and stays",
    )
    expect(
        merged(2, 1, 1) == [2, 1, 1],
        "a pair has an order: (2, 1) is not (1, 2), nor is 1 at the end a pair",
    )
    expect(
        merged(11, 2, 1, 21) == [11, 2, 1, 21],
        "11 2 does not hold the pair (1, 2): compare ids, not their digits in a text",
    )
    overlap = merged(1, 1, 1, pair=(1, 1))
    expect(
        overlap == [9, 1],
        f"1 1 1 holds the pair (1, 1) once, because pairs do not overlap: [9, 1], not {overlap}",
    )
    expect(merged() == [], "no ids, no pairs: []")


# --- 01.4: cut a picture ---


def cut(picture: Tensor, size: int) -> Tensor:
    """(C, h, w) -> (P, C * size * size): patches row by row, each flattened channel by channel."""
    channels, height, width = picture.shape
    tiles = picture.reshape(channels, height // size, size, width // size, size)
    return tiles.permute(1, 3, 0, 2, 4).reshape(-1, channels * size * size)


def check_cut(answer: Answer) -> None:
    """Check 01.4 with one channel, then with two channels and a wider picture."""
    flat = torch.arange(16.0).reshape(1, 4, 4)
    got = array(answer(flat.clone(), 2))
    expect(
        got.shape == (4, 4),
        f"a picture (1, 4, 4) in patches of 2 x 2 is (4 patches, 4 values), yours is {got.shape}",
    )
    expect(
        got[0].tolist() != [0, 1, 2, 3],
        "the first patch is the picture's first row: a reshape does not cut; "
        "split height and width, then permute",
    )
    expect(
        sorted(got[1].tolist()) != [8, 9, 12, 13],
        "patches come column by column: raster order is row by row, "
        "so the second is the one to the right",
    )
    _expect_same(
        got,
        cut(flat, 2),
        "the first patch of 0 … 15 is 0 1 4 5, the second 2 3 6 7; "
        f"yours begin {got[0].tolist()}, {got[1].tolist()}",
    )
    colours = torch.arange(2 * 4 * 6.0).reshape(2, 4, 6)
    got = array(answer(colours.clone(), 2))
    expect(
        got.shape == (6, 8),
        f"a picture (2, 4, 6) has 2 x 3 patches of 8 values, yours has shape {got.shape}",
    )
    _expect_same(
        got,
        cut(colours, 2),
        "within a patch all of the first channel comes first, then the second: "
        "the order of a Conv2d's weight",
    )


# --- 01.5: a number as Gato's token ---


def gato_token(x: np.ndarray) -> np.ndarray:
    """Real numbers of an observation -> ids 32,000 … 33,023.

    Compand, clip, cut into 1,024 bins, shift.
    """
    companded = np.sign(x) * np.log(100 * np.abs(x) + 1) / np.log(100 * 256 + 1)
    bins = np.floor((np.clip(companded, -1, 1) + 1) / 2 * 1024)
    return 32_000 + np.minimum(bins, 1023).astype(int)


def check_gato_token(answer: Answer) -> None:
    """Check 01.5 with chosen numbers, then with 500 random ones."""

    def tokens(*values: float) -> np.ndarray:
        return _tokens(answer, np.array(values, dtype=float))

    expect(
        not 0 <= tokens(0)[0] < 1024,
        "the bins are not shifted: the first ids are for text, real numbers begin at 32,000",
    )
    expect(
        tokens(-1)[0] < tokens(1)[0],
        "-1 and 1 have the same token, or change places: give the logarithm the sign of x",
    )
    linear = 32_000 + math.floor((0.5 + 1) / 2 * 1024)
    expect(
        tokens(0.5)[0] != linear,
        f"0.5 got {linear}, which is its bin without companding: mu-law comes first",
    )
    expect(
        tokens(256, 1e6).max() <= 33_023,
        "256 falls behind the last bin: clip to [-1, 1], and put 1 itself into bin 1,023",
    )
    zero = tokens(0)[0]
    expect(zero == 32_512, f"0 lies at the start of the upper half: 32,512, not {zero}")
    x = np.random.default_rng(0).normal(size=500) * np.repeat([0.01, 1, 100, 300, 3], 100)
    off = np.abs(_tokens(answer, x) - gato_token(x)).max()
    expect(
        off > 1 or off == 0,
        "one bin beside the right one now and then: floor, do not round, "
        "and + 1 belongs inside both logarithms",
    )
    expect(
        off == 0,
        f"up to {off} bins beside the right one: sign(x) log(100 |x| + 1) / log(100 * 256 + 1), "
        "then 1,024 bins over [-1, 1]",
    )


def _tokens(answer: Answer, x: np.ndarray) -> np.ndarray:
    found = array(answer(x.copy()))
    expect(
        found.shape == x.shape,
        f"{len(x)} numbers have {len(x)} tokens, yours has shape {found.shape}",
    )
    expect(
        found.dtype.kind == "i",
        "tokens are integers, yours are real numbers: cut into bins (floor), then astype(int)",
    )
    return found


# --- 01.6: how much a context holds ---

GATO_ANT, JAT_ANT = 1024 // (27 + 1 + 8), 512 // 2  # timesteps of Ant


def check_contexts(gato: float, jat: float) -> None:
    """Check 01.6: the timesteps of Ant that fit into each model's context."""
    gato, jat = (number(value, "give two numbers") for value in (gato, jat))
    expect(gato == int(gato) and jat == int(jat), "whole timesteps only: round down")
    expect(
        gato != 27 + 1 + 8,
        "36 tokens is what one timestep costs (or did you divide 1,024 by 28, "
        "without the action's 8?): how many of those fit into 1,024?",
    )
    expect(gato != 1024 // (27 + 8), "the separator is a token too")
    expect(gato != 1024 // 27, "the action's 8 numbers are tokens too")
    expect(gato == GATO_ANT, f"Gato: 27 + 1 + 8 tokens a timestep, 1,024 in all: not {gato}")
    expect(
        jat != 512, "512 are tokens: a timestep of JAT costs two, the observation and the action"
    )
    expect(jat == JAT_ANT, f"JAT: two tokens a timestep, 512 in all: not {jat}")


def _expect_same(got: object, right: Tensor, message: str) -> None:
    expect(near(array(got), right), message)


EXERCISES = {
    "01.1": Exercise(
        difficulty=1, importance=4, minutes=3, solution=arriving, check=check_arriving
    ),
    "01.2": Exercise(difficulty=2, importance=3, minutes=5, solution=repeat, check=check_repeat),
    "01.3": Exercise(difficulty=3, importance=3, minutes=10, solution=merge, check=check_merge),
    "01.4": Exercise(difficulty=3, importance=4, minutes=10, solution=cut, check=check_cut),
    "01.5": Exercise(
        difficulty=3, importance=2, minutes=10, solution=gato_token, check=check_gato_token
    ),
    "01.6": Exercise(
        difficulty=1,
        importance=3,
        minutes=2,
        solution=(GATO_ANT, JAT_ANT),
        check=check_contexts,
        shown="gato_timesteps = 1024 // (27 + 1 + 8)  # 28\njat_timesteps = 512 // 2  # 256",
    ),
    "01.7": Exercise(
        difficulty=3,
        importance=3,
        minutes=20,
        solution=(count_pairs, learn, encode),
        check=check_bpe,
        steps=STEPS,
    ),
}
