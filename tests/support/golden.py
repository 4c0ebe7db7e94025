"""The golden cases: what the published implementation computed, and the weights it computed it
with.

`tests/data/cases.safetensors` holds inputs and outputs, `reference.json` the configuration, shapes
and scalars. The weights are a formula of each tensor's official name, so that they need not be
stored.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from jatlab.model import JatModel
from jatlab.model.checkpoint.names import official_name
from jatlab.model.config import JatConfig

DATA = Path(__file__).parent / "golden_cases"
REFERENCE = json.loads((DATA / "reference.json").read_text())
CASES = load_file(str(DATA / "cases.safetensors"))
WORD = 0xFFFFFFFF


def golden_weight(name: str, shape: list[int]) -> torch.Tensor:
    """The tensor that the formula gives for an official name."""
    u = _hash(
        np.arange(np.prod(shape), dtype=np.uint64), zlib.crc32(name.encode()) + REFERENCE["salt"]
    ).reshape(shape)
    if len(shape) == 1:
        u = 0.2 * u if name.endswith("bias") else 1 + 0.2 * u
    elif "wte" not in name and "wpe" not in name:
        u = 2 * u * np.sqrt(3 / np.prod(shape[1:]))
    return torch.tensor(u, dtype=torch.float32)


def _hash(index: np.ndarray, seed: int) -> np.ndarray:
    """Integers to numbers between -0.5 and 0.5, by multiplications and shifts of 32-bit words."""
    x = index + np.uint64(seed) & WORD
    for shift, factor in ((None, 2654435761), (16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = x if shift is None else x ^ (x >> np.uint64(shift))
        x = x * np.uint64(factor) & WORD
    return x / 2**32 - 0.5


def golden_model() -> JatModel:
    model = JatModel(JatConfig.from_dict(REFERENCE["config"]))
    shapes = REFERENCE["shapes"]
    model.load_state_dict(
        {
            name: golden_weight(official_name(name), shapes[official_name(name)])
            for name in model.state_dict()
        }
    )
    return model.eval()


def golden_case(name: str) -> tuple[dict, dict]:
    """Inputs and recorded outputs of a case; frames are scaled to [-1, 1]."""
    inputs = {
        key.split("/")[2]: value for key, value in CASES.items() if key.startswith(f"{name}/in/")
    }
    outputs = {
        key.split("/")[2]: value for key, value in CASES.items() if key.startswith(f"{name}/out/")
    }
    if "image_observations" in inputs:
        inputs["image_observations"] = inputs["image_observations"].float() / 127.5 - 1
    return inputs, outputs
