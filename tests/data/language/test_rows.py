"""Rows of text laid out flat on disk."""

import pytest

from jatlab.data.language.text import open_text
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from tests.support.language_data import documents, write_texts

NANO = JatConfig.preset("nano")


def test_the_flat_copy_follows_the_data_and_the_tokenizer(tmp_path, tokenizer, monkeypatch):
    write_texts(tmp_path, "oscar", documents(5))
    first = open_text("oscar", tmp_path, NANO, tokenizer)
    with monkeypatch.context() as patch:
        reader = "jatlab.data.language.text._read_tokens"
        patch.setattr(reader, lambda *_: pytest.fail("read again"))
        assert open_text("oscar", tmp_path, NANO, tokenizer).fingerprint == first.fingerprint
    write_texts(tmp_path, "oscar", documents(5, seed=1), file="00001")
    more = open_text("oscar", tmp_path, NANO, tokenizer)
    assert more.fingerprint != first.fingerprint and len(more.episodes) == 10
    other = open_text("oscar", tmp_path, NANO, TextTokenizer.train(documents(5), 300))
    assert other.content != more.content


def test_a_damaged_flat_copy_is_written_anew(tmp_path, tokenizer):
    write_texts(tmp_path, "oscar", documents(5))
    total = open_text("oscar", tmp_path, NANO, tokenizer).total
    next((tmp_path / "oscar").glob("cache/train/*/tokens.bin")).write_bytes(b"12")
    assert open_text("oscar", tmp_path, NANO, tokenizer).total == total
