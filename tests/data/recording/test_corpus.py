"""The corpus of CPython's documents: train and test apart."""

import re

import numpy as np
import pytest

from jatlab.data.recording.corpus import documents, split_documents


@pytest.mark.slow
def test_documents_are_real_english_of_cpython():
    texts = documents()
    first = [next(texts) for _ in range(100)]
    assert len(set(first)) == 100
    assert any("statement" in text for text in first)
    assert np.mean([len(text) for text in first]) > 500


def words_of(text):
    return re.findall(r"\w+", text.lower())


def test_test_documents_share_no_paragraph_with_training():
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(3000)]

    def paragraph():
        return " ".join(rng.choice(words, 20))

    copied = [paragraph() for _ in range(5)]

    def document(number):
        """Every third has a copied paragraph, with other case and punctuation."""
        own = [paragraph(), paragraph()]
        return "\n\n".join(own + ([copied[number % 5].upper() + "!"] if number % 3 == 0 else []))

    texts = [document(number) for number in range(600)]
    train, test = split_documents(texts)
    assert 10 < len(test) < 60 and len(train) > 500
    assert set(train) <= set(texts)
    reordered = split_documents(reversed(texts))[1]
    assert reordered == test[::-1], "the split does not depend on the order"
    fewer = split_documents(texts[:300])[0]
    assert fewer == [text for text in train if text in texts[:300]], "nor on what else there is"
    known = {tuple(words_of(p)) for text in train for p in text.split("\n\n")}
    assert not any(tuple(words_of(p)) in known for text in test for p in text.split("\n\n"))


def test_near_copies_are_no_test():
    rng = np.random.default_rng(1)
    base = [" ".join(f"w{n}" for n in rng.integers(0, 9999, 40)) for _ in range(200)]
    nearly = [text.replace(text.split()[20], "changed") for text in base]
    train, test = split_documents(base + nearly)

    def differ(one, other):
        return len(set(one.split()) ^ set(other.split()))

    for text in test:
        twin = next(t for t in base + nearly if t != text and differ(t, text) <= 2)
        assert twin not in train
