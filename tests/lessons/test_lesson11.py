"""Lesson 11: right answers pass, and typical wrong ones are told their mistake."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from scipy import stats

from jatlab import JatConfig
from jatlab.lessons import lesson11
from jatlab.lessons.lesson11_build import header, tensor, write
from jatlab.model.transformer import Transformer
from jatlab.tasks import task_scores
from jatlab.viz.published import published_score
from tests.support.exercises import exercise_tests


def around(middle, half):
    return middle - half, middle + half


def normalised(mean, random, expert):
    return (mean - random) / (expert - random)


def interval_with(half):
    """An interval whose half width is `half(std, random, expert)`."""

    def interval(mean, std, random, expert):
        return around(normalised(mean, random, expert), half(std, random, expert))

    return interval


def interval_normalised_last(mean, std, random, expert):
    ends = np.array(around(mean, 2.262 * std / np.sqrt(10)))
    return normalised(ends, random, expert)


def correlation_matrix(x, y):
    return np.corrcoef(np.argsort(np.argsort(x)), np.argsort(np.argsort(y)))


def published_for_block_3(name):
    return lesson11.published_name(name).replace("h.11", "h.3")


def published_o_proj(name):
    return lesson11.published_name(name).replace("out_proj", "o_proj")


def name_by_replacing(name):
    for ours, theirs in (
        ("trunk.blocks", "transformer.h"),
        ("attention", "attn.attention"),
        ("query", "q_proj"),
        ("key", "k_proj"),
        ("value", "v_proj"),
        ("output", "out_proj"),
    ):
        name = name.replace(ours, theirs)
    return name


def name_by_pattern(name):
    layer, projection, kind = re.fullmatch(
        r"trunk\.blocks\.(\d+)\.attention\.(\w+)\.(\w+)", name
    ).groups()
    short = "out" if projection == "output" else projection[0]
    return f"transformer.h.{layer}.attn.attention.{short}_proj.{kind}"


def interval_in_torch(mean, std, random, expert):
    ends = mean + torch.tensor([-1.0, 1.0]) * 2.262 * std / 10**0.5
    return normalised(ends, random, expert)


def correlation_by_differences(x, y):
    ranks = [[sum(other < one for other in values) for one in values] for values in (x, y)]
    squares = sum((a - b) ** 2 for a, b in zip(*ranks, strict=True))
    return 1 - 6 * squares / (len(x) * (len(x) ** 2 - 1))


def correlation_in_torch(x, y):
    ranks = torch.stack([torch.as_tensor(v).argsort().argsort().float() for v in (x, y)])
    return torch.corrcoef(ranks)[0, 1]


# --- 11.5: a reader of safetensors files


def header_by_int(content):
    length = int.from_bytes(content[:8], "little")
    told = json.loads(content[8 : 8 + length].decode())
    return {name: entry for name, entry in told.items() if not name.startswith("__")}


def tensor_by_library(content, name):
    return load(content)[name]


def write_by_library(tensors):
    return save({name: np.ascontiguousarray(value) for name, value in tensors.items()})


def header_with_metadata(content):
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


def read_from(content, name, start=None, as_type=None, shape=True):
    entry = header(content)[name]
    begin = 8 + int.from_bytes(content[:8], "little") if start is None else start
    first, end = (begin + offset for offset in entry["data_offsets"])
    kinds = {"F32": "f4", "F64": "f8", "I64": "i8"}
    values = np.frombuffer(content[first:end], as_type or kinds[entry["dtype"]])
    return values.reshape(entry["shape"]) if shape else values


def written(tensors, order="little", rows=True):
    content = write(tensors)
    length = int.from_bytes(content[:8], "little")
    data = content[8 + length :]
    if not rows:
        data = b"".join(value.tobytes("A") for value in tensors.values())
    return length.to_bytes(8, order) + content[8 : 8 + length] + data


WRONG = {
    "11.5": [
        (header_with_metadata, "is no tensor"),
        (lambda content: list(header(content)), "return a dict"),
        ((header, lambda c, n: read_from(c, n, start=0)), "from the end of the header"),
        ((header, lambda c, n: read_from(c, n, shape=False)), "the shape"),
        ((header, lambda c, n: read_from(c, n, as_type="f4", shape=False)), "number of bytes"),
        ((header, tensor, lambda t: written(t, order="big")), "refuses your file"),
        ((header, tensor, lambda t: written(t, rows=False)), "row by row"),
        ((header, tensor, lambda t: write({"a": t["a"]})), "should hold a, b and c"),
    ],
    "11.1": [  # lesson 03 has the same exercise, and its other mistakes
        (lambda h: lesson11.block_parameters(h) + 3 * h, "only the output projection has one"),
        (lambda h: lesson11.block_parameters(h) - 4 * h, "two layer norms are missing"),
        (lambda h: 12 * h * h / 1, "the matrices alone"),
        (lambda h: 8 * h * h, "is too few"),
    ],
    "11.2": [
        (lambda name: name.replace("trunk.blocks", "transformer.h"), "two levels are between"),
        (published_for_block_3, "for block 11 you say"),
        (published_o_proj, "out_proj.weight there, not"),
        (lambda name: name, "begin with `transformer`"),
    ],
    "11.3": [
        (lambda *numbers: np.clip(lesson11.interval(*numbers), 0, 1), "do not clip"),
        (lambda mean, std, random, expert: around(mean, std), "Is the mean normalised?"),
        (interval_with(lambda std, low, high: std), "has to be normalised too"),
        (
            interval_with(lambda std, low, high: 2.262 * std / (high - low)),
            "by the square root of ten",
        ),
        (interval_with(lambda std, low, high: std / np.sqrt(10) / (high - low)), "68 %"),
        (interval_with(lambda std, low, high: 2.262 * std / 10 / (high - low)), "you divide by 10"),
        (
            interval_with(lambda std, low, high: 2.262 * std / np.sqrt(10) / high),
            "scale is half as long",
        ),
        (lambda *numbers: lesson11.interval(*numbers)[::-1], "low comes first"),
        (lambda mean, std, *ends: normalised(mean, *ends), "return low, high"),
    ],
    "11.4": [
        (lambda x, y: np.corrcoef(x, y)[0, 1], "that is Pearson's correlation"),
        (lambda x, y: np.corrcoef(np.argsort(x), np.argsort(y))[0, 1], "apply it twice"),
        (correlation_matrix, "gives a matrix"),
        (lambda x, y: abs(lesson11.rank_correlation(x, y)), "the answer is -1"),
    ],
}
RIGHT = {
    "11.5": [
        (header_by_int, tensor_by_library, write_by_library),
        (header_by_int, read_from, written),
    ],
    "11.1": [lambda h: 12 * h**2 + 10 * h, lambda h: np.float64(h * (12 * h + 10))],
    "11.2": [name_by_replacing, name_by_pattern],
    "11.3": [interval_normalised_last, interval_in_torch],
    "11.4": [
        lambda x, y: stats.spearmanr(x, y).statistic,
        correlation_by_differences,
        correlation_in_torch,
    ],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("11", WRONG, RIGHT)
)


@pytest.mark.parametrize("preset", ["nano", "paper"])
def test_parameters_are_those_of_the_model(preset):
    config = JatConfig.preset(preset)
    with torch.device("meta"):
        block = Transformer(config).blocks[0]
    parameters = sum(parameter.numel() for parameter in block.parameters())
    assert lesson11.block_parameters(config.hidden_size) == parameters


def test_intervals_are_those_of_the_views():
    scores, score = task_scores("atari-boxing"), published_score("atari-boxing")
    random, expert = scores.published_random.mean, scores.expert.mean
    found = lesson11.interval(scores.jat.mean, scores.jat.std, random, expert)
    assert found == pytest.approx((score.low, score.high))


def test_ranks_as_scipy_has_them():
    x, y = np.random.default_rng(3).normal(size=(2, 50))
    assert lesson11.rank_correlation(x, y + x) == pytest.approx(stats.spearmanr(x, y + x).statistic)
