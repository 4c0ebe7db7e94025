"""What training refuses, and what it says."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from jatlab.training.state import checkpoints, newest
from jatlab.training.trainer import TrainConfig, Trainer, train
from tests.support.synthetic import write_task
from tests.support.training import TINY, told


def test_a_loss_that_is_not_finite_names_step_task_and_batch(recipe):
    with pytest.raises(
        ValueError,
        match=r"(the loss is (nan|inf) for task \S+ at step \d+, batch \d+ \(\S+, episodes? \d)|"
        r"(the gradient is not finite after step)",
    ):
        train(replace(recipe, lr=1e18, warmup=0, clip=1e30, log_every=4, average=0, steps=50))
    for checkpoint in checkpoints(Path(recipe.output)):
        assert all(
            torch.isfinite(t).all() for t in load_file(checkpoint / "model.safetensors").values()
        )


def test_nan_in_the_loss_of_one_batch(recipe):
    class Poisoned(Trainer):
        def loss(self, model, batch):
            return super().loss(model, batch) * (
                float("nan") if self.step == 4 and model is self.scored else 1
            )

    message = r"the loss is nan for task metaworld-\S+ at step 5, batch 4 \(metaworld"
    with pytest.raises(ValueError, match=message):  # when the losses are next looked at
        Poisoned(replace(recipe, tasks=["metaworld"], log_every=3)).fit()
    assert newest(Path(recipe.output)).name == "step-000003"


def test_nan_in_the_data_names_episode_and_column(recipe, tmp_path):
    import pyarrow.parquet as pq

    episodes = write_task(tmp_path / "bad", "metaworld-reach", [4, 5])
    (file,) = (tmp_path / "bad").glob("*/train/*.parquet")
    table = pq.read_table(file).to_pydict()
    table["continuous_observations"][1][2][0] = float("nan")
    import pyarrow as pa

    pq.write_table(pa.table(table), file)
    assert len(episodes) == 2
    with pytest.raises(
        ValueError, match="metaworld-reach, episode 1, column 'continuous_observations'"
    ):
        train(replace(recipe, data=str(tmp_path / "bad")))
    assert not Path(recipe.output).exists()


def test_a_checkpoint_of_another_model(recipe):
    train(replace(recipe, steps=3))
    with pytest.raises(
        ValueError, match="step-000003 is of another model: hidden_size was 32, is 64"
    ):
        train(TrainConfig.of_run(recipe.output, steps=5, model=TINY | {"hidden_size": 64}))


def test_other_data_than_the_checkpoints(recipe, tmp_path):
    root = tmp_path / "data"
    write_task(root, "metaworld-reach", [9, 9])
    train(replace(recipe, data=str(root), steps=3))
    write_task(root, "metaworld-reach", [9], file="00001")
    with pytest.raises(ValueError, match="the episodes of metaworld-reach are not those"):
        train(TrainConfig.of_run(recipe.output, steps=5))


def test_runs_are_not_overwritten_nor_continued_past_their_end(recipe):
    train(replace(recipe, steps=2))
    with pytest.raises(ValueError, match="already holds a training run"):
        train(recipe)
    with pytest.raises(ValueError, match="has already had its 2 steps"):
        train(TrainConfig.of_run(recipe.output))
    assert told(train(TrainConfig.of_run(recipe.output, steps=4)))[-1]["step"] == 4


def test_nothing_to_resume_or_to_train_on(recipe, tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        TrainConfig.of_run(tmp_path)
    with pytest.raises(FileNotFoundError, match="jatlab record"):
        train(replace(recipe, data=str(tmp_path)))
    with pytest.raises(FileNotFoundError, match="jatlab record"):
        train(replace(recipe, tasks=["babyai-unlock"]))
