"""The check at the model's door: what it cannot read is refused before anything is computed.

A message names the argument, what it is and what was expected.

Letters: B batch, T timesteps, S text tokens, n and m values of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jatlab.model.config import GRID_CLASSES, GRID_INTEGERS, JatConfig
from jatlab.model.inputs.batch import ACTIONS, OBSERVATIONS, TEXT, exactly_one, native
from jatlab.utils.checks import require

FRAMES = (4, 84, 84)
WHOLE = {torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8}
FLOATS = {torch.float32, torch.float64, torch.float16, torch.bfloat16}
NUMBERS, MASKS = FLOATS | WHOLE, FLOATS | WHOLE | {torch.bool}
Shape = tuple[int | str, ...]
LARGEST = 1e9  # of real numbers: products of three of them stay finite in float32
BRIGHTEST = 16.0  # of normalised pictures, which are about -2 to 2; unnormalised ones reach 255


def check_inputs(
    config: JatConfig, device: torch.device, inputs: Mapping[str, Any], scored: bool = True
) -> None:
    """Check the arguments of `JatModel.forward`.

    Args:
        config: the model's.
        device: where its weights are.
        inputs: argument -> value; None: not given.
        scored: a loss is computed.

    Raises:
        ValueError: for a wrong combination, shape, type, device or value.
    """
    given = {name: value for name, value in inputs.items() if value is not None}
    door = Door(config, device)
    if any(name in given for name in TEXT):
        others = sorted(set(given) - {*TEXT, "attention_mask"})
        require(
            not others,
            f"{others[0] if others else ''} was given beside input_ids or pixel_values: a batch is "
            "of text and pictures, or of timesteps; beside text there is only attention_mask",
        )
        door.text(given)
    else:
        door.timesteps(given, scored)
    door.check_values()


class Door:
    """Checks the arguments of one call: shapes and types at once, all values at the end.

    One reduction to a few numbers stands for the values, so that a GPU is waited for once. While
    `torch.compile` traces, and on the meta device, values are not looked at.
    """

    def __init__(self, config: JatConfig, device: torch.device, sizes: str = "continuous_sizes"):
        self.config, self.device, self.sizes_name = config, device, sizes
        self.sizes: dict[str, tuple[int, str]] = {}  # letter -> its size, and who has it
        self.bounds: list[tuple[str, float, float, str]] = []  # name, least, most, expected
        self.found: list[Tensor] = []  # for each of them the least and the largest value
        self.looks = not torch.compiler.is_compiling() and device.type != "meta"

    # --- kinds of batches

    def text(self, given: Mapping[str, Any]) -> None:
        """Text, pictures, or pictures with text."""
        config, patches = self.config, 0
        if (pixels := given.get("pixel_values")) is not None:
            self._pictures(pixels)
            patches = (config.image_size // config.patch_size) ** 2
        ids, shape = given.get("input_ids"), ("B", "S")
        if ids is None:
            self.sizes["S"] = 0, "a batch without input_ids"
        else:
            self.words("input_ids", ids, shape, empty=patches > 0)
        self.mask(given.get("attention_mask"), shape, empty=patches > 0)
        self.fits("pixel_values" if ids is None else "input_ids", patches + self.sizes["S"][0])

    def timesteps(self, given: Mapping[str, Any], scored: bool) -> None:
        """Observations, actions and what comes with them."""
        name, observations = exactly_one(OBSERVATIONS, given)
        action_name, actions = exactly_one(ACTIONS, given)
        if (sizes := given.get("continuous_sizes")) is not None:
            self.tensor("continuous_sizes", sizes, ("B", 2), WHOLE, "integers")
        of_observations, of_actions = (None, None) if sizes is None else sizes.unbind(1)
        self.observations(name, observations, of_observations)
        if scored and name == "discrete_observations":
            self._classes(name, observations)
        if (rewards := given.get("rewards")) is not None:
            self.rewards(rewards)
        self.actions(action_name, actions, of_actions)
        self.mask(given.get("attention_mask"), ("B", "T"))
        if (weight := given.get("loss_weight")) is not None:
            self.real("loss_weight", weight, ("B", "T"), 0, LARGEST)
        self.fits(name, 2 * self.sizes["T"][0])

    def observations(self, name: str, value: Any, sizes: Any) -> None:
        """Observations of one kind."""
        require(
            name in OBSERVATIONS, f"name is {name!r}, expected one of {', '.join(OBSERVATIONS)}"
        )
        if name == "continuous_observations":
            self._vectors(name, value, "n", sizes, reward=1)
        elif name == "discrete_observations":
            self.words(name, value, ("B", "T", self.config.max_discrete_value))
        else:
            self._frames(name, value)

    def rewards(self, value: Any) -> None:
        """The rewards that came with the observations."""
        self.real("rewards", value, ("B", "T"), -LARGEST, LARGEST)

    def actions(self, name: str, value: Any, sizes: Any) -> None:
        """Actions of one kind."""
        require(name in ACTIONS, f"name is {name!r}, expected one of {', '.join(ACTIONS)}")
        if name == "continuous_actions":
            self._vectors(name, value, "m", sizes)
        else:
            self.words(name, value, ("B", "T"))

    def _vectors(self, name: str, value: Any, letter: str, sizes: Any, reward: int = 0) -> None:
        self.real(name, value, ("B", "T", letter), -LARGEST, LARGEST)
        values, most = value.shape[-1], self.config.max_continuous_size
        if values + reward > most:
            raise ValueError(
                f"{name}: a vector of {values + reward} values{' (with its reward)' * reward} is "
                f"larger than max_continuous_size {most}"
            )
        if sizes is not None:
            self.tensor(self.sizes_name, sizes, ("B",), WHOLE, "integers")
            words = f"from 1 to {values}, the values of {name}"
            self._between(self.sizes_name, sizes, 1, values, words)

    def _frames(self, name: str, value: Any) -> None:
        expected = "floats in [-1, 1]: frames / 127.5 - 1"
        self.tensor(name, value, ("B", "T", *FRAMES), FLOATS, expected)
        self._between(name, value, -1, 1, expected)

    def _pictures(self, value: Any) -> None:
        config, name = self.config, "pixel_values"
        shape = ("B", config.num_channels, config.image_size, config.image_size)
        self.tensor(name, value, shape, FLOATS, "floats: normalise(pixels)")
        expected = "normalised pictures, about -2 to 2"
        self._between(name, value, -BRIGHTEST, BRIGHTEST, expected)

    def _classes(self, name: str, value: Tensor) -> None:
        """The next grid's integers must be among those that the decoder scores."""
        if self.config.predict_discrete_observations:
            expected = f"grid integers from 0 to {GRID_CLASSES - 1}, which the model predicts"
            self._between(name, value[..., :GRID_INTEGERS], 0, GRID_CLASSES - 1, expected)

    # --- one argument of a call of its own

    def of_observations(self, name: str, value: Any, rewards: Any, sizes: Any) -> Tensor:
        """The observations that `embed_observations` was given, checked and in our types."""
        self.observations(name, value, sizes)
        self.rewards(rewards)
        self.check_values()
        return native(name, value)

    def of_actions(self, name: str, value: Any, sizes: Any) -> Tensor:
        """The actions that `embed_actions` was given, checked and in our types."""
        self.actions(name, value, sizes)
        self.check_values()
        return native(name, value)

    # --- kinds of arguments

    def words(self, name: str, value: Any, shape: Shape, empty: bool = False) -> None:
        """Integers of the vocabulary."""
        self.tensor(name, value, shape, WHOLE, "integers", empty)
        most = self.config.vocab_size - 1
        self._between(name, value, 0, most, f"integers from 0 to {most:,}, the model's vocabulary")

    def real(self, name: str, value: Any, shape: Shape, least: float, most: float) -> None:
        """Real numbers; integers are taken for them."""
        self.tensor(name, value, shape, NUMBERS, "real numbers")
        self._between(name, value, least, most, f"finite numbers from {least:g} to {most:g}")

    def embedding(self, name: str, value: Any, shape: Shape) -> None:
        """What `embed_observations` or `embed_actions` gave."""
        self.tensor(name, value, shape, FLOATS, "floats")
        self._between(name, value, -LARGEST, LARGEST, "finite numbers")

    def mask(self, value: Any, shape: Shape, empty: bool = False) -> None:
        """An attention mask, or None."""
        if value is None:
            return
        name, expected = "attention_mask", "1 for what is there and 0 for padding"
        self.tensor(name, value, shape, MASKS, "booleans, or 1 and 0", empty)
        if value.dtype == torch.bool:
            return
        self._between(name, value, 0, 1, expected)
        if value.is_floating_point():  # 0.5 is neither
            self._between(name, value.where((value != 0) & (value != 1), 0), 0, 0, expected)

    def fits(self, name: str, tokens: int) -> None:
        """Refuse a sequence that is longer than the positions."""
        config = self.config
        if tokens > config.max_position_embeddings:
            raise ValueError(
                f"{name}: a sequence of {tokens} tokens is longer than the model's "
                f"{config.max_position_embeddings} positions: cut it into windows of at most "
                f"{config.max_timesteps} timesteps (of text, {config.max_position_embeddings} "
                "tokens), or raise max_position_embeddings"
            )

    # --- one tensor

    def tensor(
        self,
        name: str,
        value: Any,
        shape: Shape,
        dtypes: Set[torch.dtype],
        expected: str,
        empty: bool = False,
    ) -> None:
        """Check a tensor's type, device and shape.

        Args:
            name: of the argument.
            value: it should be a tensor.
            shape: letters and numbers; a letter has one size in all arguments of a call.
            dtypes: that it may have.
            expected: these dtypes in words.
            empty: sizes of 0 are allowed.
        """
        if not isinstance(value, Tensor):
            array = isinstance(value, np.ndarray)
            kind = "numpy.ndarray" if array else type(value).__name__
            how = "torch.from_numpy" if array else "torch.tensor"
            raise ValueError(f"{name} is a {kind}, expected a torch.Tensor: {how}({name})")
        if value.layout is not torch.strided:
            raise ValueError(f"{name} is {value.layout}, expected a dense tensor: .to_dense()")
        if value.device != self.device:
            raise ValueError(
                f"{name} is on {value.device}, expected the model's {self.device}: "
                f"{name}.to('{self.device}')"
            )
        self._shape(name, tuple(value.shape), shape, empty)
        if value.dtype not in dtypes:
            raise ValueError(f"{name} has dtype {value.dtype}, expected {expected}")

    def _shape(self, name: str, found: tuple[int, ...], shape: Shape, empty: bool) -> None:
        if len(found) == len(shape) and (empty or 0 not in found):
            known = [
                self.sizes.setdefault(one, (size, name))[0] if isinstance(one, str) else one
                for size, one in zip(found, shape, strict=True)
            ]
            if list(found) == known:
                return
        others = [
            f"{one} = {size} as in {owner}"
            for one, (size, owner) in self.sizes.items()
            if one in shape and owner != name
        ]
        letters = ", ".join(map(str, shape)) + "," * (len(shape) == 1)
        raise ValueError(
            f"{name} has shape {found}, expected ({letters})"
            + (" with " + " and ".join(others) if others else "")
            + (", nothing of it empty" if 0 in found and not empty else "")
        )

    # --- values

    def _between(self, name: str, value: Tensor, least: float, most: float, expected: str) -> None:
        """Note that the values of a tensor must be from ``least`` to ``most``."""
        if self.looks and value.numel():
            self.bounds.append((name, least, most, expected))
            self.found += value.detach().aminmax()  # NaN, if there is one

    def check_values(self) -> None:
        """Look at the values of all tensors."""
        if not self.found:
            return
        if self.device.type == "cpu":
            found = [value.item() for value in self.found]
        else:  # one transfer
            found = torch.stack([value.float() for value in self.found]).tolist()
        for (name, least, most, expected), low, high in zip(
            self.bounds, found[::2], found[1::2], strict=True
        ):
            if not (least <= low and high <= most):
                wrong = high if least <= low else low
                raise ValueError(f"{name} holds {wrong:g}, expected {expected}")
