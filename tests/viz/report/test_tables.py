"""The averages as text."""

import pytest

from jatlab.viz.report.tables import summary
from tests.viz.report.samples import results

pytestmark = pytest.mark.usefixtures("measured")


def test_the_summary_has_a_line_for_each_domain():
    found = results()
    found["domains"]["mine"] = found["domains"].pop("metaworld")
    text = summary(found)
    lines = text.splitlines()
    headings = [line.split(",")[0] for line in lines if not line.startswith(" ")]
    assert headings == ["BabyAI", "Atari", "mine"]
    assert lines[0] == "BabyAI, 2 tasks, success 100 %"


def test_the_summary_has_the_averages_as_reported():
    text = summary(results())
    reported = [line.split()[-1] for line in text.splitlines() if "IQM" in line]
    assert reported == ["–", "0.99", "–", "0.655", "0.376"]
    assert "of our teacher, 2 of 2 tasks" in text and "of human play, 1 of 1 task" in text
