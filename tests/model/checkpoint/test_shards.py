"""Checkpoints in several files: read as one file is, and refused where something is wrong."""

import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import jatlab
from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import load_agent, save_agent
from jatlab.model.checkpoint.weights import load_weights
from tests.support.helpers import small
from tests.support.official import ALIASES, TABLE, golden_weights, write_official

INDEX = "model.safetensors.index.json"


def split(folder, count=3):
    """Cut the weights of a folder into `count` files with an index, as transformers does."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "manifest.json").unlink(missing_ok=True)  # it lists the one file
    names, index = sorted(weights), {}
    for number in range(count):
        file = f"model-{number + 1:05d}-of-{count:05d}.safetensors"
        part = {name: weights[name] for name in names[number::count]}
        save_file(part, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    write_index(folder, index)
    return folder


def write_index(folder, index, **more):
    content = {"metadata": {"total_size": 1}, "weight_map": index} | more
    (folder / INDEX).write_text(json.dumps(content))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    torch.manual_seed(1)
    model = jatlab.JatModel(small(vocab_size=3072, tokenizer="jatlab"))
    return save_agent(Agent(model), tmp_path_factory.mktemp("saved") / "agent")


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "agent")
    return split(tmp_path / "agent")


def same(left, right):
    weights = right.state_dict()
    assert left.state_dict().keys() == weights.keys()
    return all(torch.equal(value, weights[name]) for name, value in left.state_dict().items())


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_several_files_load_as_one(saved, folder, dtype):
    whole, cut = load_agent(saved, dtype=dtype), load_agent(folder, dtype=dtype)
    assert same(cut.model, whole.model)
    assert same(jatlab.JatModel.from_pretrained(folder, dtype=dtype), whole.model)
    again = jatlab.JatModel(cut.model.config)
    load_weights(again, folder / "model.safetensors")
    assert same(again, load_agent(saved).model)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_published_layout_is_read_too(count, tmp_path):
    weights = golden_weights()
    whole = write_official(tmp_path / "whole", weights)
    mask = {"transformer.h.0.attn.attention.bias": torch.ones(1, 1, 4, 4, dtype=torch.bool)}
    aliases = {name: weights[TABLE].clone() for name in ALIASES}
    cut = split(write_official(tmp_path / "cut", weights | aliases | mask), count)
    assert same(load_agent(cut).model, load_agent(whole).model)
    assert load_agent(cut).settings == load_agent(whole).settings


def test_one_file_goes_before_an_index(saved, folder):
    shutil.copy(saved / "model.safetensors", folder)
    (folder / INDEX).write_text("rubbish")
    assert same(load_agent(folder).model, load_agent(saved).model)


HOSTILE = [
    "../model-00001-of-00003.safetensors",
    "/etc/passwd",
    "/etc/x.safetensors",
    "sub/model.safetensors",
    "sub\\model.safetensors",
    "..\\model.safetensors",
    "C:model.safetensors",
    "C:\\model.safetensors",
    "~/model.safetensors",
    "file:///model.safetensors",
    "https://example.org/model.safetensors",
    "pytorch_model.bin",
    "model.pkl",
    ".safetensors",
    "..",
    "",
    "model.safetensors\n",
    "mod\0el.safetensors",
    None,
    7,
    ["model-00001-of-00003.safetensors"],
]


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_an_index_cannot_lead_out_of_its_folder(name, folder, tmp_path):
    outside = tmp_path / "model-00001-of-00003.safetensors"
    shutil.copy(folder / outside.name, outside)
    index = json.loads((folder / INDEX).read_text())["weight_map"]
    index[next(iter(index))] = name
    write_index(folder, index)
    with pytest.raises(ValueError, match="expected a safetensors file in the same folder"):
        load_agent(folder)


def test_a_missing_file_is_named(folder):
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="names model-00002-of-00003.safetensors, which is"):
        load_agent(folder)


def test_a_damaged_file_is_named(folder):
    file = folder / "model-00002-of-00003.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(
        ValueError, match="model-00002-of-00003.safetensors is damaged or cut short"
    ):
        load_agent(folder)


DAMAGED = {
    "no JSON": "{",
    "no map": "{}",
    "a list": "[]",
    "a number": "7",
    "an empty map": '{"weight_map": {}}',
    "a map that is a list": '{"weight_map": ["a"]}',
    "nested": "[" * 100_000,
    "not UTF-8": b"\xff\xfe",
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_index_is_named(what, folder):
    content = DAMAGED[what]
    (folder / INDEX).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=f"{INDEX}.*copy it again"):
        load_agent(folder)


def test_an_index_of_other_files_is_refused(folder):
    index = json.loads((folder / INDEX).read_text())["weight_map"]
    first, second, third = sorted(index)[:3]
    swapped = index | {first: index[second], second: index[first]}
    write_index(folder, swapped)
    with pytest.raises(ValueError, match=f"do not belong together: .*{first} is in model-00001"):
        load_agent(folder)
    write_index(folder, {name: file for name, file in index.items() if name != third})
    with pytest.raises(ValueError, match=f"model-00003-of-00003.safetensors has {third} too"):
        load_agent(folder)
    write_index(folder, index | {"more.weight": index[first]})
    with pytest.raises(ValueError, match="more.weight is not in model-00001-of-00003.safetensors"):
        load_agent(folder)


def test_a_tensor_in_two_files_is_refused(folder):
    files = sorted(folder.glob("model-*.safetensors"))
    weights = load_file(files[0])
    name = next(iter(weights))
    save_file(load_file(files[1]) | {name: weights[name]}, files[1])
    with pytest.raises(
        ValueError, match=f"{name} is in .*00002-of-00003.* and in .*00001-of-00003"
    ):
        load_agent(folder)


def test_a_missing_tensor_is_told_as_from_one_file(folder):
    file = folder / "model-00001-of-00003.safetensors"
    weights = load_file(file)
    gone = next(iter(weights))
    del weights[gone]
    save_file(weights, file)
    index = json.loads((folder / INDEX).read_text())["weight_map"]
    del index[gone]
    write_index(folder, index)
    with pytest.raises(ValueError, match=f"another configuration .*missing {gone}"):
        load_agent(folder)


@pytest.mark.parametrize(
    "names",
    [
        ["pytorch_model.bin"],
        ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
    ],
)
def test_pickles_are_never_read(names, folder):
    for file in folder.glob("model*"):
        file.unlink()
    for name in names:
        (folder / name).write_bytes(pickle.dumps(Explosive()))
    with pytest.raises(FileNotFoundError, match="pytorch_model.bin is not read: loading a pickle"):
        load_agent(folder)


class Explosive:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was read')",)
