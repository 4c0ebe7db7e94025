"""The calculator against counted truth: built models, operations counted while they run, tensors
that are kept.
"""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import jatlab.model.attention as attention
from jatlab.cli import main
from jatlab.experiments.benchmarks.cost import (
    KINDS,
    activation_bytes,
    attention_flops,
    full_window,
    pairs,
    parameters,
    training_flops,
    weights_bytes,
)
from jatlab.experiments.benchmarks.cost_report import (
    Gato,
    find_device,
    hours,
    step_flops,
    step_tokens,
)
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.objectives import EVERYTHING, Objective
from jatlab.model.transformer import sequence_masks

SIZES = dict(
    hidden_size=64, num_heads=4, num_layers=4, attention_types=[[["global", "local"], 2]], vocab_size=300, max_position_embeddings=64, window_size=8,
    image_size=64, patch_size=16, discrete_bottleneck=4, max_discrete_value=160, max_continuous_size=40, image_channels=(8, 16, 24),
)  # fmt: skip
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
    t = window.timesteps
    if window.kind == "continuous":
        return dict(
            continuous_observations=torch.randn(size, t, 9),
            continuous_actions=torch.randn(size, t, 4),
        )
    if window.kind in ("discrete", "image"):
        seen = (
            torch.randint(0, 8, (size, t, config.max_discrete_value))
            if window.kind == "discrete"
            else torch.rand(size, t, 4, 84, 84)
        )
        return {
            f"{window.kind}_observations": seen,
            "discrete_actions": torch.randint(0, 7, (size, t)),
        }
    picture = (
        dict(pixel_values=torch.rand(size, 3, config.image_size, config.image_size))
        if window.patches
        else {}
    )
    return picture | dict(input_ids=torch.randint(0, config.vocab_size, (size, window.text)))


# --- parameters
# --------------------------------------------------------------------------------------------------------------


def test_parameters_are_those_of_the_models():
    assert sum(parameters(JatConfig.preset("paper")).values()) == 192_701_771  # the published count
    built = JatModel(JatConfig.preset("nano"))
    counts = parameters(built.config)
    assert sum(counts.values()) == sum(p.numel() for p in built.parameters())
    assert counts["trunk.blocks"] == sum(p.numel() for p in built.trunk.blocks.parameters())
    assert counts["text_embedding"] == built.text_embedding.weight.numel()


def test_counting_takes_no_memory():
    assert sum(parameters(JatConfig.preset("large")).values()) > 2e9  # 10 GB, were it built


# --- FLOPs
# -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_flops_are_those_counted_while_a_model_trains(model, kind):
    window = window_of(model.config, kind)
    with (
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):  # the counter knows attention only when spelled out
        model(**batch(model.config, window, 3)).loss.backward()
    model.zero_grad()
    assert 3 * training_flops(model.config, window, objective=model.objective) == pytest.approx(
        counter.get_total_flops(), rel=0.01
    )


@pytest.mark.parametrize("kind", ["continuous", "discrete", "image"])
def test_flops_where_a_quarter_of_the_batches_predicts_observations(kind):
    """The mean of what is counted with action tokens and without, each made certain."""
    counts = []
    for share in (1.0, 1e-12):
        model = JatModel(CONFIGS["ours"].replace(hide_past_actions=True)).train()
        model.objective = Objective(observations_predicted=share)
        config, window = model.config, window_of(model.config, kind)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(**batch(config, window, 3)).loss.backward()
        counts.append(counter.get_total_flops())
    mean = (counts[0] + 3 * counts[1]) / 4
    assert counts[1] < counts[0] and 3 * training_flops(
        config, window, objective=Objective(observations_predicted=0.25)
    ) == pytest.approx(mean, rel=0.01)


@pytest.mark.parametrize("length", [1, 7, 8, 30])
def test_what_attention_sees_is_what_the_masks_show(length):
    config = CONFIGS["ours"]
    masks = sequence_masks(config, length)
    assert (pairs(length), pairs(length, config.window_size)) == (
        masks["global"].sum(),
        masks["local"].sum(),
    )
    assert attention_flops(config, length, seen_only=True) == 2 * 4 * config.hidden_size * (
        masks["global"].sum() + masks["local"].sum()
    )
    assert attention_flops(config, length) == 4 * 4 * config.hidden_size * length**2


# --- memory
# ------------------------------------------------------------------------------------------------------------------


def kept_bytes(model, inputs, bf16):
    """Bytes of the tensors kept for the backward pass, each counted once, inputs and weights left
    out.
    """
    known = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *inputs.values()]}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage  # held, so that no other takes its address
        return tensor

    with (
        saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=bf16),
    ):
        loss = model(**inputs).loss
    assert loss.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


def kept_of_a_window(model, window, bf16=False):
    """What one more window costs: the difference of two batches, in which casts of weights and
    other fixed costs cancel.
    """
    few, many = (kept_bytes(model, batch(model.config, window, size), bf16) for size in (2, 6))
    return (many - few) / 4


@pytest.mark.parametrize("kind", KINDS)
def test_activations_are_the_tensors_kept(model, kind):
    window = window_of(model.config, kind)
    assert activation_bytes(model.config, window, 4, objective=model.objective) == pytest.approx(
        kept_of_a_window(model, window), rel=0.1
    )


@pytest.mark.parametrize("kind", KINDS)
def test_activations_in_bfloat16(model, kind, monkeypatch):
    def attend_as_a_gpu_does(query, key, value, mask, dropout):
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=1.0
        ), None

    monkeypatch.setattr(attention, "_attend", attend_as_a_gpu_does)
    window = window_of(model.config, kind)
    assert activation_bytes(model.config, window, 2, objective=model.objective) == pytest.approx(
        kept_of_a_window(model, window, bf16=True), rel=0.15
    )


def test_checkpointed_activations(model, monkeypatch):
    monkeypatch.setattr(model.trunk, "checkpoint_activations", True)
    window = window_of(model.config, "continuous")
    one_block = activation_bytes(model.config, window, 4) - activation_bytes(
        model.config, window, 4, checkpointed=True
    )
    one_block = (
        one_block + model.config.num_layers * 4 * model.config.hidden_size * window.tokens
    ) / (model.config.num_layers - 1)
    # while the forward pass lasts
    expected = activation_bytes(model.config, window, 4, checkpointed=True) - one_block
    assert kept_of_a_window(model, window) == pytest.approx(expected, rel=0.1)


def test_weights_gradients_and_moments():
    model = torch.nn.Linear(30, 20)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(1, 30)).sum().backward()
    optimizer.step()
    found = weights_bytes(sum(p.numel() for p in model.parameters()))
    assert found["weights"] == found["gradients"] == sum(p.grad.nbytes for p in model.parameters())
    assert found["AdamW's moments"] == sum(
        state[m].nbytes for state in optimizer.state.values() for m in ("exp_avg", "exp_avg_sq")
    )
    assert found["bfloat16 copies"] == sum(p.bfloat16().nbytes for p in model.parameters())


# --- hours and the report
# ----------------------------------------------------------------------------------------------------


def test_hours_follow_from_peak_and_utilisation():
    device = find_device("h100sxm")
    assert hours(989e12 * 3600, device, utilisation=0.5) == pytest.approx(2)
    assert find_device("A100").name == "A100 40 GB" and find_device("cpu").peak > 1e-4


def test_gato_is_as_published():
    gato = Gato()
    tokens = gato.steps * gato.windows * gato.context
    assert tokens == 1_000_000 * 512 * 1024
    assert (
        1 < gato.steps * gato.flops / (6 * 1.18e9 * tokens) < 1.2
    )  # attention on top of six a parameter and token


def test_a_step_is_the_sum_of_its_windows():
    config = JatConfig.preset("nano")
    assert step_flops(config, 320) == pytest.approx(320 * step_flops(config, 1))
    few, most = (
        choose(full_window(config, kind).tokens for kind in KINDS) for choose in (min, max)
    )
    assert few < step_tokens(config, 1) < most


def test_the_command(capsys):
    assert (
        main(["cost", "--preset", "nano", "--steps", "1000", "--batch", "64", "--device", "T4"])
        == 0
    )
    told = capsys.readouterr().out
    assert (
        "1,000 steps of 64 windows" in told
        and "1,180.0 M" in told
        and "192.7 M" in told
        and "hours on one T4" in told
        and "L4" not in told
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--preset", "huge"], "unknown preset 'huge'"),
        (["--steps", "0"], "steps must be positive"),
        (["--batch", "-1"], "batch must be positive"),
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
