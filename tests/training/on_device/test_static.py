"""The static loss is the model's, in number and gradient, and asks nothing of the data."""

import pytest
import torch

from jatlab.experiments.benchmarks.cost import full_window
from jatlab.experiments.benchmarks.device import made_up
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.objectives import Objective
from jatlab.model.transformer import sequence_masks
from jatlab.training.on_device.static import causal_masks, static_loss
from tests.support.helpers import small

KINDS = ("continuous", "discrete", "image", "text", "picture")
CPU = torch.device("cpu")


def padded(batch, kind):
    """The batch with the end of its second row taken away."""
    names = ("input_ids", "discrete_actions", "continuous_actions")
    mask = torch.ones(next(batch[name] for name in names if name in batch).shape[:2])
    mask[1, mask.shape[1] // 2 :] = 0
    weight = {} if kind in ("text", "picture") else {"loss_weight": torch.full(mask.shape, 3.0)}
    return batch | {"attention_mask": mask.long()} | weight


def make_batch(config, kind, timesteps, rows):
    """Random content. A picture takes 49 positions of its own."""
    window = full_window(config, kind, timesteps + 49 * (kind == "picture"))
    batch = padded(made_up(config, window, rows, CPU), kind)
    timed = kind in ("continuous", "discrete", "image")
    return batch | ({"rewards": torch.rand(rows, timesteps)} if timed else {})


def both(config, kind, timesteps, objective=None, action_only=False):
    """(loss, gradients) of `JatModel.forward` and of `static_loss`."""
    torch.manual_seed(0)
    model = JatModel(config).train()
    model.objective = objective or model.objective
    batch = make_batch(config, kind, timesteps, 3)
    found = []
    for loss_of in (lambda: model(**batch).loss, lambda: static_loss(model, batch, action_only)):
        model.zero_grad()
        torch.manual_seed(1)  # the same frames are drawn
        loss = loss_of()
        loss.backward()
        gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        found.append((loss.item(), gradients))
    return found


def equal(found):
    (theirs, their_gradients), (ours, our_gradients) = found
    assert ours == pytest.approx(theirs, rel=1e-5)
    for name, gradient in their_gradients.items():
        torch.testing.assert_close(our_gradients[name], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preset", ["nano", "mini"])
def test_number_and_gradient_are_the_models(preset, kind):
    equal(both(JatConfig.preset(preset), kind, 9))


@pytest.mark.parametrize("kind", KINDS[:3])
def test_beyond_the_window_of_local_layers(kind):
    config = JatConfig.preset("nano", num_layers=2, attention_types=[[["global", "local"], 1]])
    config = config.replace(window_size=6, hide_past_actions=False)
    equal(both(config, kind, 9))


def test_without_any_past_action_hidden():
    equal(both(small(max_continuous_size=48, max_position_embeddings=64), "continuous", 11))


@pytest.mark.parametrize("kind", KINDS[:3])
def test_action_only_batches(kind, monkeypatch):
    monkeypatch.setattr(Objective, "draw_action_only", lambda self, config: True)
    config = JatConfig.preset("nano", window_size=8)
    equal(both(config, kind, 9, Objective(observations_predicted=0.5), action_only=True))


def test_a_share_of_the_frames():
    equal(both(JatConfig.preset("nano"), "image", 9, Objective(frames_predicted=0.25)))


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("length", [6, 10, 30])
def test_masks_are_the_models_where_there_is_no_padding(length, hidden, every):
    config = small(window_size=8)
    rows = torch.ones(1, dtype=torch.bool) if hidden else None
    whole = sequence_masks(config, length, hidden_actions=rows)
    ours = causal_masks(config, length, every, hidden)
    causal = torch.ones(len(range(0, length, every)), len(range(0, length, every))).bool().tril()
    for kind, mask in whole.items():
        found = causal if ours[kind] is None else ours[kind][0, 0]
        assert torch.equal(found, mask[0, 0, ::every, ::every]), kind


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_loss_is_one_graph(kind):
    """No question to the data: `fullgraph` would refuse it."""
    config = JatConfig.preset("nano", num_layers=2, attention_types=[[["global", "local"], 1]])
    model = JatModel(config).train()
    batch = make_batch(config, kind, 5, 2)
    torch._dynamo.reset()  # what other tests compiled counts towards a limit
    compiled = torch.compile(static_loss, backend="aot_eager", fullgraph=True, dynamic=False)
    torch.manual_seed(1)
    loss = compiled(model, batch)
    loss.backward()
    torch.manual_seed(1)
    assert loss.item() == pytest.approx(static_loss(model, batch).item(), rel=1e-5)
