"""The counts against the truth: built models, counted operations, and tensors that are kept."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

import jatlab.model.attention as attention
from jatlab.cli import main
from jatlab.experiments.benchmarks.cost import (
    KINDS,
    attention_flops,
    computed_pairs,
    full_window,
    pairs,
    parameters,
    training_flops,
)
from jatlab.experiments.benchmarks.cost_memory import activation_bytes, block_bytes, weights_bytes
from jatlab.experiments.benchmarks.cost_report import Gato, step_flops, step_tokens
from jatlab.experiments.benchmarks.hardware import find_device, hours
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.objectives import EVERYTHING, Objective
from jatlab.model.transformer import sequence_masks

SIZES = dict(
    hidden_size=64,
    num_heads=4,
    num_layers=4,
    attention_types=[[["global", "local"], 2]],
    vocab_size=300,
    max_position_embeddings=64,
    window_size=8,
    image_size=64,
    patch_size=16,
    discrete_bottleneck=4,
    max_discrete_value=160,
    max_continuous_size=40,
    image_channels=(8, 16, 24),
)
CONFIGS = {
    "published choices": JatConfig(**SIZES),
    "ours": JatConfig(
        **SIZES,
        discrete_gates=12,
        predict_discrete_observations=True,
        discrete_decoder_size=16,
        discrete_encoder_layers=1,
        image_pool=6,
        continuous_fourier_features=True,
    ),
    "few frames drawn": JatConfig(**SIZES, image_decoder_side=5),
}
OBJECTIVES = {"few frames drawn": Objective(frames_predicted=0.4)}


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    torch.set_num_threads(1)
    model = JatModel(CONFIGS[request.param]).train()
    model.objective = OBJECTIVES.get(request.param, EVERYTHING)
    return model


def window_of(config, kind):
    return full_window(config, kind, {"image": 4}.get(kind))


def batch(config, window, size):
    """A random batch of ``size`` windows."""
    t = window.timesteps
    if window.kind == "continuous":
        observations, actions = torch.randn(size, t, 9), torch.randn(size, t, 4)
        return dict(continuous_observations=observations, continuous_actions=actions)
    if window.kind == "discrete":
        observations = torch.randint(0, 8, (size, t, config.max_discrete_value))
        actions = torch.randint(0, 7, (size, t))
        return dict(discrete_observations=observations, discrete_actions=actions)
    if window.kind == "image":
        observations, actions = torch.rand(size, t, 4, 84, 84), torch.randint(0, 7, (size, t))
        return dict(image_observations=observations, discrete_actions=actions)
    inputs = {}
    if window.patches:
        inputs["pixel_values"] = torch.rand(size, 3, config.image_size, config.image_size)
    return inputs | dict(input_ids=torch.randint(0, config.vocab_size, (size, window.text)))


def counted_flops(model, inputs):
    """FLOPs of a forward and a backward pass, counted while they run."""
    # the counter sees attention only in its plain form
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(**inputs).loss.backward()
    model.zero_grad()
    return counter.get_total_flops()


# --- parameters -----------------------------------------------------------------------------------


def test_parameters_are_those_of_the_models():
    assert sum(parameters(JatConfig.preset("paper")).values()) == 192_701_771  # the published count
    built = JatModel(JatConfig.preset("nano"))
    counts = parameters(built.config)
    assert sum(counts.values()) == sum(p.numel() for p in built.parameters())
    assert counts["trunk.blocks"] == sum(p.numel() for p in built.trunk.blocks.parameters())
    assert counts["text_embedding"] == built.text_embedding.weight.numel()


def test_counting_takes_no_memory():
    assert sum(parameters(JatConfig.preset("large")).values()) > 2e9  # 10 GB, were it built


# --- FLOPs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_flops_are_those_counted_while_a_model_trains(model, kind):
    window = window_of(model.config, kind)
    ours = 3 * training_flops(model.config, window, objective=model.objective)
    counted = counted_flops(model, batch(model.config, window, 3))
    assert ours == pytest.approx(counted, rel=0.01)


@pytest.mark.parametrize("kind", ["continuous", "discrete", "image"])
def test_flops_where_a_quarter_predicts_observations(kind):
    """The mean of what is counted with action tokens (certain) and without them (nearly so)."""
    model = JatModel(CONFIGS["ours"].replace(hide_past_actions=True)).train()
    window, counts = window_of(model.config, kind), []
    for share in (1.0, 1e-12):
        model.objective = Objective(observations_predicted=share)
        counts.append(counted_flops(model, batch(model.config, window, 3)))
    mean, quarter = (counts[0] + 3 * counts[1]) / 4, Objective(observations_predicted=0.25)
    ours = 3 * training_flops(model.config, window, objective=quarter)
    assert counts[1] < counts[0] and ours == pytest.approx(mean, rel=0.01)


@pytest.mark.parametrize("length", [1, 7, 8, 30])
def test_what_attention_sees_is_what_the_masks_show(length):
    config = CONFIGS["ours"]
    masks, a_pair = sequence_masks(config, length), 4 * config.hidden_size
    seen_globally, seen_locally = masks["global"].sum(), masks["local"].sum()
    assert pairs(length) == seen_globally and pairs(length, config.window_size) == seen_locally
    seen = 2 * a_pair * (seen_globally + seen_locally)  # two layers of each kind
    assert attention_flops(config, length, seen_only=True) == seen
    # fewer than four blocks are not worth cutting
    assert attention_flops(config, length) == 4 * a_pair * length**2


@pytest.mark.parametrize(("length", "blocks"), [(32, 4), (33, 5), (64, 8)])
def test_local_layers_compute_pairs_of_two_blocks(length, blocks):
    assert computed_pairs(length, 8) == blocks * 8 * 16
    assert computed_pairs(length) == length**2


# --- memory ---------------------------------------------------------------------------------------


def kept_bytes(model, inputs, bf16):
    """Bytes of the tensors kept for the backward pass, without inputs and weights."""
    known = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *inputs.values()]}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage  # held, so that no other takes its address
        return tensor

    low = torch.autocast("cpu", torch.bfloat16, enabled=bf16)
    with saved_tensors_hooks(pack, lambda tensor: tensor), low:
        loss = model(**inputs).loss
    assert loss.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


def kept_of_a_window(model, window, bf16=False):
    """Bytes of one more window: in the difference of two batches, fixed costs cancel."""
    few, many = (kept_bytes(model, batch(model.config, window, size), bf16) for size in (2, 6))
    return (many - few) / 4


@pytest.mark.parametrize("kind", KINDS)
def test_activations_are_the_tensors_kept(model, kind):
    window = window_of(model.config, kind)
    ours = activation_bytes(model.config, window, 4, objective=model.objective)
    assert ours == pytest.approx(kept_of_a_window(model, window), rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_activations_in_bfloat16(model, kind, monkeypatch):
    def attend_as_a_gpu_does(query, key, value, mask, dropout):
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0), None

    monkeypatch.setattr(attention, "_attend", attend_as_a_gpu_does)
    window = window_of(model.config, kind)
    ours = activation_bytes(model.config, window, 2, objective=model.objective)
    assert ours == pytest.approx(kept_of_a_window(model, window, bf16=True), rel=0.15)


def test_checkpointed_activations(model, monkeypatch):
    monkeypatch.setattr(model.trunk, "checkpoint_activations", True)
    config, window = model.config, window_of(model.config, "continuous")
    lean = activation_bytes(config, window, 4, checkpointed=True)
    one_block = max(block_bytes(config, window.tokens, 4, kind) for kind in ("global", "local"))
    # the forward pass does not hold the block that is computed again
    assert kept_of_a_window(model, window) == pytest.approx(lean - one_block, rel=0.1)


def test_weights_gradients_and_moments():
    model = torch.nn.Linear(30, 20)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(1, 30)).sum().backward()
    optimizer.step()
    found = weights_bytes(sum(p.numel() for p in model.parameters()))
    assert found["weights"] == found["gradients"] == sum(p.grad.nbytes for p in model.parameters())
    states = optimizer.state.values()
    moments = sum(state["exp_avg"].nbytes + state["exp_avg_sq"].nbytes for state in states)
    assert found["AdamW's moments"] == moments
    assert found["bfloat16 copies"] == sum(p.bfloat16().nbytes for p in model.parameters())


# --- hours and the report -------------------------------------------------------------------------


def test_hours_follow_from_peak_and_utilisation():
    device = find_device("h100sxm")
    assert hours(989e12 * 3600, device, utilisation=0.5) == pytest.approx(2)
    assert find_device("cpu").peak > 1e-4


@pytest.mark.parametrize(
    "name, found",
    [
        ("H100", "H100 SXM"),
        ("h100 sxm", "H100 SXM"),
        ("a10080", "A100 80 GB"),
        ("rtx", "RTX 4090"),
        ("l4", "L4"),
    ],
)
def test_a_device_is_found_by_how_its_name_begins(name, found):
    assert find_device(name).name == found


def test_devices_that_are_not_told_apart_are_named():
    with pytest.raises(ValueError, match="'A100' may be each of A100 40 GB, A100 80 GB: say which"):
        find_device("A100")
    for unknown in ("x", "", " ", "00", "SXM"):
        with pytest.raises(ValueError, match="unknown device '.*'; there are A100 40 GB, .*, cpu"):
            find_device(unknown)


def test_gato_is_as_published():
    gato = Gato()
    tokens = gato.steps * gato.windows * gato.context
    assert tokens == 1_000_000 * 512 * 1024
    # attention comes on top of six for each parameter and token
    assert 1 < gato.steps * gato.flops / (6 * 1.18e9 * tokens) < 1.2


def test_a_step_is_the_sum_of_its_windows():
    config = JatConfig.preset("nano")
    assert step_flops(config, 320) == pytest.approx(320 * step_flops(config, 1))
    tokens = [full_window(config, kind).tokens for kind in KINDS]
    assert min(tokens) < step_tokens(config, 1) < max(tokens)


def test_the_command(capsys):
    options = ["--steps", "1000", "--batch", "64", "--device", "T4"]
    assert main(["cost", "--preset", "nano", *options]) == 0
    told = capsys.readouterr().out
    for wanted in ("1,000 steps of 64 windows", "1,180.0 M", "192.7 M", "hours on one T4"):
        assert wanted in told
    assert "L4" not in told


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--preset", "huge"], "unknown preset 'huge'"),
        (["--steps", "0"], "steps must be positive"),
        (["--batch", "-1"], "batch must be positive"),
        (["--device", ""], "unknown device ''"),
        (["--utilisation", "35"], "utilisation is 35.0: expected a share of the peak, above 0"),
        (["--utilisation", "nan"], "utilisation is nan"),
        (["--utilisation", "inf", "--json"], "utilisation is inf"),
        (["--utilisation", "0"], "utilisation is 0.0"),
    ],
)
def test_mistakes(arguments, message, capsys):
    assert main(["cost", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_picture_needs_room_for_text():
    with pytest.raises(ValueError, match="16 patches leave no room"):
        full_window(CONFIGS["ours"], "picture", 16)
    with pytest.raises(ValueError, match="kind 'sound'"):
        full_window(CONFIGS["ours"], "sound")
