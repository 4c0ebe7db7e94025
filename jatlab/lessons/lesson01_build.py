"""Exercise 01.7: byte-pair encoding, built in three steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from jatlab.lessons.answers import Answer, expect, kind, listed, whole

Pair = tuple[str, str]
One = TypeVar("One")

# --- one right answer of each step


def count_pairs(words: Sequence[Sequence[str]]) -> dict[Pair, int]:
    """How often each two pieces stand next to each other, over all words."""
    counts: Counter[Pair] = Counter()
    for pieces in words:
        counts.update(zip(pieces, pieces[1:], strict=False))
    return dict(counts)


def learn(text: Sequence[str], count: int) -> list[Pair]:
    """The first `count` merges: each time the most frequent pair becomes one piece.

    Of pairs that are equally frequent, the first in the alphabet. It stops where none is left.
    """
    words = [list(word) for word in text]
    merges: list[Pair] = []
    while len(merges) < count:
        counts = count_pairs(words)
        if not counts:
            break
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(pair)
        words = [merge(pieces, pair, "".join(pair)) for pieces in words]
    return merges


def encode(word: str, merges: Sequence[Pair]) -> list[str]:
    """The pieces of a word: letters, joined by the merges in the order of their learning."""
    pieces = list(word)
    for pair in merges:
        pieces = merge(pieces, pair, "".join(pair))
    return pieces


def merge(ids: Sequence[One], pair: tuple[One, One], new: One) -> list[One]:
    """Every neighbouring `pair` in `ids`, from left to right, becomes the one id `new`."""
    merged, place = [], 0
    while place < len(ids):
        found = tuple(ids[place : place + 2]) == tuple(pair)
        merged.append(new if found else ids[place])
        place += 2 if found else 1
    return merged


STEPS = ("count pairs", "learn merges", "encode a word")

WORDS = ["low", "lower", "lowest", "new", "newer", "wide", "aaa"]


def check_bpe(count: Answer, train: Answer | None = None, cut: Answer | None = None) -> None:
    """Check 01.7: counting alone, or with the later steps."""
    _check_counts(count)
    if train is not None:
        _check_learn(train)
    if cut is not None:
        _check_encode(cut)


def _check_counts(answer: Answer) -> None:
    words = [list("abab"), list("ba"), ["c"], ["ab", "a"], list("aaa")]
    raw, right = answer([list(word) for word in words]), count_pairs(words)
    expect(isinstance(raw, dict), f"step 1: return a dict, pair -> count; yours is {kind(raw)}")
    found = {}
    for pair, times in raw.items():
        expect(
            isinstance(pair, tuple) and len(pair) == 2,
            "step 1: each key should be a pair of pieces, a tuple such as ('a', 'b'); one of "
            f"yours is {kind(pair)}",
        )
        found[pair] = whole(times, "step 1: each count should be a whole number")
    joined = count_pairs([[piece for word in words for piece in word]])
    expect(
        found != joined,
        "step 1: a pair must not reach from one word into the next: count within each word",
    )
    expect(
        found.get(("a", "b")) != 1,
        "step 1: ('a', 'b') occurs twice in 'abab': count every place, not every word",
    )
    expect(
        found.get(("a", "a")) != 1,
        "step 1: ('a', 'a') stands at two places in 'aaa'; count both, though they overlap",
    )
    expect(
        {pair: times for pair, times in found.items() if times} == right,
        f"step 1: the counts are {right}; yours are {found}",
    )


def _pairs(answer: object, step: str) -> list[Pair]:
    wanted = f"{step}: return a list of pairs of pieces"
    found = listed(answer)
    expect(isinstance(found, list | tuple), f"{wanted}; yours is {kind(found)}")
    for pair in found:
        good = isinstance(pair, list | tuple) and len(pair) == 2
        expect(good and all(isinstance(piece, str) for piece in pair), wanted)
    return [(pair[0], pair[1]) for pair in found]


def _check_learn(answer: Answer) -> None:
    got, right = _pairs(answer(list(WORDS), 5), "step 2"), learn(WORDS, 5)
    once = count_pairs([list(word) for word in WORDS])
    ranked = sorted(once, key=lambda pair: (-once[pair], pair))[:5]
    expect(
        got != ranked,
        "step 2: these are the most frequent pairs of letters; after each merge count again, "
        "because the new piece makes new pairs",
    )
    expect(
        len(got) == 5,
        f"step 2: five merges are asked for, you return {len(got)}",
    )
    expect(
        got[0] == right[0],
        f"step 2: the first merge is {right[0]}, yours is {got[0]}: the most frequent pair, and "
        "of equals the first in the alphabet",
    )
    expect(got == right, f"step 2: the merges are {right}; yours are {got}")
    expect(
        _pairs(answer(["ab"], 9), "step 2") == [("a", "b")],
        "step 2: of the word 'ab' one merge can be learnt, and then no pair is left: stop there",
    )


def _check_encode(answer: Answer) -> None:
    merges = learn(WORDS, 5)
    for word in ("lowest", "newer", "slow", "aaaa", "x"):
        found, right = listed(answer(word, list(merges))), encode(word, merges)
        expect(
            isinstance(found, list | tuple) and all(isinstance(one, str) for one in found),
            f"step 3: return a list of pieces; yours is {kind(found)}",
        )
        pieces = list(found)
        expect(
            "".join(pieces) == word,
            f"step 3: the pieces of {word!r} should give the word again, yours give "
            f"{''.join(pieces)[:40]!r}",
        )
        expect(
            pieces == right,
            f"step 3: {word!r} is cut into {right}, yours is {pieces}: apply the merges in the "
            "order in which they were learnt, each to the whole word",
        )
