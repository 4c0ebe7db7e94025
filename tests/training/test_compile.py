"""Training goes on where torch.compile fails; checkpointed activations change only memory."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from jatlab.agents.checkpoints import load_agent
from jatlab.model import JatModel, Objective
from jatlab.training.compile import compile_blocks, is_compiled
from jatlab.training.log import read_log
from jatlab.training.trainer import TrainConfig, Trainer, train
from tests.support.helpers import small
from tests.support.synthetic import write_task
from tests.support.training import TINY

compile = torch.compile


@pytest.fixture
def recipe(tmp_path):
    torch.set_num_threads(1)
    lengths = np.random.default_rng(0).integers(2, 31, 12).tolist()
    write_task(tmp_path / "data", "metaworld-reach", lengths)
    return TrainConfig(
        data=str(tmp_path / "data"),
        output=str(tmp_path / "run"),
        model=TINY,
        past_action_dropout=0.5,
        steps=4,
        batch_timesteps=64,
        precision="fp32",
        device="cpu",
        progress=False,
        log_every=1,
    )


def losses(output):
    return [line["loss"]["metaworld-reach"] for line in read_log(output)]


def no_compiler(graph, inputs):
    raise RuntimeError("no C++ compiler was found\nand more that nobody reads")


@pytest.mark.slow
def test_without_a_compiler_training_says_so_and_goes_on(recipe, tmp_path, monkeypatch, capsys):
    plain = train(replace(recipe, output=str(tmp_path / "plain")))
    monkeypatch.setattr(torch, "compile", partial(compile, backend=no_compiler))
    fallen_back = train(replace(recipe, compile=True))
    said = capsys.readouterr().out
    assert said.count("torch.compile does not work here; training goes on without it") == 1
    assert "no C++ compiler was found" in said and "nobody" not in said
    assert losses(fallen_back) == losses(plain)
    assert load_agent(fallen_back).info["compiled"] is False


@pytest.mark.slow
def test_a_compiler_that_fails_later_does_not_end_the_run(recipe, tmp_path, monkeypatch, capsys):
    calls = []

    def fails_later(graph, inputs):
        calls.append(1)
        return graph.forward if len(calls) <= 2 else no_compiler(graph, inputs)

    plain = train(replace(recipe, output=str(tmp_path / "plain")))
    monkeypatch.setattr(torch, "compile", partial(compile, backend=fails_later))
    torch.compiler.reset()
    trainer = Trainer(replace(recipe, compile=True))
    assert is_compiled(trainer.model)
    torch.compiler.reset()  # so that the next batch is compiled anew
    output = trainer.fit()
    assert "goes on without it" in capsys.readouterr().out and not is_compiled(trainer.model)
    assert losses(output) == pytest.approx(losses(plain), abs=1e-5)


@pytest.mark.slow
def test_a_compiled_model_trains_and_saves_the_same(recipe, tmp_path, monkeypatch):
    plain = train(replace(recipe, output=str(tmp_path / "plain")))
    monkeypatch.setattr(torch, "compile", partial(compile, backend="eager"))
    torch.compiler.reset()
    compiled = train(replace(recipe, compile=True))
    assert losses(compiled) == pytest.approx(losses(plain), abs=1e-5)
    ours, theirs = load_agent(compiled), load_agent(plain)
    assert ours.info["compiled"] is True
    assert ours.model.state_dict().keys() == theirs.model.state_dict().keys()


@pytest.mark.slow
def test_with_the_real_compiler(monkeypatch, tmp_path):
    # a folder of this test's, without another run's half-written files
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model, said = JatModel(small()).eval(), []
    plain = model(**batch(model.config)).loss
    worked = compile_blocks(model, torch.device("cpu"), False, said.append)
    assert worked == is_compiled(model) and worked == (not said), said
    torch.testing.assert_close(model(**batch(model.config)).loss, plain, atol=1e-5, rtol=1e-5)


# --- activation checkpointing ---------------------------------------------------------------------


def batch(config, timesteps=16):
    generator = torch.Generator().manual_seed(0)

    def randn(*shape):
        return torch.randn(3, timesteps, *shape, generator=generator)

    mask = torch.ones(3, timesteps, dtype=torch.long)
    mask[1, 5:] = 0
    return dict(
        continuous_observations=randn(5),
        continuous_actions=randn(2),
        rewards=randn(),
        attention_mask=mask,
    )


def scored(model, checkpointed):
    """Loss, gradients and bytes kept for the backward pass."""
    model.trunk.checkpoint_activations = checkpointed
    kept = {}
    torch.manual_seed(3)

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(**batch(model.config)).loss
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return loss.detach(), gradients, sum(kept.values())


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_checkpointed_activations_train_the_same_in_less_memory(dropout):
    layers = dict(num_layers=6, attention_types=[[["global", "local"], 3]])
    config = small(resid_dropout=dropout, attention_dropout=dropout, **layers)
    model = JatModel(config).train()
    model.objective = Objective(past_action_dropout=0.5)
    loss, gradients, kept = scored(model, False)
    lean_loss, lean_gradients, lean_kept = scored(model, True)
    torch.testing.assert_close(lean_loss, loss, atol=1e-6, rtol=0)
    assert gradients.keys() == lean_gradients.keys() and len(gradients) > 60
    for name, gradient in gradients.items():
        torch.testing.assert_close(lean_gradients[name], gradient, atol=1e-6, rtol=1e-6)
    assert lean_kept < 0.6 * kept


def test_acting_and_recording_know_nothing_of_it():
    model = JatModel(small()).train()
    model.trunk.checkpoint_activations = True
    output = model(**batch(model.config), output_attentions=True)
    assert len(output.attentions) == 2
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(**batch(model.config)).loss, output.loss.detach())


def test_checkpointing_is_part_of_the_recipe(recipe):
    trainer = Trainer(replace(recipe, checkpoint_activations=True))
    assert trainer.model.trunk.checkpoint_activations
