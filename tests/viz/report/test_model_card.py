"""The model card, read back by huggingface_hub. Its `validate()` asks the Hub's server, so here it
gets a stand-in that keeps what would be sent.
"""

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

from jatlab.evaluation.results import assemble
from jatlab.viz.report.model_card import model_card

RETURNS = {
    "babyai-go-to-obj": [0.9, 0.95],
    "babyai-go-to-local": [0.7, 0.8],
    "atari-pong": [-20.0, 3.0],
    "atari-bowling": [30.0, 40.0],
    "mujoco-ant": [100.0, 120.5],
}
PERPLEXITY = {
    "perplexity": 41.27,
    "interval": [40.0, 42.5],
    "unigram": 310.0,
    "tokens": 5000,
    "documents": 12,
}
QUESTIONS = {
    "exact_match": 0.75,
    "interval": [0.7, 0.8],
    "majority": 0.31,
    "questions": 400,
    "by_type": {},
}


@pytest.fixture(scope="module")
def results():
    about = {
        "command": "jatlab evaluate tiny --tasks all",
        "failed": {"mujoco-hopper": "ValueError: NaN: 'diverged'"},
        "language": {"python-docs": PERPLEXITY, "ok-vqa": QUESTIONS},
    }
    return assemble({name: record(totals) for name, totals in RETURNS.items()}, about)


def record(totals: list[float]) -> dict:
    episodes = [
        {"seed": 1_000_000 + i, "total": total, "length": 9, "success": None, "cut": False}
        for i, total in enumerate(totals)
    ]
    settings = {
        "episodes": 2,
        "seed": 1_000_000,
        "envs": 2,
        "greedy": False,
        "temperature": 1.0,
        "max_steps": None,
    }
    return {
        "agent": {"name": "tiny", "parameters": 1234, "fingerprint": "f00d"},
        "settings": settings,
        "episodes": episodes,
    }


@pytest.fixture(scope="module")
def card(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("card") / "README.md"
    text = model_card(results, "Made in **ten** minutes.", "apache-2.0")
    path.write_text(text, encoding="utf-8")
    return ModelCard.load(path)


def find_all(card, dataset: str, metric: str) -> list[EvalResult]:
    return [
        result
        for result in card.data.eval_results
        if result.dataset_name == dataset and result.metric_type == metric
    ]


def find(card, dataset: str, metric: str) -> EvalResult:
    [found] = find_all(card, dataset, metric)
    return found


def test_the_metadata_say_what_the_hub_wants_to_know(card):
    data = card.data.to_dict()
    assert data["library_name"] == "jatlab" and data["license"] == "apache-2.0"
    assert data["pipeline_tag"] == "reinforcement-learning"
    assert {"reinforcement-learning", "jat", "babyai", "atari", "mujoco"} <= set(data["tags"])
    assert "metaworld" not in data["tags"]
    [model] = data["model-index"]
    assert model["name"] == "tiny"
    kinds = {"reinforcement-learning", "text-generation", "visual-question-answering"}
    for result in model["results"]:  # the fields that the Hub's specification demands
        assert result["task"]["type"] in kinds
        assert result["dataset"]["type"] and result["dataset"]["name"] and result["metrics"]
        assert all({"type", "value", "name"} <= metric.keys() for metric in result["metrics"])
    datasets = [result["dataset"]["name"] for result in model["results"]]
    # domains, tasks, text and pictures: each once, with all of its metrics
    assert len(datasets) == len(set(datasets)) == 3 + len(RETURNS) + 2


def test_the_results_survive_the_way_there_and_back(card):
    index = eval_results_to_model_index("tiny", card.data.eval_results)
    name, results = model_index_to_eval_results(index)
    assert name == "tiny" and results == card.data.eval_results
    assert index == card.data.to_dict()["model-index"]


def test_scores_are_those_of_the_evaluation(card, results):
    pong = find(card, "atari-pong", "total_reward")
    assert pong.metric_value == "-8.5 +/- 11.5" and pong.dataset_type == "ALE/Pong-v5"
    assert pong.task_type == "reinforcement-learning"
    expert = results["tasks"]["atari-pong"]["by_expert"]
    normalised = find(card, "atari-pong", "expert_normalized_total_reward")
    assert normalised.metric_value == f"{expert['mean']:.4g} +/- {expert['std']:.4g}"
    atari = results["domains"]["atari"]["by_human"]
    low, high = atari["iqm_interval"]
    average = find(card, "Atari", "iqm_human_normalized_total_reward")
    assert average.metric_value == f"{atari['iqm']:.4f} [{low:.4f}, {high:.4f}]"
    assert find(card, "python-docs", "perplexity").metric_value == 41.27
    assert find(card, "ok-vqa", "exact_match").metric_value == 0.75


def test_a_task_without_a_scale_has_no_such_metric_and_says_why(card):
    assert not find_all(card, "atari-bowling", "expert_normalized_total_reward")
    average = find(card, "Atari", "mean_expert_normalized_total_reward")
    assert average.metric_name.endswith("1 task)")
    why = "the published expert (20.4) is no better than the random policy (23.1)"
    assert f"bowling ({why})" in card.text


def test_the_body_tells_the_rest(card):
    text = card.text
    assert text.strip().startswith("# How well tiny plays\n\nMade in **ten** minutes.\n")
    for words in (
        "jatlab evaluate tiny --tasks all",
        "1,000,000 to 1,000,001",
        "torch",
        "f00d",
        "published JAT",
        "95 %",
    ):
        assert words in text
    assert "mujoco-hopper could not be played: ValueError: NaN: 'diverged'" in text
    assert "| python-docs | Perplexity | 41.3 [40.0–42.5] | unigram 310 | 5,000 tokens |" in text
    assert "| ok-vqa | Exact match | 75 % [70 %–80 %] | majority 31 % | 400 questions |" in text


def test_what_validate_would_send_is_the_whole_card(card, monkeypatch):
    sent = {}

    class Session:
        def post(self, url, json, headers):
            sent.update(json, url=url)

    monkeypatch.setattr("huggingface_hub.repocard.get_session", Session)
    monkeypatch.setattr("huggingface_hub.repocard.hf_raise_for_status", lambda response: None)
    card.validate()
    assert sent["url"].endswith("/api/validate-yaml") and sent["repoType"] == "model"
    front = sent["content"].split("---\n")[1]
    assert yaml.safe_load(front)["model-index"][0]["name"] == "tiny"
