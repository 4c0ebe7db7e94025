"""One model and one mixture for every kind of task: control, text, captions and questions."""

import json
from collections import defaultdict
from itertools import islice

import numpy as np
import pytest

from jatlab.data.mixture import Mixture
from jatlab.data.windows import open_source, to_tensors
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.training.log import Losses
from jatlab.training.recipe import TrainConfig
from jatlab.training.trainer import train
from tests.support.language_data import write_pictures, write_texts
from tests.support.synthetic import write_task

COLOURS = {"red": (230, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 230)}
TINY = dict(
    hidden_size=64,
    num_layers=2,
    num_heads=4,
    attention_types=[[["global", "local"], 1]],
    max_position_embeddings=64,
    image_size=32,
    image_channels=(8, 8, 8),
    discrete_gates=0,
)


def sentences(count, words, rng):
    return [
        " ".join(
            f"the {rng.choice(words)} {rng.choice(['is', 'was'])} {rng.choice(words)}"
            for _ in range(6)
        )
        for _ in range(count)
    ]


def plain(colour):
    from PIL import Image

    return Image.new("RGB", (40, 32), COLOURS[colour])


@pytest.fixture
def data(tmp_path):
    root, rng = tmp_path / "data", np.random.default_rng(0)
    for name, lengths in (
        ("atari-pong", [24] * 4),
        ("babyai-go-to-obj", [12] * 24),
        ("metaworld-reach", [30] * 10),
        ("mujoco-hopper", [30] * 10),
    ):
        write_task(root, name, lengths)
    write_texts(root, "wikipedia", sentences(60, ["history", "river", "city", "king"], rng))
    write_texts(root, "oscar", sentences(60, ["offer", "price", "review", "page"], rng))
    names = rng.choice(list(COLOURS), 40)
    write_pictures(
        root,
        "conceptual-captions",
        [plain(name) for name in names],
        [f"a wall painted {name}" for name in names],
    )
    write_pictures(
        root,
        "ok-vqa",
        [plain(name) for name in names],
        [f"Q: what colour is it? A: {name}" for name in names],
    )
    return root


TASKS = [
    "atari-pong",
    "babyai-go-to-obj",
    "metaworld-reach",
    "mujoco-hopper",
    "wikipedia",
    "oscar",
    "conceptual-captions",
    "ok-vqa",
]


@pytest.mark.slow
def test_one_mixture_of_all_kinds_trains_and_every_loss_falls(data, tmp_path, monkeypatch):
    losses = defaultdict(list)
    add = Losses.add

    def listen(self, step, plan, loss):
        losses[plan.task].append(loss.item())
        add(self, step, plan, loss)

    monkeypatch.setattr(Losses, "add", listen)
    folder = train(
        TrainConfig(
            data=str(data),
            output=str(tmp_path / "agent"),
            tasks=TASKS,
            model=TINY,
            steps=200,
            batch_timesteps=128,
            lr=3e-3,
            precision="fp32",
            val_fraction=0.0,
            save_every=1000,
            progress=False,
        )
    )
    assert set(losses) == set(TASKS) and sum(map(len, losses.values())) == 200
    for name, values in losses.items():
        some = min(20, len(values) // 2)
        assert np.mean(values[-some:]) < np.mean(values[:some]), (name, values)
    recorded = json.loads((folder / "training.json").read_text())["data"]
    assert set(recorded) == set(TASKS) and all(
        entry["timesteps"] > 0 for entry in recorded.values()
    )


def test_one_mixture_gives_batches_of_all_kinds_and_resumes(data):
    config, tokenizer = JatConfig.preset("nano", **TINY), TextTokenizer.load()
    sources = [open_source(name, data, config, tokenizer) for name in TASKS]
    mixture, model = Mixture(sources, 128, seed=3), JatModel(config)
    seen = set()
    for plan in mixture:
        if plan.task not in seen:
            assert np.isfinite(model(**to_tensors(plan.load())).loss.item()), plan
            assert plan.task in str(plan) and plan.padded <= 128
        seen.add(plan.task)
        if seen == set(TASKS):
            break
    again = Mixture(sources, 128, seed=3)
    again.load_state_dict(plan.state)
    for mine, other in islice(zip(mixture, again, strict=False), 20):
        assert mine.task == other.task and np.array_equal(mine.windows, other.windows)
