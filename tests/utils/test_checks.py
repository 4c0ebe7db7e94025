import pytest

from jatlab.utils.checks import require


def test_only_an_unmet_condition_is_an_error():
    require([0], "a list with an entry")
    with pytest.raises(ValueError, match="^steps is 0: expected at least 1$"):
        require(0, "steps is 0: expected at least 1")
