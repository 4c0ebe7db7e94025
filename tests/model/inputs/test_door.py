"""The model's door: whatever comes in, the outcome is a right number or a sentence of ours."""

from __future__ import annotations

import math
import re
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jatlab.model import JatModel
from jatlab.model.checkpoint.names import official_name
from jatlab.model.inputs.door import Door
from jatlab.model.memory import Memory
from tests.support import plain
from tests.support.fuzzing import COUNTS, fuzz
from tests.support.helpers import small

# --- batches, and what spoils an argument


@cache
def model(grids: bool = False) -> JatModel:
    """A small model; with ``grids`` it predicts the next grid, whose integers are then 0 to 7."""
    torch.manual_seed(0)
    changes = {"max_discrete_value": 152, "predict_discrete_observations": True} if grids else {}
    return JatModel(small(**changes)).eval()


@cache
def published_weights() -> dict[str, torch.Tensor]:
    """The weights of `model()` under the authors' names."""
    return {official_name(name): weight.data for name, weight in model().named_parameters()}


def batch(kind: str, random: np.random.Generator, grids: bool) -> dict[str, torch.Tensor]:
    """A batch that the model can read, with some of the arguments that may be left out."""
    b, t, config = int(random.integers(1, 4)), int(random.integers(1, 6)), model(grids).config
    numbers = torch.Generator().manual_seed(int(random.integers(2**31)))

    def real(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=numbers)

    def whole(most: int, *shape: int) -> torch.Tensor:
        return torch.randint(0, most, shape, generator=numbers)

    mask = (torch.arange(t) < torch.randint(1, t + 1, (b, 1), generator=numbers)).long()
    optional = {"attention_mask": mask}
    if kind in ("text", "picture"):
        side = config.image_size
        inputs = {"input_ids": whole(config.vocab_size, b, t)}
        if kind == "picture":
            inputs["pixel_values"] = real(b, 3, side, side)
    else:
        n, m = int(random.integers(1, config.max_continuous_size)), int(random.integers(1, 5))
        k = config.max_discrete_value
        inputs = {
            "vector": lambda: {"continuous_observations": real(b, t, n)},
            "grid": lambda: {"discrete_observations": whole(8, b, t, k)},
            "frames": lambda: {"image_observations": real(b, t, 4, 84, 84).tanh()},
        }[kind]()
        continuous = bool(random.integers(2))
        inputs |= (
            {"continuous_actions": real(b, t, m)}
            if continuous
            else {"discrete_actions": whole(config.vocab_size, b, t)}
        )
        optional |= {"rewards": real(b, t), "loss_weight": real(b, t).abs()}
        if kind == "vector" and continuous:
            sizes = [whole(size, b) + 1 for size in (n, m)]
            optional["continuous_sizes"] = torch.stack(sizes, dim=1)
    return inputs | {name: value for name, value in optional.items() if random.integers(2)}


def another_dtype(name: str, x: torch.Tensor) -> torch.Tensor:
    """A type that is not the argument's."""
    whole = name in ("input_ids", "continuous_sizes") or name.startswith("discrete")
    return x.float() + 0.5 if whole else x.to(torch.complex64)


def out_of_range(name: str, x: torch.Tensor) -> torch.Tensor:
    """One value that the argument cannot have."""
    x = x.clone()
    wrong = {"attention_mask": 2, "loss_weight": -0.1, "image_observations": 1.5}
    x.view(-1)[x.numel() // 2] = wrong.get(name, -1_000_000_000_000)
    return x


def not_a_number(name: str, x: torch.Tensor) -> torch.Tensor:
    """NaN, in a type that can hold it."""
    x = x.float().clone()
    x.view(-1)[-1] = torch.nan
    return x


SPOILS = {
    "array": lambda name, x: x.numpy(),
    "list": lambda name, x: x.tolist(),
    "number": lambda name, x: 1.0,
    "string": lambda name, x: "left",
    "one dimension fewer": lambda name, x: x[0],
    "one dimension more": lambda name, x: x[None],
    "another batch": lambda name, x: torch.cat([x, x]),
    "one row": lambda name, x: x[:1] if len(x) > 1 else torch.cat([x, x]),
    "longer": lambda name, x: torch.cat([x, x], dim=1),
    "shorter": lambda name, x: x[:, :-1],
    "nothing": lambda name, x: x[:0],
    "too long": lambda name, x: x.repeat(1, 40, *[1] * (x.ndim - 2)),
    "too wide": lambda name, x: x.repeat(*[1] * (x.ndim - 1), 40),
    "dtype": another_dtype,
    "range": out_of_range,
    "NaN": not_a_number,
    "sparse": lambda name, x: x.to_sparse(),
    "meta": lambda name, x: x.to("meta"),
}


# the message may name the other of two arguments that disagree
DISAGREE = ("another batch", "one row", "longer", "shorter", "too long", "one dimension fewer")


def as_plain(inputs: dict[str, torch.Tensor]) -> float | None:
    """The loss of a plain computation; None where it does not know the case."""
    first = next(iter(inputs.values()))
    mask = inputs.get("attention_mask", torch.ones(first.shape[:2]))
    if "continuous_sizes" in inputs or mask[:, 1:].sum() == 0:
        return None
    if not {"input_ids", "rewards"} & set(inputs):
        inputs = inputs | {"rewards": torch.zeros(first.shape[:2])}
    return plain.run(published_weights(), model().config.to_dict(), **inputs)["loss"].item()


def harmless(spoil: str, name: str, inputs: dict[str, torch.Tensor]) -> bool:
    """Whether an argument that was spoilt so is still one that the model can read."""
    if name != "input_ids" or "attention_mask" in inputs:
        return False  # another argument has the same letters
    if "pixel_values" in inputs:  # before a picture a text may have any length, even 0
        return spoil in ("longer", "shorter")
    shorter = spoil == "shorter" and inputs[name].shape[1] > 1
    return shorter or spoil in ("another batch", "one row", "longer")


def outcome(grids: bool, inputs: dict[str, object], train: bool = False) -> float | str:
    """The loss, else the message of a `ValueError`."""
    network = model(grids).train(train)
    try:
        with torch.no_grad():
            output = network(**inputs)
    except ValueError as error:
        COUNTS["model", "refused"] += 1
        return str(error)
    finally:
        network.eval()
    COUNTS["model", "right"] += 1
    return output.loss.item()


@fuzz(200)
@given(
    kind=st.sampled_from(["vector", "grid", "text", "picture", "vector", "grid", "frames"]),
    spoilt=st.integers(0, 9).map(lambda number: number < 6),
    spoil=st.sampled_from(sorted(SPOILS)),
    seed=st.integers(0, 2**32 - 1),
    grids=st.booleans(),
)
def test_an_outcome_is_a_number_or_a_sentence(kind, spoilt, spoil, seed, grids):
    random = np.random.default_rng(seed)
    inputs = batch(kind, random, grids)
    name = sorted(inputs)[int(random.integers(len(inputs)))]
    if not spoilt or harmless(spoil, name, inputs):
        inputs |= {name: SPOILS[spoil](name, inputs[name])} if spoilt else {}
        loss = outcome(grids, inputs, train=bool(seed % 2))
        assert math.isfinite(loss)
        expected = None if grids else as_plain(inputs)
        assert expected is None or loss == pytest.approx(expected, rel=1e-4, abs=1e-5)
        return
    message = outcome(grids, inputs | {name: SPOILS[spoil](name, inputs[name])})
    assert isinstance(message, str), f"{name} was spoilt ({spoil}) and accepted"
    # of two arguments that disagree either may be the wrong one
    named = [other for other in inputs if other in message]
    assert name in named or (spoil in DISAGREE and named), message
    assert "\n" not in message and len(message) < 400, message
    assert not re.search("internal|Expected all|izes of tensors|must match", message), message


# --- what was wrong in silence


TWO = dict(continuous_observations=torch.zeros(3, 4, 2), discrete_actions=torch.zeros(3, 4).long())
FRAMES = dict(
    image_observations=torch.rand(1, 2, 4, 84, 84), discrete_actions=torch.zeros(1, 2).long()
)
WORDS = dict(input_ids=torch.zeros(2, 5).long())


@pytest.mark.parametrize(
    "inputs, message",
    [
        (
            TWO | {"attention_mask": torch.ones(1, 4)},
            r"attention_mask has shape \(1, 4\), expected \(B, T\) with B = 3 as in "
            "continuous_observations",
        ),
        (
            FRAMES | {"image_observations": FRAMES["image_observations"] * 255},
            r"image_observations holds 25\d.*, expected floats in \[-1, 1\]: frames / 127.5 - 1",
        ),
        (
            FRAMES | {"image_observations": torch.zeros(1, 2, 4, 84, 84, dtype=torch.uint8)},
            r"image_observations has dtype torch.uint8, expected floats in \[-1, 1\]",
        ),
        (TWO | {"loss_weight": torch.full((3, 4), -1.0)}, "loss_weight holds -1, .* from 0 to"),
        (TWO | {"attention_mask": torch.full((3, 4), 0.5)}, "attention_mask holds 0.5, expected 1"),
        (TWO | {"rewards": torch.full((3, 4), torch.nan)}, "rewards holds nan, expected finite"),
        (TWO | {"rewards": np.zeros((3, 4))}, "rewards is a numpy.ndarray.*torch.from_numpy"),
        (
            TWO | {"continuous_sizes": torch.zeros(3, 2).long()},
            "continuous_sizes holds 0, expected",
        ),
        (TWO | WORDS, "continuous_observations was given beside input_ids or pixel_values"),
        (WORDS | {"input_ids": torch.full((2, 5), 40)}, "input_ids holds 40, .* from 0 to 39"),
        (
            {"pixel_values": torch.rand(1, 3, 16, 16) * 255},
            "pixel_values holds .*, expected normalised pictures",
        ),
    ],
)
def test_what_was_read_in_silence_is_refused(inputs, message):
    with pytest.raises(ValueError, match=message):
        model()(**inputs)


def test_the_trainer_may_skip_the_check():
    network = JatModel(small())
    network.check_inputs = False
    wrong = TWO | {"rewards": torch.full((3, 4), torch.nan)}
    assert network(**wrong).loss.isnan()


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32])
@torch.no_grad()
def test_every_integer_is_an_integer(dtype):
    actions = torch.arange(12).view(3, 4)
    right = model()(**TWO | {"discrete_actions": actions}).loss
    mask = torch.ones(3, 4, dtype=torch.bool)
    narrow = {"discrete_actions": actions.to(dtype), "attention_mask": mask}
    torch.testing.assert_close(model()(**TWO | narrow).loss, right)
    words = torch.arange(10).view(2, 5)
    right, narrow = (model()(input_ids=x).loss for x in (words, words.to(dtype)))
    torch.testing.assert_close(narrow, right)


@torch.no_grad()
def test_a_grid_need_only_be_predictable_where_there_is_a_loss():
    lava = dict(
        discrete_observations=torch.full((1, 2, 152), 9),
        discrete_actions=torch.zeros(1, 2).long(),
    )
    with pytest.raises(ValueError, match="discrete_observations holds 9, expected .* from 0 to 7"):
        model(True)(**lava)
    assert model(True)(**lava, return_loss=False).pred_actions.isfinite().all()
    assert model(False)(**lava | {"discrete_observations": torch.full((1, 2, 6), 9)}).loss > 0


@torch.no_grad()
def test_a_reward_beside_whole_observations_keeps_its_fraction():
    whole = torch.ones(1, 2, 3).long()
    rewards = torch.full((1, 2), 0.5)
    inputs = dict(discrete_actions=torch.zeros(1, 2).long(), rewards=rewards)
    losses = [model()(continuous_observations=x, **inputs).loss for x in (whole, whole.float())]
    torch.testing.assert_close(*losses)


@torch.no_grad()
def test_pictures_alone_and_one_token_have_no_loss():
    for inputs in (
        {"pixel_values": torch.zeros(2, 3, 16, 16)},
        {"input_ids": torch.zeros(2, 1).long()},
    ):
        assert model()(**inputs).loss == 0


# --- the other doors of the model


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ("vectors", torch.zeros(1, 1, 2), torch.zeros(1, 1)),
            "name is 'vectors', expected one of",
        ),
        (("continuous_observations", torch.zeros(1, 2), torch.zeros(1, 1)), "expected .B, T, n"),
        (("continuous_observations", torch.zeros(1, 1, 2), torch.zeros(1)), "rewards has shape"),
        (("continuous_observations", torch.zeros(1, 1, 2), None), "rewards is a NoneType"),
        (("continuous_observations", np.zeros((1, 1, 2)), torch.zeros(1, 1)), "torch.from_numpy"),
        (("discrete_observations", torch.full((1, 1, 6), 99), torch.zeros(1, 1)), "holds 99"),
        (
            ("continuous_observations", torch.zeros(1, 1, 2), torch.zeros(1, 1), torch.tensor([3])),
            "sizes holds 3, expected from 1 to 2",
        ),
    ],
)
def test_wrong_observations_are_not_embedded(arguments, message):
    with pytest.raises(ValueError, match=message):
        model().embed_observations(*arguments)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("discrete_action", torch.zeros(1, 1).long()), "name is 'discrete_action'"),
        (("discrete_actions", torch.zeros(1, 1)), "has dtype torch.float32, expected integers"),
        (("discrete_actions", torch.tensor([[-1]])), "discrete_actions holds -1"),
        (("continuous_actions", torch.zeros(1, 1, 9)), "larger than max_continuous_size 8"),
    ],
)
def test_wrong_actions_are_not_embedded(arguments, message):
    with pytest.raises(ValueError, match=message):
        model().embed_actions(*arguments)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"observation": torch.zeros(1, 32)}, r"observation has shape \(1, 32\), expected \(2, 32"),
        ({"last_action": torch.full((2, 32), torch.nan)}, "last_action holds nan"),
        ({"observation": np.zeros((2, 32))}, "observation is a numpy.ndarray"),
        ({"starts": torch.ones(2)}, "starts has dtype torch.float32, expected booleans"),
        ({"starts": torch.ones(1, dtype=torch.bool)}, r"starts has shape \(1,\), expected \(2,\)"),
    ],
)
def test_a_memory_refuses_what_it_cannot_keep(changed, message):
    good = {name: torch.zeros(2, 32) for name in ("observation", "last_action")}
    good["starts"] = torch.ones(2, dtype=torch.bool)
    memory = Memory(model(), 2)
    with pytest.raises(ValueError, match=message):
        memory.step(**good | changed)
    memory.step(**good)


@pytest.mark.parametrize("batch", [0, -1, 1.5, "two"])
def test_a_memory_is_of_at_least_one_episode(batch):
    with pytest.raises(ValueError, match="batch is .*: expected a whole number of at least 1"):
        Memory(model(), batch)


def test_a_device_is_asked_once_for_all_values(monkeypatch):
    """On a GPU the least and the largest values of all arguments come in one transfer."""
    door, transfers = Door(model().config, torch.device("cpu")), []
    good = TWO | {"rewards": torch.zeros(3, 4), "loss_weight": torch.ones(3, 4)}
    door.timesteps(good | {"loss_weight": torch.full((3, 4), torch.nan)}, scored=True)
    door.device = torch.device("cuda")
    to_list = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda x: (transfers.append(len(x)), to_list(x))[1])
    monkeypatch.setattr(torch.Tensor, "item", lambda x: pytest.fail("one more transfer"))
    with pytest.raises(ValueError, match="loss_weight holds nan"):
        door.check_values()
    assert transfers == [8]


def test_only_beside_a_picture_may_there_be_no_words():
    ids = torch.zeros(2, 0, dtype=torch.long)
    nothing = {"input_ids": ids, "attention_mask": torch.ones(2, 0)}
    picture = {"pixel_values": torch.zeros(2, 3, 16, 16)}
    words = {"input_ids": torch.ones(2, 3, dtype=torch.long), "attention_mask": torch.ones(2, 3)}
    alone = model()(**picture).logits
    torch.testing.assert_close(model()(**picture, **nothing).logits, alone)
    model()(**picture, **words)
    with pytest.raises(ValueError, match="input_ids"):
        model()(**nothing)
    with pytest.raises(ValueError, match="attention_mask"):
        model()(input_ids=words["input_ids"], attention_mask=nothing["attention_mask"])
