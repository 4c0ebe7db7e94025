"""The model card: the report's `README.md`, with results that the Hugging Face Hub can read.

`huggingface_hub.ModelCard.load(path)` reads it back, and `.push_to_hub("user/name")` sends it to a
model's page. Each entry of `model-index` is one metric of one task, or one average over a domain.
All scores come from the results; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from jatlab.evaluation.results import Results
from jatlab.tasks import get_task
from jatlab.viz.report.tables import LANGUAGE_METRICS, markdown
from jatlab.viz.report.words import DOMAIN_TITLES, SCALE_WORDS, domain_title, plural

TAGS = ("reinforcement-learning", "jat", "generalist-agent", "imitation-learning")
PLAYING: dict[str, Any] = {
    "task_type": "reinforcement-learning",
    "task_name": "Reinforcement learning",
}
METRICS = {
    "by_teacher": "teacher_normalized_total_reward",
    "by_expert": "expert_normalized_total_reward",
    "by_human": "human_normalized_total_reward",
}
AVERAGES = {"mean": "Mean", "iqm": "IQM", "median": "Median"}


def model_card(results: Results, about: str = "", license: str | None = None) -> str:
    """The card as text: metadata in YAML, what the agent is, then the tables.

    Args:
        results: of `jatlab.evaluate`.
        about: what the agent is and how it was trained, in Markdown.
        license: an identifier of the Hub, such as "apache-2.0".
    """
    data = ModelCardData(
        model_name=results["agent"]["name"],
        library_name="jatlab",
        pipeline_tag="reinforcement-learning",
        license=license,
        tags=[*TAGS, *(domain for domain in results["domains"] if domain in DOMAIN_TITLES)],
        eval_results=[
            *_domain_metrics(results),
            *_task_metrics(results),
            *_language_metrics(results),
        ],
    )
    heading, _, tables = markdown(results).partition("\n")
    return f"---\n{data.to_yaml()}\n---\n\n{heading}\n" + (f"\n{about}\n" if about else "") + tables


def _domain_metrics(results: Results) -> Iterator[EvalResult]:
    for domain, found in results["domains"].items():
        for scale, metric in METRICS.items():
            average = found[scale]
            if not average["tasks"]:
                continue
            tasks = plural(len(average["tasks"]), "task")
            for key, words in AVERAGES.items():
                low, high = average[f"{key}_interval"]
                yield EvalResult(
                    **PLAYING,
                    dataset_type=domain,
                    dataset_name=domain_title(domain),
                    metric_type=f"{key}_{metric}",
                    metric_name=f"{words} of the normalised return, {SCALE_WORDS[scale]} "
                    f"(95 % interval; {tasks})",
                    metric_value=f"{average[key]:.4f} [{low:.4f}, {high:.4f}]",
                )


def _task_metrics(results: Results) -> Iterator[EvalResult]:
    for name, task in results["tasks"].items():
        # without a name of its own for each task the hub would merge them
        dataset = PLAYING | {"dataset_type": get_task(name).env_id or name, "dataset_name": name}
        yield EvalResult(
            **dataset,
            metric_type="total_reward",
            metric_name="Return",
            metric_value=_spread(task["return"]["mean"], task["return"]["std"]),
        )
        for scale, metric in METRICS.items():
            score = task[scale]
            if "left_out" not in score:
                yield EvalResult(
                    **dataset,
                    metric_type=metric,
                    metric_name=f"Normalised return, {SCALE_WORDS[scale]}",
                    metric_value=_spread(score["mean"], score["std"]),
                )


def _language_metrics(results: Results) -> Iterator[EvalResult]:
    for name, scores in results.get("language", {}).items():
        for metric, (words, _) in LANGUAGE_METRICS.items():
            if metric in scores:
                answers = metric == "exact_match"
                yield EvalResult(
                    task_type="visual-question-answering" if answers else "text-generation",
                    dataset_type=name,
                    dataset_name=name,
                    metric_type=metric,
                    metric_name=words,
                    metric_value=scores[metric],
                )


def _spread(mean: float, std: float) -> str:
    return f"{mean:.4g} +/- {std:.4g}"
