"""The model card: `README.md` beside a report, with `model-index` results as the Hugging Face Hub
reads them.

`huggingface_hub.ModelCard.load(path)` reads it back, and its `.push_to_hub("user/name")` sends it
to a model's page. A result is one metric of one task (dataset), or one average over a domain.
Scores are those of `jatlab.evaluation.results`; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterator

from huggingface_hub import EvalResult, ModelCardData

from jatlab.tasks import get_task
from jatlab.viz.report.tables import LANGUAGE_METRICS, SCALE_WORDS, markdown, plural

TAGS = ("reinforcement-learning", "jat", "generalist-agent", "imitation-learning")
PLAYING = {"task_type": "reinforcement-learning", "task_name": "Reinforcement learning"}
METRICS = {
    "by_teacher": "teacher_normalized_total_reward",
    "by_expert": "expert_normalized_total_reward",
    "by_human": "human_normalized_total_reward",
}
STATISTICS = {"mean": "Mean", "iqm": "IQM", "median": "Median"}


def model_card(
    results: dict, titles: dict[str, str], about: str = "", license: str | None = None
) -> str:
    """The card as text: metadata in YAML, then `about` (how the agent was made; Markdown), then the
    tables.

    `results` come from `jatlab.evaluate`; `titles` names the domains; `license` is an identifier of
    the Hub, such as "apache-2.0".
    """
    domains = [domain for domain in results["domains"] if domain in titles]
    data = ModelCardData(
        model_name=results["agent"]["name"], library_name="jatlab", pipeline_tag="reinforcement-learning", license=license,
        tags=[*TAGS, *domains], eval_results=[*_domain_metrics(results, titles), *_task_metrics(results), *_language_metrics(results)],
    )  # fmt: skip
    heading, _, tables = markdown(results, titles).partition("\n")
    return f"---\n{data.to_yaml()}\n---\n\n{heading}\n" + (f"\n{about}\n" if about else "") + tables


def _domain_metrics(results: dict, titles: dict[str, str]) -> Iterator[EvalResult]:
    for domain, found in results["domains"].items():
        for scale, metric in METRICS.items():
            for key, words in STATISTICS.items():
                if found[scale]["tasks"]:
                    low, high = found[scale][f"{key}_interval"]
                    name = f"{words} of the normalised return, {SCALE_WORDS[scale]} (95 % interval; {plural(len(found[scale]['tasks']), 'task')})"
                    value = f"{found[scale][key]:.4f} [{low:.4f}, {high:.4f}]"
                    dataset = {"dataset_type": domain, "dataset_name": titles.get(domain, domain)}
                    yield EvalResult(
                        **PLAYING,
                        **dataset,
                        metric_type=f"{key}_{metric}",
                        metric_name=name,
                        metric_value=value,
                    )


def _task_metrics(results: dict) -> Iterator[EvalResult]:
    for name, task in results["tasks"].items():
        dataset = PLAYING | {"dataset_type": get_task(name).env_id, "dataset_name": name}
        yield EvalResult(
            **dataset,
            metric_type="total_reward",
            metric_name="Return",
            metric_value=_spread(task["return"]["mean"], task["return"]["std"]),
        )
        for scale, metric in METRICS.items():
            if "left_out" not in task[scale]:
                score, words = task[scale], f"Normalised return, {SCALE_WORDS[scale]}"
                yield EvalResult(
                    **dataset,
                    metric_type=metric,
                    metric_name=words,
                    metric_value=_spread(score["mean"], score["std"]),
                )


def _language_metrics(results: dict) -> Iterator[EvalResult]:
    for name, scores in results.get("language", {}).items():
        for metric, (words, baseline) in LANGUAGE_METRICS.items():
            if metric in scores:
                kind = "visual-question-answering" if metric == "exact_match" else "text-generation"
                yield EvalResult(
                    task_type=kind,
                    dataset_type=name,
                    dataset_name=name,
                    metric_type=metric,
                    metric_name=words,
                    metric_value=scores[metric],
                )


def _spread(mean: float, std: float) -> str:
    return f"{mean:.4g} +/- {std:.4g}"
