"""The page and the card of jatlab-mini compare its editions as the measurements say."""

import json

import pytest

from jatlab.agents.checkpoints import SHIPPED
from scripts import editions, ship
from scripts.readme import inserted


@pytest.fixture(scope="module")
def results():
    return json.loads((SHIPPED / "jatlab-mini" / "report.json").read_text(encoding="utf-8"))


def test_the_page_has_the_tables_of_the_report(results):
    page = inserted("mini")
    assert editions.domain_table(results, ship.MINI_COMMAND) in page
    assert editions.language_table(results) in page


def test_the_card_has_every_task_in_both_editions(results):
    table = editions.task_table(results)
    assert table in (SHIPPED / "jatlab-mini" / "README.md").read_text(encoding="utf-8")
    assert len(table.splitlines()) == 2 + len(results["tasks"])
    third = editions.third_edition()["tasks"]
    assert set(third) == set(results["tasks"])
    score = results["tasks"]["mujoco-halfcheetah"]["by_teacher"]["mean"]
    assert (
        f"| mujoco-halfcheetah | {third['mujoco-halfcheetah']['by_teacher']:.2f} | {score:.2f}"
        in table
    )
