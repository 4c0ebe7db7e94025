"""A step of acting on packed weights gives the trunk's numbers, or leaves the trunk to compute."""

import copy
import pickle

import pytest
import torch
from torch import nn

from jatlab.model import JatModel, packed
from jatlab.model.config import JatConfig
from jatlab.model.linear import int8
from jatlab.model.linear.packing import can_block
from jatlab.model.memory import Memory
from jatlab.model.packed import PackedTrunk

ROWS, STEPS, SIZE = 3, 9, 48
CLOSE = {torch.float32: {"atol": 2e-6, "rtol": 1e-5}, torch.bfloat16: {"atol": 0.06, "rtol": 0.02}}


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def model(request):
    if not can_block(torch.zeros(1, dtype=request.param)):
        pytest.skip(f"PyTorch has no packed products in {request.param} here")
    torch.manual_seed(0)
    return JatModel(little()).to(request.param)


def little():
    return JatConfig.preset(
        "nano",
        hidden_size=SIZE,
        num_heads=4,
        num_layers=2,
        attention_types=[[["global", "local"], 1]],
        window_size=4,
    )


@pytest.fixture
def short(monkeypatch):
    """How many blocks took the short way."""
    taken, ordinary = [], packed.PackedBlock.__call__

    def call(self, *given):
        taken.append(1)
        return ordinary(self, *given)

    monkeypatch.setattr(packed.PackedBlock, "__call__", call)
    return taken


def played(model, policy="recompute", rows=ROWS, record=False, before=lambda memory, t: None):
    """The hidden states of a few steps; the last row begins again after the third."""
    model.eval()
    torch.manual_seed(1)
    memory = Memory(model, rows, policy, 5)
    found = []
    for t in range(STEPS):
        before(memory, t)
        tokens = torch.randn(2, rows, SIZE).to(model.text_embedding.weight.dtype)
        starts = torch.zeros(rows, dtype=torch.bool)
        starts[-1] = t == 3
        recall = memory.step(*tokens, starts | (t == 0), record)
        found.append(torch.stack([recall.observation, recall.action]))
    return torch.stack(found).float()


@pytest.mark.parametrize("policy", ["recompute", "published"])
@pytest.mark.parametrize("rows", [1, ROWS])
def test_the_numbers_are_the_trunks(model, short, monkeypatch, policy, rows):
    packed = played(model, policy, rows)
    assert len(short) == 2 * STEPS
    monkeypatch.setattr(PackedTrunk, "_fits", lambda *given: False)
    expected = played(model, policy, rows)
    assert len(short) == 2 * STEPS
    torch.testing.assert_close(packed, expected, **CLOSE[model.text_embedding.weight.dtype])


def test_changed_weights_count_at_once(model, short):
    def change(memory, t):
        if t == 4:
            with torch.no_grad():
                memory.model.trunk.blocks[1].mlp.up.weight.mul_(1.5)

    before, now = played(model), played(model, before=change)
    assert len(short) == 2 * (STEPS + 4)
    torch.testing.assert_close(now[:4], before[:4])
    assert not torch.allclose(now[4], before[4])
    # the last block's MLP changes no key, so from then on it is as if it had always been so
    close = CLOSE[model.text_embedding.weight.dtype]
    torch.testing.assert_close(now[4:], played(model)[4:], **close)


def test_norms_and_biases_are_not_copied(model):
    def change(memory, t):
        with torch.no_grad():
            for block in memory.model.trunk.blocks if t == 4 else ():
                block.mlp_norm.weight.mul_(2)
                block.attention.output.bias.add_(1)

    def change_and_refuse(memory, t):
        memory.trunk.as_built = False
        change(memory, t)

    same = copy.deepcopy(model)
    expected = played(same, before=change_and_refuse)
    found, close = played(model, before=change), CLOSE[model.text_embedding.weight.dtype]
    torch.testing.assert_close(found, expected, **close)


def _replace(model):
    model.trunk.blocks[0].mlp = nn.Identity()


def _override(model):
    block = model.trunk.blocks[0]
    block.mlp.forward = lambda x: 0 * x


def _subclass(model):
    class Louder(nn.LayerNorm):
        def forward(self, x):
            return 2 * super().forward(x)

    model.trunk.blocks[1].mlp_norm = Louder(SIZE).to(model.text_embedding.weight.dtype)


def _watch(model):
    model.trunk.blocks[0].register_forward_hook(lambda module, given, made: (0 * made[0], made[1]))


@pytest.mark.parametrize("change", [_replace, _override, _subclass, _watch])
def test_a_trunk_that_is_not_as_built_computes_itself(model, short, change):
    before = played(model)
    taken = len(short)
    change(model)
    after = played(model)
    assert len(short) == taken and not torch.allclose(before, after)


@pytest.mark.parametrize("change", [_replace, _override, _subclass, _watch])
def test_what_is_changed_during_play_counts_at_once(model, short, change):
    before = played(model)
    short.clear()
    after = played(model, before=lambda memory, t: change(memory.model) if t == 4 else None)
    assert len(short) == 2 * 4
    torch.testing.assert_close(after[:4], before[:4])
    assert not torch.allclose(after[4], before[4])


def test_a_hook_of_all_modules_is_called(model, short):
    seen = []
    hook = nn.modules.module.register_module_forward_hook(lambda one, *_: seen.append(type(one)))
    played(model)
    hook.remove()
    assert not short and nn.LayerNorm in seen


def test_a_hook_set_during_play_is_called(model):
    seen = []

    def watch(memory, t):
        if t == 5:
            layer = memory.model.trunk.blocks[1].attention.output
            layer.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape))

    played(model, before=watch)
    assert seen.count((ROWS, 2, SIZE)) == STEPS - 5


def test_what_is_long_or_trains_goes_the_ordinary_way(model, short):
    memory = Memory(model.eval(), 1, context=5)
    long = torch.zeros(1, 4, SIZE, dtype=model.text_embedding.weight.dtype)
    places = torch.arange(4)[None]
    memory.cache.reserve(places)
    with torch.no_grad():
        memory.trunk(long, memory._masks(places), places, memory.cache)
        assert not short
        memory.cache.reserve(places[:, :2])
        given = long[:, :2], memory._masks(places[:, :2]), places[:, :2], memory.cache
        memory.trunk(*given)
        assert len(short) == 2
        model.train()
        memory.trunk(*given)
    model.eval()
    memory.trunk(*given)  # with gradients
    assert len(short) == 2


def test_what_is_recorded_is_the_trunks(model, short, monkeypatch):
    def recorded(memory, t):
        step = memory.step
        memory.step = lambda *given: kept.append(step(*given)) or kept[-1]

    def weights():
        kept.clear()
        played(model, record=True, before=lambda memory, t: t or recorded(memory, t))
        return [torch.stack([*one.attentions, *one.action_attentions]).float() for one in kept]

    kept = []
    found = weights()
    assert len(short) == 2 * STEPS == 2 * len(found)
    monkeypatch.setattr(PackedTrunk, "_fits", lambda *given: False)
    for one, expected in zip(found, weights(), strict=True):
        torch.testing.assert_close(one, expected, **CLOSE[model.text_embedding.weight.dtype])


@pytest.mark.skipif(not int8._has_products(), reason="no products of 8 bits here")
@pytest.mark.parametrize("rows", [1, ROWS])
def test_int8_weights_go_the_short_way_too(short, monkeypatch, rows):
    torch.manual_seed(0)
    model = JatModel(little())
    int8.to_int8(model)
    found = played(model, rows=rows)
    assert len(short) == 2 * STEPS
    monkeypatch.setattr(PackedTrunk, "_fits", lambda *given: False)
    torch.testing.assert_close(found, played(model, rows=rows), atol=1e-5, rtol=1e-5)


# --- the copies


def _other_parameter(layer):
    layer.weight = nn.Parameter(layer.weight + 0.1)


CHANGES = {
    "in place": lambda layer: layer.weight.mul_(2),
    "a row": lambda layer: layer.weight[3].zero_(),
    "loaded": lambda layer: layer.load_state_dict(
        {name: value + 1 for name, value in layer.state_dict().items()}
    ),
    "other memory": lambda layer: setattr(layer.weight, "data", layer.weight.data + 1),
    "another parameter": _other_parameter,
    "a bias": lambda layer: layer.bias.add_(1),
}


@pytest.mark.parametrize("change", CHANGES)
@torch.no_grad()
def test_every_change_counts_at_once(model, monkeypatch, change):
    def change_it(memory, t):
        if t == 4:
            CHANGES[change](memory.model.trunk.blocks[0].attention.output)

    other = copy.deepcopy(model)
    before, now = played(copy.deepcopy(model)), played(model, before=change_it)
    assert not torch.allclose(now[4], before[4])
    monkeypatch.setattr(PackedTrunk, "_fits", lambda *given: False)
    close = CLOSE[model.text_embedding.weight.dtype]
    torch.testing.assert_close(now, played(other, before=change_it), **close)


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_of_training_counts_at_once(model, monkeypatch, fused):
    """A fused one changes the weights without raising their version."""

    def train(memory, t):
        if t == 4:
            model = memory.model
            optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=fused)
            with torch.enable_grad():
                model(input_ids=torch.arange(6)[None]).loss.backward()
            optimizer.step()

    model.float()
    other = copy.deepcopy(model)
    found = played(model, before=train)
    monkeypatch.setattr(PackedTrunk, "_fits", lambda *given: False)
    torch.testing.assert_close(found, played(other, before=train), atol=1e-4, rtol=1e-4)


def test_an_uncounted_change_counts_from_the_next_reset_on(model, monkeypatch):
    before = played(model)
    model.trunk.blocks[1].mlp.up.weight.data[3, 5] += 1.0
    after = played(model)
    assert not torch.allclose(before, after)
    monkeypatch.setattr(PackedTrunk, "_fits", lambda *given: False)
    torch.testing.assert_close(after, played(model), **CLOSE[model.text_embedding.weight.dtype])


def test_copies_are_made_once_for_few_and_once_for_many_rows(model, short):
    one, many = Memory(model, 1), Memory(model, ROWS)
    assert Memory(model, 1).trunk.copies is one.trunk.copies
    assert Memory(model, ROWS).trunk.copies is many.trunk.copies
    played(model, rows=1), played(model, rows=ROWS)
    assert len(short) == 4 * STEPS


def test_a_trunk_is_copied_and_sent_without_its_copies(model):
    Memory(model, 1)
    assert model.trunk.copies
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.trunk.copies == {}
        assert torch.equal(again.trunk.blocks[0].mlp.up.weight, model.trunk.blocks[0].mlp.up.weight)
    assert model.trunk.copies


def test_training_throws_the_copies_away(model):
    Memory(model, 1)
    model(input_ids=torch.arange(6)[None])
    assert not model.trunk.copies


def test_where_nothing_can_be_packed_the_trunk_computes(model, short, monkeypatch):
    expected = played(model)
    short.clear()
    monkeypatch.setattr(packed, "packing", lambda *given: None)
    model.trunk.copies = {}
    torch.testing.assert_close(played(model), expected, **CLOSE[model.text_embedding.weight.dtype])
    assert not short
