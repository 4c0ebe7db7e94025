"""Training on a device alone: the usual losses, an agent that loads, and learning."""

import numpy as np
import pytest
import torch

from jatlab.agents.checkpoints import load_agent
from jatlab.data.episodes import write_episodes
from jatlab.data.windows import to_tensors
from jatlab.tasks import get_task
from jatlab.training.on_device.static import GRID_VALUES, static_loss
from jatlab.training.on_device.trainer import DeviceTrainer
from jatlab.training.recipe import TrainConfig
from tests.support.language_data import documents, write_texts
from tests.support.synthetic import make_episode, write_task

CPU = torch.device("cpu")
TASKS = ["metaworld-reach", "metaworld-door-close", "babyai-go-to-obj", "python-docs"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(TASKS[:3]):
        write_task(root, name, [30, 7, 22, 3, 18, 5], seed)
    write_texts(root, "python-docs", documents(30))
    return root


def recipe(data, output, **changes):
    model = {"hidden_size": 48, "num_layers": 2, "num_heads": 4, "image_channels": [8, 8, 8]}
    model |= {"attention_types": [[["global", "local"], 1]]}
    fields = {"windows": {"metaworld": 8, "babyai": 6}, "task_weights": {"babyai": 3.0}}
    fields |= {"observations_predicted": 0.5, "average": 0.9, "precision": "fp32", "steps": 4}
    fields |= {"batch_timesteps": 96, "accumulate": 2, "decay": "constant", "warmup": 0.0}
    return TrainConfig(data=str(data), output=str(output), model=model, **(fields | changes))


def test_its_loss_is_the_mean_of_the_usual_losses(data, tmp_path):
    trainer = DeviceTrainer(recipe(data, tmp_path), TASKS, CPU)
    windows = [s.windows[:n] for s, n in zip(trainer.sources, trainer.counts, strict=True)]
    batches = [s.batch(rows) for s, rows in zip(trainer.sources, windows, strict=True)]
    ours = trainer.total_loss(batches, action_only=False)
    expected = 0.0
    trainer.model.objective = type(trainer.model.objective)()  # the model predicts everything
    coefficient = trainer.config.objective().observation_coefficient(trainer.model.config)
    for share, source, rows in zip(trainer.shares, trainer.sources, windows, strict=True):
        if source.source.name == "python-docs":
            loss = trainer.model(**source.batch(rows)).loss
        else:
            output = trainer.model(**to_tensors(source.source.batch(rows.numpy())))
            loss = 0.995 * output.action_loss + coefficient * output.observation_loss
        expected += share * loss.item()
    assert ours.item() == pytest.approx(expected, rel=1e-5)


def test_steps_have_each_domains_share(data, tmp_path):
    trainer = DeviceTrainer(recipe(data, tmp_path), TASKS, CPU)
    # two arms of weight 1, rooms of weight 3, text of weight 1
    assert trainer.shares == pytest.approx([2 / 6, 3 / 6, 1 / 6])
    assert trainer.counts[:2] == [round(192 * 2 / 6 / 8), round(192 * 3 / 6 / 6)]


@pytest.mark.slow
def test_it_learns_and_the_agent_loads(data, tmp_path):
    trainer = DeviceTrainer(recipe(data, tmp_path, steps=40, lr=1e-2), TASKS, CPU)
    first = trainer.total_loss(trainer.draw(), False).item()
    trainer.fit()
    assert trainer.total_loss(trainer.draw(), False).item() < 0.7 * first
    agent = load_agent(tmp_path)
    assert agent.info["step"] == 40 and agent.info["timesteps"] == trainer.timesteps
    assert agent.settings.windows == {"metaworld": 8, "babyai": 6}


@pytest.mark.slow
def test_the_same_seed_makes_the_same_weights(data, tmp_path):
    def weights(seed):
        trainer = DeviceTrainer(recipe(data, tmp_path, seed=seed), TASKS, CPU)
        for _ in range(3):
            trainer.update(0.5)
        return torch.cat([p.flatten() for p in trainer.model.parameters()])

    assert torch.equal(weights(1), weights(1)) and not torch.equal(weights(1), weights(2))


def test_an_unknown_capture_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="capture is none or compile or graph, not 'magic'"):
        DeviceTrainer(recipe(data, tmp_path), TASKS, CPU, capture="magic")


def test_a_gradient_that_is_not_a_number_changes_nothing(data, tmp_path, monkeypatch):
    trainer = DeviceTrainer(recipe(data, tmp_path), TASKS, CPU)
    trainer.update(0.5)
    before = [p.clone() for p in trainer.model.parameters()]
    whole = trainer.loss_of
    monkeypatch.setattr(trainer, "loss_of", lambda *a: whole(*a) * torch.nan)
    trainer.update(0.5)
    assert all(map(torch.equal, trainer.model.parameters(), before)) and trainer.skipped == 1
    monkeypatch.undo()
    trainer.update(0.5)
    assert not all(map(torch.equal, trainer.model.parameters(), before)) and trainer.skipped == 1


@pytest.mark.slow
def test_too_many_of_them_end_the_training(data, tmp_path, monkeypatch):
    trainer = DeviceTrainer(recipe(data, tmp_path, steps=60), TASKS, CPU)
    monkeypatch.setattr(trainer, "loss_of", lambda *a: static_loss(*a) * torch.nan)
    with pytest.raises(ValueError, match="50 of 50 gradients are not numbers: lower lr"):
        trainer.fit()


def test_a_grid_with_unknown_integers_is_refused(tmp_path):
    task = get_task("babyai-go-to-obj")
    episode = make_episode(task, 5, np.random.default_rng(0))
    episode["discrete_observations"][2, 7] = GRID_VALUES
    write_episodes(tmp_path / task.name / "train" / "00000.parquet", [episode], task)
    with pytest.raises(ValueError, match="babyai-go-to-obj has 16 in its grids"):
        DeviceTrainer(recipe(tmp_path, tmp_path / "out"), ["babyai-go-to-obj"], CPU)


def test_data_that_came_later_are_read_again(data, tmp_path):
    root = tmp_path / "data"
    write_task(root, TASKS[0], [30, 7], 0)
    config = recipe(root, tmp_path / "out", task_weights={})
    trainer = DeviceTrainer(config, TASKS[:1], CPU)
    trainer.update(0.5)
    write_task(root, TASKS[1], [30, 7], 1)
    trainer.tasks = TASKS[:2]
    trainer.open_data()
    trainer.update(0.5)
    assert trainer.step == 2 and len(trainer.sources[0].parts) == 2


def test_texts_that_have_not_changed_are_kept(data, tmp_path):
    trainer = DeviceTrainer(recipe(data, tmp_path), TASKS, CPU)
    arms, texts = trainer.sources[0], trainer.sources[-1]
    trainer.open_data()
    assert trainer.sources[-1] is texts and trainer.sources[0] is not arms


def test_it_goes_on_from_an_agent(data, tmp_path):
    first = DeviceTrainer(recipe(data, tmp_path / "first", temperature=0.5), TASKS, CPU)
    first.update(0.5)
    first.save()
    config = recipe(data, tmp_path / "second", start=str(tmp_path / "first"), windows={"babyai": 4})
    second = DeviceTrainer(config, TASKS, CPU)
    kept = load_agent(tmp_path / "first").model.state_dict()
    assert all(torch.equal(kept[name], x) for name, x in second.model.state_dict().items())
    second.save()
    agent = load_agent(tmp_path / "second")
    assert agent.info["before"]["step"] == 1
    assert agent.settings.temperature == 0.5
    assert agent.settings.windows == {"metaworld": 8, "babyai": 4}
