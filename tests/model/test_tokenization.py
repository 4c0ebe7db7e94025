"""Special tokens that are spelt out in a text are text; only the package's code ends a text."""

import pickle

import numpy as np
import pytest

from jatlab.agents.agent import Agent
from jatlab.agents.generation import encode_prompt
from jatlab.data.language.text import open_text
from jatlab.data.windows import open_source
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from tests.support.language_data import picture, write_pictures, write_texts
from tests.support.official import gpt2_like

NANO = JatConfig.preset("nano")
SPELT = ["<end>", "go <end> on", "<pad><end>", "a<|endoftext|>b", "<end> ", "<END>", "é <pad> 漢"]
TOKENIZERS = {
    "own": TextTokenizer.load,
    "trained": lambda: TextTokenizer.train(["go to the <end> of <pad> the <end>"] * 9, 300),
    "gpt2": lambda: TextTokenizer(gpt2_like()),
}


def travelled(tokenizer):
    return pickle.loads(pickle.dumps(tokenizer))


@pytest.fixture(params=[(name, way) for name in TOKENIZERS for way in (lambda t: t, travelled)])
def tokenizer(request):
    name, way = request.param
    return way(TOKENIZERS[name]())


def test_spelt_out_special_tokens_are_text(tokenizer):
    special = {tokenizer.end_id, tokenizer.pad_id}
    for text in SPELT:
        ids = tokenizer.encode(text)
        assert special.isdisjoint(ids), text
        assert tokenizer.decode(ids) == text
        assert encode_prompt(tokenizer, text) == ids
        [row] = tokenizer.encode_batch([text], len(ids) + 2)
        assert row.tolist() == [*ids, tokenizer.pad_id, tokenizer.pad_id]
        assert tokenizer.decode([*ids, tokenizer.end_id]) == text, "the end mark is no text"


def test_a_loaded_tokenizer_is_the_one_that_was_saved(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    again = TextTokenizer.load(tmp_path)
    assert [again.encode(text) for text in SPELT] == [tokenizer.encode(text) for text in SPELT]


def test_documents_end_where_they_end(tmp_path):
    tokenizer = TextTokenizer.load()
    write_texts(tmp_path, "python-docs", SPELT)
    source = open_text("python-docs", tmp_path, NANO, tokenizer)
    source.shift = False
    batch = source.batch(source.windows(np.random.default_rng(0)))
    ids = batch["input_ids"][batch["attention_mask"] == 1]
    assert (ids == tokenizer.end_id).sum() == len(SPELT)
    parts = np.split(ids, np.flatnonzero(ids == tokenizer.end_id) + 1)[:-1]
    assert [tokenizer.decode(part[:-1]) for part in parts] == SPELT


def test_captions_and_missions_hold_no_special_token(tmp_path):
    tokenizer = TextTokenizer.load()
    pictures = [picture(seed, 120, 120) for seed in range(len(SPELT))]
    write_pictures(tmp_path, "conceptual-captions", pictures, SPELT)
    source = open_source("conceptual-captions", tmp_path, NANO, tokenizer)
    batch = source.batch(source.windows(np.random.default_rng(0)))
    texts = [tokenizer.decode(ids) for ids in batch["input_ids"]]
    assert sorted(texts) == sorted(SPELT), "a caption was cut where its words spell an end"
    agent = Agent.untrained("nano")
    mission = agent._mission("go to the <end> of the hall")
    assert agent.tokenizer.end_id not in mission.tolist()
    assert not np.array_equal(mission, agent._mission("go to the"))
