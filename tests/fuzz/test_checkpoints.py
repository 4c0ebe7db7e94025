"""Agents' folders with changed bytes, changed tensors and changed JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import jatlab
from jatlab.agents.travelling import SEALED
from jatlab.utils import manifest
from tests.support.fuzzing import JSON, fuzz, outcome
from tests.support.little_tasks import make_agent

WEIGHTS = "model.safetensors"
JSONS = ("config.json", "agent.json", "training.json", "tokenizer.json")
NESTED = "[" * 5000 + "]" * 5000


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """An agent's folder, with its manifest."""
    return make_agent().save_pretrained(tmp_path_factory.mktemp("saved") / "agent")


def copy_of(saved: Path, folder: Path, sealed: bool) -> Path:
    """The same folder, with or without the manifest."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(saved, copy)
    if not sealed:
        (copy / manifest.FILE).unlink()
    return copy


def check(folder: Path, door: str) -> str:
    """Load an agent: if it comes, it has finite weights, and speaks finite numbers."""
    kind, agent = outcome(door, jatlab.load_agent, folder)
    if kind == "right":
        assert all(weight.isfinite().all() for weight in agent.model.parameters())
        words = torch.arange(5)[None] % agent.model.config.vocab_size
        with torch.no_grad():
            assert not agent.model(input_ids=words).loss.isnan()
    return kind


@fuzz(15)
@given(
    name=st.sampled_from(SEALED),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    cut=st.integers(0, 9).map(lambda number: number == 0),
    sealed=st.booleans(),
)
def test_one_bit_is_found_by_the_manifest(saved, tmp_path_factory, name, place, bit, cut, sealed):
    folder = copy_of(saved, tmp_path_factory.getbasetemp(), sealed)
    content = bytearray((folder / name).read_bytes())
    position = int(place * len(content))
    content[position] ^= 1 << bit
    (folder / name).write_bytes(content[:position] if cut else content)
    kind = check(folder, "checkpoints")
    assert kind == "refused" or not sealed


def another_tensor(what: str, x: torch.Tensor) -> torch.Tensor:
    """A tensor that the model cannot have, or can."""
    return {
        "integers": lambda: x.round().to(torch.int32),
        "halves": lambda: x.half(),
        "doubles": lambda: x.double(),
        "NaN": lambda: x * torch.nan,
        "flat": lambda: x.reshape(-1).clone(),
        "longer": lambda: torch.cat([x, x]),
        "empty": lambda: x[:0].clone(),
    }[what]()


@fuzz(15)
@given(
    what=st.sampled_from(
        ["integers", "halves", "doubles", "NaN", "flat", "longer", "empty", "missing", "extra"]
    ),
    number=st.integers(0, 10_000),
)
def test_tensors_of_another_kind(saved, tmp_path_factory, what, number):
    folder = copy_of(saved, tmp_path_factory.getbasetemp(), sealed=False)
    tensors = load_file(folder / WEIGHTS)
    name = sorted(tensors)[number % len(tensors)]
    if what == "missing":
        del tensors[name]
    elif what == "extra":
        tensors[f"{name}.more"] = torch.zeros(2)
    else:
        tensors[name] = another_tensor(what, tensors[name])
    save_file(tensors, folder / WEIGHTS)
    kind = check(folder, "checkpoints")
    fits = what in ("halves", "doubles") or (what == "flat" and load_shape(saved, name) == 1)
    assert (kind == "right") == fits


def load_shape(saved: Path, name: str) -> int:
    """How many dimensions a tensor has."""
    return load_file(saved / WEIGHTS)[name].ndim


@fuzz(20)
@given(
    name=st.sampled_from(JSONS),
    text=st.one_of(
        JSON.map(lambda value: json.dumps(value)),
        st.sampled_from(["", "{", NESTED, '{"hidden_size": 1e400}', "\ufeff{}", "{}\0"]),
    ),
)
def test_json_of_any_content(saved, tmp_path_factory, name, text):
    folder = copy_of(saved, tmp_path_factory.getbasetemp(), sealed=False)
    (folder / name).write_text(text, encoding="utf-8", errors="surrogatepass")
    kind = check(folder, "checkpoints")
    assert kind == "refused" or name in ("training.json", "agent.json") or text == "{}"


@fuzz(25)
@given(data=st.data(), name=st.sampled_from(JSONS[:3]))
def test_json_with_another_value(saved, tmp_path_factory, data, name):
    folder = copy_of(saved, tmp_path_factory.getbasetemp(), sealed=False)
    fields = json.loads((folder / name).read_text())
    key = data.draw(st.sampled_from([*sorted(fields), "another", "__class__"]))
    fields[key] = data.draw(JSON)
    (folder / name).write_text(json.dumps(fields))
    check(folder, "checkpoints")


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 2**20},
        {"num_layers": 10_000, "attention_types": [[["global"], 10_000]]},
        {"vocab_size": 2**20, "hidden_size": 2**18, "num_heads": 2},
        {"attention_types": [[["global"], 10**12]]},
        {"image_size": 2**20, "patch_size": 1},
        {"max_position_embeddings": 2**20},
        {"auto_map": {"AutoModel": "evil--module.Model"}, "hidden_size": 2**30},
    ],
)
def test_terabytes_are_refused_before_they_are_taken(saved, tmp_path, changes):
    folder = copy_of(saved, tmp_path, sealed=False)
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(fields | changes))
    kind, _ = outcome("checkpoints", jatlab.load_agent, folder)
    assert kind == "refused"
