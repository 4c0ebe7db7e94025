import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that test modules share `golden`
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for the network


@pytest.fixture(scope="session")
def golden():
    """The model whose weights the golden cases were computed with, in evaluation mode."""
    from golden import golden_model

    return golden_model()


@pytest.fixture(scope="session")
def tokenizer():
    """The one that ships."""
    from jatlab.tokenization import TextTokenizer

    return TextTokenizer.load()
