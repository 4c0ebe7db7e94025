"""The report of tasks of one's own: nothing of the published JAT, and no task under another."""

import pytest
from huggingface_hub.repocard_data import eval_results_to_model_index

from jatlab.tasks import Task, register_scores, registry, scores
from jatlab.viz.report.model_card import _task_metrics, model_card
from jatlab.viz.report.page import page
from jatlab.viz.report.tables import markdown, summary
from tests.viz.report import samples

NAMES = ("own-left", "own-right")


@pytest.fixture
def results(monkeypatch):
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))
    monkeypatch.setattr(scores, "_REGISTERED", dict(scores._REGISTERED))
    for name in NAMES:
        registry._TASKS[name] = Task(name, "own", None, None, "continuous", 2, "continuous", 1)
        register_scores(name, {"teacher": {"mean": 1.0}, "random": {"mean": 0.0}})
    return samples.results(NAMES)


def test_nothing_of_the_published_jat(results):
    for text in (markdown(results), summary(results), page(results, [], None), model_card(results)):
        assert "of our teacher" in text and "own" in text
        for word in ("published jat", "published expert", "as reported", "left out"):
            assert word not in text.lower(), word


def test_the_published_columns_stay_where_they_apply():
    text = markdown(samples.results(("babyai-go-to-obj", "atari-bowling")))
    for word in ("published JAT, same tasks", "of the published expert", "As reported", "Left out"):
        assert word in text


def test_no_task_is_merged_into_another(results):
    index = eval_results_to_model_index("own", list(_task_metrics(results)))
    kept = [entry["dataset"]["name"] for entry in index[0]["results"]]
    assert kept == list(NAMES)
