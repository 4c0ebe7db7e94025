"""Training: it learns, and it can be stopped at any moment and resumed."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from jatlab.agents.checkpoints import load_agent
from jatlab.training.log import read_log
from jatlab.training.state import checkpoints, newest
from jatlab.training.trainer import TrainConfig, Trainer, TrainingInterrupted, train
from tests.support import ROOT
from tests.support.helpers import wait_for
from tests.support.synthetic import write_task

TINY = dict(
    hidden_size=32,
    num_heads=2,
    num_layers=2,
    attention_types=[[["global", "local"], 1]],
    max_position_embeddings=32,
    window_size=8,
    discrete_bottleneck=2,
    max_continuous_size=40,
    max_discrete_value=156,
    image_channels=(8, 8, 8),
    image_pool=2,
    discrete_encoder_layers=0,
    image_size=32,
    hide_past_actions=False,
    resid_dropout=0.1,
)


@pytest.fixture(scope="module")
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


def told(output):
    """What the log says, without what the clock says."""
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "timesteps_per_second")}
        for line in read_log(output)
    ]


class Stopped(Trainer):
    """Gets ``signal`` in the middle of its fourth step."""

    signal = signal.SIGINT

    def update(self, *args, **kwargs):
        super().update(*args, **kwargs)
        if self.step == 3:
            os.kill(os.getpid(), self.signal)


def run_python(code, **arguments):
    """A process of its own, for what may end it."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), json.dumps(arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )


# --- learning


def test_the_loss_falls_and_an_agent_comes_out(recipe):
    output = train(replace(recipe, steps=60, lr=1e-2, save_every=1000, log_every=5, val_every=30))
    log = read_log(output)
    assert [line["step"] for line in log] == list(range(5, 61, 5))
    first, last = log[0], log[-1]
    assert set(last["loss"]) == {"babyai-go-to-obj", "metaworld-reach", "metaworld-door-close"}
    assert all(last["loss"][task] < 0.7 * first["loss"][task] for task in last["loss"])
    assert all(last["validation"][task] < 0.7 * first["loss"][task] for task in last["loss"])
    assert last["timesteps"] > 60 * 64 and last["timesteps_per_second"] > 0
    info = load_agent(output).info
    assert info["step"] == 60 and info["recipe"]["seed"] == 0
    reach = info["data"]["metaworld-reach"]
    assert (reach["episodes"], reach["timesteps"]) == (11, 330)
    assert reach.keys() == {"episodes", "timesteps", "fingerprint"}
    assert {"torch", "jatlab", "python"} <= info["versions"].keys()


def test_it_learns_from_recorded_episodes(tmp_path, recipe):
    from jatlab.data.recording.record import record

    record(["babyai-go-to-obj"], tmp_path / "data", episodes=40, workers=1)
    model = TINY | dict(hidden_size=64, resid_dropout=0.0, discrete_bottleneck=4)
    output = train(
        replace(
            recipe,
            data=str(tmp_path / "data"),
            model=model,
            steps=100,
            lr=5e-3,
            batch_timesteps=64,
            log_every=10,
            val_every=1000,
            save_every=1000,
        )
    )
    losses = [line["loss"]["babyai-go-to-obj"] for line in read_log(output)]
    assert losses[-1] < 0.9 < 1.5 < losses[0]  # from guessing to below log(3), three likely actions


def test_bfloat16_learns_as_well(recipe):
    output = train(replace(recipe, precision="bf16", steps=30, lr=1e-2))
    log, agent = read_log(output), load_agent(output)
    assert all(log[-1]["loss"][task] < log[3]["loss"].get(task, 20) for task in log[-1]["loss"])
    assert agent.info["precision"] == "bf16" and all(
        p.dtype == torch.float32 for p in agent.model.parameters()
    )


def test_minutes_are_a_budget_that_the_learning_rate_follows(recipe):
    output = train(replace(recipe, steps=None, minutes=0.03, save_every=1000, val_every=1000))
    log = read_log(output)
    # the step in which time runs out, and hardly another
    assert 1 <= sum(line["seconds"] >= 1.8 for line in log) <= 3
    assert max(line["lr"] for line in log) > 0.8 * recipe.lr > 0.05 * recipe.lr > log[-1]["lr"]


def test_tasks_weights_and_window_lengths_are_obeyed(recipe):
    trainer = Trainer(
        replace(
            recipe,
            tasks=["metaworld"],
            max_timesteps=5,
            task_weights={"metaworld": 2, "metaworld-reach": 3},
            loss_weights={"metaworld": 7.0},
        )
    )
    # of the domain, what is recorded
    weights = {"metaworld-reach": 3, "metaworld-door-close": 2}
    assert trainer.mixture.settings["weights"] == weights
    plan = next(trainer.mixture)
    assert plan.windows[:, 1].max() == 5 and (plan.load()["loss_weight"] == 7).all()


def test_tasks_of_one_shape_are_mixed_and_the_log_says_so(recipe):
    """Validation stays by task, the agent knows the data of each, and going on is the run that was
    not stopped.
    """
    recipe = replace(
        recipe, mix=True, steps=6, val_every=3, save_every=3, decay="constant", warmup=0.0
    )
    straight = train(replace(recipe, output=recipe.output + "-straight"))
    output = train(replace(recipe, steps=3))
    log = read_log(output)
    assert {name for line in log for name in line["loss"]} == {
        "metaworld-door-close + 1",
        "babyai-go-to-obj",
    }
    assert (
        set(log[-1]["validation"])
        == set(load_agent(output).info["data"])
        == {"babyai-go-to-obj", "metaworld-reach", "metaworld-door-close"}
    )
    resumed = Trainer(TrainConfig.of_run(output, steps=6))
    assert resumed.mixture.settings["weights"] == {
        "metaworld-door-close + 1": 2.0,
        "babyai-go-to-obj": 1.0,
    }
    assert told(resumed.fit()) == told(straight)


# --- stopping and going on


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_resumed_run_equals_one_that_was_not_stopped(recipe, tmp_path, number):
    recipe = replace(recipe, accumulate=2)
    straight = train(replace(recipe, output=str(tmp_path / "straight")))
    trainer = Stopped(recipe)
    trainer.signal = number
    goes_on = f"Go on with: jatlab train --resume {recipe.output}"
    with pytest.raises(
        TrainingInterrupted, match=f"stopped after step 4; everything is saved. {goes_on}"
    ):
        trainer.fit()
    resumed = train(TrainConfig.of_run(recipe.output))
    # losses, validation, gradient norms, learning rates: bit for bit
    assert told(resumed) == told(straight)
    for name in ("model.safetensors", "checkpoints/step-000008/state.safetensors"):
        ours, theirs = load_file(resumed / name), load_file(straight / name)
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_a_kill_while_saving_loses_nothing_before(recipe):
    code = """
        import json, os, signal, sys
        from jatlab.training import state as training_state
        from jatlab.training.trainer import TrainConfig, train
        save = training_state.save_file
        def save_half(tensors, path):
            save(tensors, path)
            if "step-000006" in str(path):
                os.truncate(path, os.path.getsize(path) // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        training_state.save_file = save_half
        train(TrainConfig(**json.loads(sys.argv[1])))
    """
    assert run_python(code, **asdict(recipe)).returncode == -signal.SIGKILL
    output = Path(recipe.output)
    assert [c.name for c in checkpoints(output)] == ["step-000003"] and list(
        (output / "checkpoints").glob(".*.tmp")
    )
    assert load_agent(output / "checkpoints" / "step-000003").info["step"] == 3
    assert [line["step"] for line in told(output)] == [1, 2, 3, 4, 5, 6]
    train(TrainConfig.of_run(output))
    assert [line["step"] for line in told(output)] == list(range(1, 9))
    assert [c.name for c in checkpoints(output)] == ["step-000006", "step-000008"] and not list(
        (output / "checkpoints").glob(".*")
    )


def test_ctrl_c_at_the_command_line(data, tmp_path):
    options = {
        "--preset": "nano",
        "--batch-timesteps": "64",
        "--data": str(data),
        "--output": str(tmp_path / "run"),
        "--steps": "100000",
    }
    arguments = [word for option in options.items() for word in option]
    process = subprocess.Popen(
        [sys.executable, "-m", "jatlab", "train", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    wait_for(lambda: read_log(tmp_path / "run"))
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode != 0 and "jatlab train --resume" in error and "Traceback" not in error
    assert newest(tmp_path / "run").name.startswith("step-")


def test_a_full_disk_leaves_the_last_checkpoint_and_says_so(recipe):
    train(replace(recipe, steps=3, output=recipe.output))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # as a full disk: writing on fails
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="step-000006|disk is full"):
            train(TrainConfig.of_run(recipe.output, steps=8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [c.name for c in checkpoints(Path(recipe.output))] == ["step-000003"]
    assert not list((Path(recipe.output) / "checkpoints").glob(".*.tmp"))
    assert told(train(TrainConfig.of_run(recipe.output, steps=8)))[-1]["step"] == 8


def test_only_json_and_safetensors_are_written(recipe):
    output = train(recipe)
    assert {path.suffix for path in output.rglob("*") if path.is_file()} == {
        ".json",
        ".jsonl",
        ".safetensors",
    }


# --- how the work is split


@pytest.mark.parametrize("task", ["metaworld-reach", "babyai-go-to-obj"])
def test_uneven_batches_add_up_to_the_loss_of_all_at_once(recipe, tmp_path, task):
    """However an epoch is cut into padded batches, the mean of loss x share is the mean over its
    timesteps, and so is its gradient.
    """
    write_task(tmp_path / "data", task, [30, 2, 17, 9, 30, 5, 1, 23, 11])
    # the observation loss has a count of its own
    model = TINY | dict(observation_loss_coef=0.0, resid_dropout=0.0)
    trainer = Trainer(
        replace(
            recipe,
            data=str(tmp_path / "data"),
            tasks=[task],
            model=model,
            past_action_dropout=0.0,
            batch_timesteps=40,
            val_fraction=0.0,
        )
    )
    (source,) = trainer.mixture.sources.values()
    windows, plans = source.windows(np.random.default_rng(0)), []
    while sum(len(plan.windows) for plan in plans) < len(windows):
        plans.append(next(trainer.mixture))
    assert (
        len(plans) > 3
        and len({plan.timesteps for plan in plans}) > 2
        and any(plan.padded > plan.timesteps for plan in plans)
    )
    together = trainer.loss(trainer.scored, source.batch(windows))
    together.backward()
    expected = {
        name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None
    }
    trainer.optimizer.zero_grad()
    parts = [
        trainer.loss(trainer.scored, plan.load()) * (plan.share / len(plans)) for plan in plans
    ]
    sum(parts).backward()
    torch.testing.assert_close(sum(parts), together, atol=1e-5, rtol=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(
            trainer.model.get_parameter(name).grad,
            gradient,
            atol=1e-5,
            rtol=1e-4,
            msg=f"{name}: {{}}".format,
        )


# --- parts


def test_validation_sees_the_weights_of_the_moment(recipe):
    """The fused optimizer writes weights behind PyTorch's back, and the model keeps a table made of
    them.
    """
    trainer = Trainer(replace(recipe, average=0.0, lr=1e-2, tasks=["babyai-go-to-obj"]))
    fresh = Trainer(replace(recipe, average=0.0, tasks=["babyai-go-to-obj"]))
    for _ in range(3):
        trainer.validate()
        plan = next(trainer.mixture)
        trainer.update([plan], [plan.load()], lr=1e-2)
    fresh.model.load_state_dict(trainer.model.state_dict())
    assert trainer.validate() == fresh.validate()


# --- bad input


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
