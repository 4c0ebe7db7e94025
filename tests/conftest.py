"""What tests of several areas share; helpers that are no fixtures are in `tests.support`."""

import os

import pytest
from hypothesis import settings

# how long a case takes says more about the machine than about the code
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for the network


@pytest.fixture(scope="session")
def golden():
    """The model whose weights the golden cases were computed with, in evaluation mode."""
    from tests.support.golden import golden_model

    return golden_model()


@pytest.fixture(scope="session")
def tokenizer():
    """The tokenizer that ships."""
    from jatlab.model.tokenization import TextTokenizer

    return TextTokenizer.load()
