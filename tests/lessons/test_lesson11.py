"""Lesson 11: right answers pass, and typical wrong ones are told their mistake."""

import numpy as np
import pytest
import torch
from scipy import stats

from jatlab import JatConfig
from jatlab.lessons import lesson11
from jatlab.model.transformer import Transformer
from jatlab.tasks import task_scores
from jatlab.viz.published import published_score
from tests.support.exercises import exercise_tests

WRONG = {
    "11.1": [
        (
            lambda h: 12 * h * h / 1,
            "use no division",
        ),  # lesson 03 has the same exercise, and its other mistakes
        (lambda h: 8 * h * h, "is too few"),
    ],
    "11.2": [
        (lambda name: name.replace("trunk.blocks", "transformer.h"), "two levels are between"),
        (lambda name: lesson11.published_name(name).replace("h.11", "h.3"), "for block 11 you say"),
        (
            lambda name: lesson11.published_name(name).replace("out_proj", "o_proj"),
            "out_proj.weight there, not",
        ),
        (lambda name: name, "begin with `transformer`"),
    ],
    "11.3": [
        (lambda mean, std, random, expert: (mean - std, mean + std), "Is the mean normalised?"),
        (
            lambda mean, std, random, expert: _around((mean - random) / (expert - random), std),
            "has to be normalised too",
        ),
        (
            lambda mean, std, random, expert: _around(
                (mean - random) / (expert - random), 2.262 * std / (expert - random)
            ),
            "by the square root of ten",
        ),
        (
            lambda mean, std, random, expert: _around(
                (mean - random) / (expert - random), std / np.sqrt(10) / (expert - random)
            ),
            "68 %",
        ),
        (
            lambda mean, std, random, expert: _around(
                (mean - random) / (expert - random), 2.262 * std / 10 / (expert - random)
            ),
            "you divide by 10",
        ),
        (
            lambda mean, std, random, expert: _around(
                (mean - random) / (expert - random), 2.262 * std / np.sqrt(10) / expert
            ),
            "scale is half as long",
        ),
        (lambda *numbers: lesson11.interval(*numbers)[::-1], "low comes first"),
        (lambda mean, std, random, expert: (mean - random) / (expert - random), "return low, high"),
    ],
    "11.4": [
        (lambda x, y: np.corrcoef(x, y)[0, 1], "that is Pearson's correlation"),
        (lambda x, y: np.corrcoef(np.argsort(x), np.argsort(y))[0, 1], "apply it twice"),
        (
            lambda x, y: np.corrcoef(np.argsort(np.argsort(x)), np.argsort(np.argsort(y))),
            "gives a matrix",
        ),
        (lambda x, y: abs(lesson11.rank_correlation(x, y)), "the answer is -1"),
    ],
}


def _around(middle: float, half: float) -> tuple[float, float]:
    return middle - half, middle + half


RIGHT = {
    "11.3": [
        lambda mean, std, random, expert: (
            (
                np.array([mean - 2.262 * std / np.sqrt(10), mean + 2.262 * std / np.sqrt(10)])
                - random
            )
            / (expert - random)
        )
    ],
}
test_right_answer, test_wrong_answer, test_coverage = exercise_tests("11", WRONG, RIGHT)


@pytest.mark.parametrize("preset", ["nano", "paper"])
def test_parameters_are_those_of_the_model(preset):
    config = JatConfig.preset(preset)
    with torch.device("meta"):
        block = Transformer(config).blocks[0]
    assert lesson11.block_parameters(config.hidden_size) == sum(
        parameter.numel() for parameter in block.parameters()
    )


def test_intervals_are_those_of_the_views():
    scores, score = task_scores("atari-boxing"), published_score("atari-boxing")
    found = lesson11.interval(
        scores.jat.mean, scores.jat.std, scores.published_random.mean, scores.expert.mean
    )
    assert found == pytest.approx((score.low, score.high))


def test_ranks_as_scipy_has_them():
    x, y = np.random.default_rng(3).normal(size=(2, 50))
    assert lesson11.rank_correlation(x, y + x) == pytest.approx(stats.spearmanr(x, y + x).statistic)
