"""Training: it learns, and the work may be split in any way."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jatlab.agents.checkpoints import load_agent
from jatlab.training.log import read_log
from jatlab.training.trainer import TrainConfig, Trainer, train
from tests.support.synthetic import write_task
from tests.support.training import TINY, told

# --- learning


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_bfloat16_learns_as_well(recipe):
    output = train(replace(recipe, precision="bf16", steps=30, lr=1e-2))
    log, agent = read_log(output), load_agent(output)
    assert all(log[-1]["loss"][task] < log[3]["loss"].get(task, 20) for task in log[-1]["loss"])
    assert agent.info["precision"] == "bf16" and all(
        p.dtype == torch.float32 for p in agent.model.parameters()
    )


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize("seed", [3, 20250101120000, 2**63 - 1])
def test_dropout_has_seeds_that_torch_takes(recipe, monkeypatch, seed):
    drawn, plans = [], []
    trainer = Trainer(replace(recipe, seed=seed, steps=2))
    update = trainer.update
    monkeypatch.setattr(
        trainer, "update", lambda some, *rest, **lr: plans.extend(some) or update(some, *rest, **lr)
    )
    monkeypatch.setattr(torch, "manual_seed", drawn.append)
    trainer.fit()
    wanted = [seed * 1_000_003 + plan.number for plan in plans]
    assert [one for one in drawn if one in {w % 2**63 for w in wanted}] == [
        one % 2**63 for one in wanted
    ]
    assert seed > 3 or wanted == [3_000_009, 3_000_010]  # small seeds keep their numbers
