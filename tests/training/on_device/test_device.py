"""What a GPU must do as the CPU does: acting, training, resuming, compiling, whole steps.

These tests need a CUDA device. `JATLAB_DEVICE=cpu` runs them on the processor: that is how the GPU
kit is rehearsed (`python -m scripts.gpu --rehearse`).
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from jatlab.data.mixed import MixedSource
from jatlab.data.windows import open_source
from jatlab.experiments.benchmarks.cost import full_window
from jatlab.experiments.benchmarks.device import made_up
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.memory import Memory
from jatlab.training.on_device.resident import resident
from jatlab.training.on_device.static import static_loss
from jatlab.training.trainer import TrainConfig, Trainer
from tests.support import ROOT
from tests.support.synthetic import write_task

NAME = os.environ.get("JATLAB_DEVICE", "cuda")
DEVICE = torch.device(NAME)
pytestmark = pytest.mark.skipif(
    NAME == "cuda" and not torch.cuda.is_available(),
    reason="no CUDA device here; JATLAB_DEVICE=cpu runs these tests on the processor",
)
KINDS = ("continuous", "discrete", "image", "text", "picture")
TASKS = ("metaworld-reach", "metaworld-door-close", "babyai-go-to-obj", "atari-pong")


@pytest.fixture(autouse=True)
def exact():
    """TF32 keeps ten bits of a product."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def build(preset="nano", **changes):
    torch.manual_seed(0)
    return JatModel(JatConfig.preset(preset, **changes)).to(DEVICE)


def batch_of(config, kind, timesteps=9, rows=4):
    window = full_window(config, kind, timesteps + 49 * (kind == "picture"))
    torch.manual_seed(0)
    return {name: x.to(DEVICE) for name, x in made_up(config, window, rows, DEVICE).items()}


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


# --- numbers


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_float32_losses_are_those_of_the_processor(kind):
    model = build().eval()
    batch = batch_of(model.config, kind)
    here = model(**batch).loss.item()
    there = model.cpu()(**{name: x.cpu() for name, x in batch.items()}).loss.item()
    assert here == pytest.approx(there, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_bfloat16_losses_are_near(kind):
    model = build().eval()
    batch = batch_of(model.config, kind)
    exact = model(**batch).loss.item()
    with torch.autocast(DEVICE.type, torch.bfloat16):
        assert model(**batch).loss.item() == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("policy", ["recompute", "published"])
@pytest.mark.parametrize("preset", ["nano", "mini"])
@torch.no_grad()
def test_cached_acting_equals_a_whole_pass(preset, policy):
    model, steps = build(preset).eval(), 12
    size = model.config.hidden_size
    observations, actions = torch.randn(2, 3, steps, size, device=DEVICE)
    memory, hidden = Memory(model, 3, policy), []
    for t in range(steps):
        starts = torch.full((3,), t == 0, device=DEVICE)
        hidden.append(memory.step(observations[:, t], actions[:, t - 1], starts).observation)
    tokens = model.interleave(observations, actions)
    whole, _, _ = model._run_trunk(tokens, None, False, False)
    torch.testing.assert_close(torch.stack(hidden, 1), whole[:, ::2], atol=1e-4, rtol=1e-3)


def test_checkpointed_activations_change_no_gradient():
    model = build().train()
    batch = batch_of(model.config, "continuous")
    plain = gradients(model, model(**batch).loss)
    model.trunk.checkpoint_activations = True
    for name, gradient in gradients(model, model(**batch).loss).items():
        torch.testing.assert_close(gradient, plain[name], atol=1e-5, rtol=1e-4)


# --- static shapes


@pytest.mark.parametrize("kind", KINDS)
def test_the_static_loss_is_the_models(kind):
    model = build().train()
    batch = batch_of(model.config, kind)
    if kind in KINDS[3:]:
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    theirs, ours = model(**batch).loss, static_loss(model, batch)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    expected = gradients(model, theirs)
    for name, gradient in gradients(model, static_loss(model, batch)).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-4, rtol=1e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Recordings of four made-up tasks."""
    root, lengths = tmp_path_factory.mktemp("data"), [30, 7, 30, 22, 3, 30, 11, 30, 30, 18, 30, 5]
    for seed, name in enumerate(TASKS):
        write_task(root, name, lengths[:4] if name == "atari-pong" else lengths, seed)
    return root


def test_batches_gathered_there_are_numpys(data):
    model = build()
    sources = [open_source(name, data, model.config, max_timesteps=8) for name in TASKS[:2]]
    mixed = MixedSource(sources)
    windows = mixed.windows(np.random.default_rng(0))[:32]
    there = resident(mixed, DEVICE).batch(torch.from_numpy(windows).to(DEVICE))
    for name, values in mixed.batch(windows).items():
        found = there[name][:, : values.shape[1]].cpu().numpy()
        np.testing.assert_array_equal(
            found * (name != "loss_weight"), values * (name != "loss_weight")
        )


def test_a_step_never_waits_for_the_device(data):
    """Drawing, loss and gradient under PyTorch's own watch for synchronising calls."""
    model = build().train()
    source = open_source("metaworld-reach", data, model.config, max_timesteps=8)
    batches = resident(source, DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step():
        static_loss(model, batches.draw(4), action_only=True).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    step()  # the first call makes what later ones find
    if DEVICE.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        if DEVICE.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_loss_is_the_same(kind):
    model = build(num_layers=2, attention_types=[[["global", "local"], 1]]).train()
    batch = batch_of(model.config, kind)
    if kind in KINDS[3:]:
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    backend = "inductor" if DEVICE.type == "cuda" else "aot_eager"
    compiled = torch.compile(static_loss, backend=backend, fullgraph=True, dynamic=False)
    assert compiled(model, batch).item() == pytest.approx(
        static_loss(model, batch).item(), rel=1e-3
    )


# --- training


def recipe(data, output, **changes):
    small = {"hidden_size": 48, "num_layers": 2, "num_heads": 4, "image_channels": [8, 8, 8]}
    config = TrainConfig(
        data=str(data),
        output=str(output),
        model=small | {"attention_types": [[["global", "local"], 1]]},
        steps=6,
        batch_timesteps=64,
        precision="fp32",
        device="cpu" if DEVICE.type == "cpu" else "auto",
        progress=False,
        val_every=100,
        save_every=3,
        log_every=1,
        average=0.9,
    )
    return replace(config, **changes)


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_stopped_and_resumed_it_ends_the_same(data, tmp_path):
    whole = Trainer(recipe(data, tmp_path / "whole")).fit()
    Trainer(recipe(data, tmp_path / "parts", steps=3, decay="constant", warmup=0)).fit()
    first = Trainer(recipe(data, tmp_path / "first", decay="constant", warmup=0)).fit()
    parts = TrainConfig.of_run(tmp_path / "parts", steps=6)
    resumed = Trainer(parts).fit()
    for name, value in weights(first).items():
        torch.testing.assert_close(weights(resumed)[name], value, atol=1e-6, rtol=1e-5)
    assert whole.is_dir()


def test_compiled_blocks_train_as_well(data, tmp_path):
    plain = Trainer(recipe(data, tmp_path / "plain", steps=2)).fit()
    compiled = Trainer(recipe(data, tmp_path / "compiled", steps=2, compile=True)).fit()
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(compiled)[name], value, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("sharded", [False, True], ids=["ddp", "fsdp"])
def test_one_process_of_many_trains_as_one_alone(sharded, data, tmp_path):
    """Over NCCL where there is a GPU, over gloo elsewhere."""
    alone = Trainer(recipe(data, tmp_path / "alone", steps=2)).fit()
    environment = {"ACCELERATE_USE_FSDP": str(sharded).lower(), "FSDP_VERSION": "2"}
    run = {"environment": environment, "recipe": asdict(recipe(data, tmp_path / "run", steps=2))}
    command = ["torch.distributed.run", "--standalone", "--nproc-per-node", "1", "-m"]
    result = subprocess.run(
        [sys.executable, "-m", *command, "tests.support.several_processes", json.dumps([run])],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    for name, value in weights(alone).items():
        torch.testing.assert_close(weights(tmp_path / "run")[name], value, atol=1e-4, rtol=1e-3)
