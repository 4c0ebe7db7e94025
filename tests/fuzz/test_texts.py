"""Any Unicode as a text: tokens, prompts and missions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jatlab
from jatlab.model.tokenization import TextTokenizer
from tests.support.fuzzing import JUNK, LIMIT, fuzz, limit, outcome
from tests.support.little_tasks import GRID, make_agent

TOKENIZER = TextTokenizer.load()
AGENT = make_agent()
SPECIAL = st.sampled_from(
    ["<end>", "<pad>", "<|endoftext|>", "\0", "\ufeff", "\u202e", "\r\n", "  "]
)
ANY = st.one_of(st.text(), st.text(st.characters(categories=["Cs", "Co", "Cn", "Zs", "Mn"])))
TEXTS = st.lists(st.one_of(ANY, SPECIAL), max_size=5).map("".join)


def has_lone_surrogate(text: str) -> bool:
    return any(0xD800 <= ord(letter) < 0xE000 for letter in text)


@fuzz(25)
@given(text=TEXTS)
def test_a_text_comes_back_letter_for_letter(text):
    """But for one space at the beginning: "red" and " red" are the same word."""
    kind, ids = outcome("texts", TOKENIZER.encode, text)
    assert (kind == "refused") == has_lone_surrogate(text)
    if kind == "right":
        assert TOKENIZER.decode(ids) == text.removeprefix(" ")
        assert TOKENIZER.end_id not in ids and TOKENIZER.pad_id not in ids
        assert all(0 <= number < TOKENIZER.vocab_size for number in ids)


@fuzz(15)
@given(prompt=st.one_of(TEXTS, JUNK), tokens=st.integers(1, 4))
def test_any_prompt_is_continued_or_refused(prompt, tokens):
    kind, found = outcome(
        "texts", lambda: jatlab.generate(prompt, agent=AGENT, max_tokens=tokens, seed=0)
    )
    if kind == "right":
        assert isinstance(prompt, str) and isinstance(found, str)


@fuzz(15)
@given(mission=st.one_of(TEXTS, JUNK))
def test_any_mission_is_read_or_refused(mission):
    AGENT.reset(1, GRID)
    grid = {"discrete_observation": np.zeros(148, np.int64), "text_observation": mission}
    kind, action = outcome("texts", lambda: AGENT.act(grid, 0.0))
    if kind == "right":
        assert isinstance(mission, str) and action in range(3)


@pytest.mark.slow
def test_ten_megabytes_are_read():
    text = "the quick red fox, 42 times! " * 350_000
    with limit(10 * LIMIT):
        assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
