"""The numbers of the search are checked."""

import pytest

from jatlab.teachers.search.settings import SearchSettings

BUDGET = "from 1 to 500 simulated steps a decision, alarm not below budget; got 501 and "


@pytest.mark.parametrize(
    "change, message",
    [
        ({"budget": 501}, BUDGET),
        ({"horizon": 0}, "at least 1 step, got 0"),
        ({"discount": 1.5}, "at most 1, got 1.5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SearchSettings(**change)
