"""Documents become rows of tokens: none lost, none doubled, whatever the lengths."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jatlab.data.language.rows import Rows
from jatlab.data.language.text import TextSource, open_text
from jatlab.data.mixture import Mixture, cut_batches
from jatlab.data.windows import open_source
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from tests.support.language_data import documents, write_texts

NANO = JatConfig.preset("nano")


def source_of(lengths, row_tokens, shift=True):
    """Documents whose tokens are all different: 1, 2, 3 …"""
    offsets = np.cumsum([0, *lengths])
    tokens = Rows(np.arange(1, offsets[-1] + 1, dtype=np.uint32), offsets)
    return TextSource("python-docs", tokens, "made-up", row_tokens, pad_id=0, shift=shift)


# the example: a first row of two tokens, and then a single token
@example(lengths=[3], half=2, seed=1, shift=True)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    half=st.integers(1, 20),
    seed=st.integers(0, 99),
    shift=st.booleans(),
)
@settings(max_examples=100)
def test_every_token_is_in_exactly_one_row_of_an_epoch(lengths, half, seed, shift):
    source, rng = source_of(lengths, 2 * half, shift), np.random.default_rng(seed)
    windows = source.windows(rng)
    seen = []
    for group in cut_batches(windows[:, 1], 64, rng):
        batch = source.batch(windows[group])
        assert batch["input_ids"].shape == batch["attention_mask"].shape
        assert batch["input_ids"].shape[1] <= 2 * half
        assert (batch["input_ids"][batch["attention_mask"] == 0] == 0).all()
        seen.extend(batch["input_ids"][batch["attention_mask"] == 1])
    assert sorted(seen) == list(range(1, sum(lengths) + 1))
    if sum(lengths) > 1 and half > 1:
        shortest = source.batch(windows)["attention_mask"].sum(1).min()
        assert shortest > 1, "a row of one token has nothing to predict"


def test_each_seed_cuts_rows_elsewhere_and_always_the_same():
    source = source_of([500, 300], 16)
    first, again, other = (source.windows(np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_documents_follow_each_other_each_closed_by_the_end_mark(tmp_path, tokenizer):
    texts = documents(20) + ["  ", "ü – ☃ 漢字 \U0001f600"]
    write_texts(tmp_path, "python-docs", texts[:10])
    write_texts(tmp_path, "python-docs", texts[10:], file="00001")
    source = open_text("python-docs", tmp_path, NANO, tokenizer)
    assert len(source.episodes) == 21, "a document of spaces is none"
    source.shift = False
    batch = source.batch(source.windows(np.random.default_rng(0)))
    ids = batch["input_ids"][batch["attention_mask"] == 1]
    parts = np.split(ids, np.flatnonzero(ids == tokenizer.end_id) + 1)[:-1]
    decoded = [tokenizer.decode(part[part != tokenizer.end_id]) for part in parts]
    assert decoded == [text for text in texts if text.strip()]


def test_split_holds_out_whole_documents(tmp_path, tokenizer):
    write_texts(tmp_path, "python-docs", documents(50))
    source = open_source("python-docs", tmp_path, NANO, tokenizer)
    train, held = source.split(0.2, seed=0)
    assert len(held.episodes) == 10
    assert set(train.episodes).isdisjoint(held.episodes) and len(train.episodes) == 40
    ids = [s.batch(s.windows(np.random.default_rng(0))) for s in (train, held)]
    assert sum(batch["attention_mask"].sum() for batch in ids) == source.total
    assert source.split(0.0, seed=0) == (source, None)


def test_the_mixture_counts_two_tokens_as_a_timestep(tmp_path, tokenizer):
    write_texts(tmp_path, "wikipedia", documents(200))
    source = open_source("wikipedia", tmp_path, NANO, tokenizer)
    plan = next(Mixture([source], batch_timesteps=256))
    assert plan.load()["input_ids"].size <= 2 * 256
    assert source.timesteps == (source.total + 1) // 2
    assert open_source("wikipedia", tmp_path, NANO, tokenizer, max_timesteps=8).row_tokens == 16


def refuse(tmp_path, table, match, name="wikipedia", **changes):
    path = tmp_path / name / "train" / "00000.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    if table is not None:
        pq.write_table(table, path)
    arguments = {"config": NANO, "tokenizer": TextTokenizer.load()} | changes
    with pytest.raises(ValueError, match=match):
        open_source(name, tmp_path, **arguments)


def test_what_is_no_text_is_refused_by_name(tmp_path):
    table = pa.table({"title": ["a"], "id": [1]})
    refuse(tmp_path, table, r"00000.parquet: column 'text' is missing; the file has title, id")
    refuse(tmp_path, pa.table({"text": [1, 2]}), r"column 'text' holds int64, expected strings")
    refuse(tmp_path, pa.table({"text": ["a", None]}), r"row 1 has nothing in column 'text'")
    refuse(tmp_path, pa.table({"text": ["", " \n"]}), r"wikipedia: no documents")
    (tmp_path / "wikipedia/train/00000.parquet").write_bytes(b"PAR1 and then nothing")
    refuse(tmp_path, None, "not a complete Parquet file")


def test_settings_that_cannot_be_are_refused(tmp_path):
    table = pa.table({"text": ["a b c"]})
    refuse(tmp_path, table, "needs a tokenizer", tokenizer=None)
    few = NANO.replace(vocab_size=100)
    refuse(tmp_path, table, "3072 ids, the model's vocab_size is 100", config=few)
    message = "rows of 200 tokens, but the model has 128 positions"
    refuse(tmp_path, table, message, max_timesteps=100)
    refuse(tmp_path, table, "the loss of text has no weight", loss_weight=2.0)
    hints = {"oscar": "published data set", "python-docs": "jatlab record python-docs"}
    for name, hint in hints.items():
        with pytest.raises(FileNotFoundError, match=hint):
            open_source(name, tmp_path, NANO, TextTokenizer.load())
