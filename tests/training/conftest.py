"""A tiny recipe and its recordings, for all tests of training that ask for them."""

import numpy as np
import pytest
import torch

from jatlab.training.trainer import TrainConfig
from tests.support.synthetic import write_task
from tests.support.training import TINY


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    write_task(root, "metaworld-reach", [30] * 12)
    write_task(root, "metaworld-door-close", [30] * 12, seed=1)
    write_task(root, "babyai-go-to-obj", rng.integers(1, 16, 60).tolist(), seed=2)
    return root


@pytest.fixture
def recipe(data, tmp_path):
    torch.set_num_threads(1)
    return TrainConfig(
        data=str(data),
        output=str(tmp_path / "run"),
        model=TINY,
        past_action_dropout=0.5,
        steps=8,
        batch_timesteps=128,
        average=0.9,
        precision="fp32",
        device="cpu",
        val_fraction=0.1,
        val_every=4,
        save_every=3,
        log_every=1,
        progress=False,
    )
