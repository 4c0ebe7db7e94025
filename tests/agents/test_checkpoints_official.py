"""Agents in the published layout: read by their official names, and written back exactly."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import jatlab
from jatlab.agents.checkpoints import export_official
from jatlab.cli import main
from jatlab.model.checkpoint.names import official_name
from jatlab.tasks import get_task
from tests.support.golden import REFERENCE, golden_case
from tests.support.official import ALIASES, TABLE, golden_weights, gpt2_like, write_official


@pytest.fixture(scope="module")
def weights():
    return golden_weights()


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory):
    """A complete published folder, which no test changes."""
    return write_official(tmp_path_factory.mktemp("official") / "jat", weights)


def same_as(model, weights) -> bool:
    return all(
        torch.equal(value, weights[official_name(name)])
        for name, value in model.state_dict().items()
    )


def test_every_tensor_and_field_arrives(folder, weights):
    agent = jatlab.load_agent(folder)
    assert same_as(agent.model, weights) and len(agent.model.state_dict()) == len(weights)
    assert agent.model.config == jatlab.JatConfig.from_dict(REFERENCE["config"])
    assert same_as(jatlab.JatModel.from_pretrained(str(folder)), weights)


@pytest.mark.parametrize(
    "names",
    [(TABLE, *ALIASES), (TABLE, ALIASES[1]), (ALIASES[0],), ALIASES[::-1]],
    ids=["all", "two", "other", "both others"],
)
def test_the_text_table_under_any_of_its_names(weights, tmp_path, names):
    tensors = {name: value for name, value in weights.items() if name != TABLE} | {
        name: weights[TABLE].clone() for name in names
    }
    assert same_as(jatlab.load_agent(write_official(tmp_path, tensors)).model, weights)


def test_masks_of_older_releases_are_read_over(weights, tmp_path):
    masks = {
        f"transformer.h.{i}.attn.attention.bias": torch.ones(1, 1, 64, 64, dtype=torch.bool).tril()
        for i in range(4)
    }
    masks |= {f"transformer.h.{i}.attn.attention.masked_bias": torch.tensor(-1e9) for i in range(4)}
    assert same_as(jatlab.load_agent(write_official(tmp_path, weights | masks)).model, weights)


def test_without_model_type_the_layout_is_known_by_its_tensors(weights, tmp_path):
    agent = jatlab.load_agent(
        write_official(tmp_path, weights, model_type=None, architectures=None, auto_map=None)
    )
    assert agent.cache_policy == "published" and same_as(agent.model, weights)


def test_layers_may_be_listed_one_by_one(weights, tmp_path):
    assert (
        jatlab.load_agent(
            write_official(tmp_path, weights, attention_types=None)
        ).model.config.attention_layers
        == ["global", "local"] * 2
    )


def test_the_folders_tokenizer_is_used_as_it_is(folder):
    tokenizer, raw = jatlab.load_agent(folder).tokenizer, gpt2_like()
    for text in ("go to the red ball", " red", "Größe\n", ""):
        assert (
            tokenizer.encode(text) == raw.encode(text).ids
            and tokenizer.decode(raw.encode(text).ids) == text
        )
    assert tokenizer.encode("red") != tokenizer.encode(" red")
    assert tokenizer.pad_id == tokenizer.end_id == raw.token_to_id("<|endoftext|>")


def test_without_a_tokenizer_the_hub_is_named(weights, tmp_path):
    with pytest.raises(
        ConnectionError,
        match="'gpt2' is not cached, and could not be fetched.*tokenizer.json into a folder",
    ):
        jatlab.load_agent(write_official(tmp_path, weights, tokenizer=False))


def test_the_published_agent_acts_under_the_published_policy(folder):
    agent = jatlab.load_agent(folder)
    assert (
        agent.cache_policy == "published"
        and jatlab.load_agent(folder, cache_policy="recompute").cache_policy == "recompute"
    )
    agent.reset(1, "mujoco-pendulum")
    assert (
        agent.memory.policy == "published"
        and agent.memory.context == REFERENCE["config"]["max_position_embeddings"] // 4
    )
    assert jatlab.load_agent("jatlab-mini").cache_policy == "recompute"


@pytest.mark.parametrize("task, tolerance", [("mujoco-pendulum", 0.03), ("atari-pong", 0.15)])
def test_bfloat16_acts_almost_as_float32(folder, task, tolerance):
    task, rng = get_task(task), np.random.default_rng(0)
    frames = (
        rng.integers(0, 256, (3, 4, 84, 84), dtype=np.uint8)
        if task.observation == "image"
        else rng.normal(size=(3, task.observation_size))
    )
    answers = []
    for dtype in ("float32", "bfloat16"):
        agent = jatlab.load_agent(folder, dtype=dtype)
        agent.reset(1, task)
        actions = [
            agent.act({f"{task.observation}_observation": frame}, greedy=True) for frame in frames
        ]
        assert agent.last.pred_observations.dtype == np.float32
        answers.append(
            actions[-1] if agent.last.probabilities is None else agent.last.probabilities[0]
        )
        assert answers[-1].dtype == np.float32
    np.testing.assert_allclose(answers[1], answers[0], atol=tolerance)
    assert not np.array_equal(*answers)


@pytest.mark.parametrize(
    "name", ["text", "image_text", "continuous_continuous", "discrete_discrete", "image_discrete"]
)
@torch.no_grad()
def test_every_kind_of_input_in_bfloat16(folder, name):
    inputs, recorded = golden_case(name)
    output = jatlab.JatModel.from_pretrained(folder, dtype="bfloat16")(**inputs)
    assert output.last_hidden_state.dtype == torch.bfloat16
    assert (
        torch.cosine_similarity(
            output.last_hidden_state.float(), recorded["last_hidden_state"], dim=-1
        ).min()
        > 0.99
    )
    assert output.loss.item() == pytest.approx(recorded["loss"].item(), rel=0.03)


def dtypes(model) -> set:
    return {parameter.dtype for parameter in model.parameters()}


def test_pickled_weights_are_not_read(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    for load in (jatlab.load_agent, jatlab.JatModel.from_pretrained):
        with pytest.raises(
            FileNotFoundError,
            match="no model.safetensors, and pytorch_model.bin is not read: loading a pickle runs",
        ):
            load(tmp_path)


def tensors_of(path) -> dict:
    return load_file(str(path))


def test_published_there_and_back(folder, weights, tmp_path):
    agent = jatlab.load_agent(folder)
    assert export_official(agent, tmp_path / "copy") == []
    written = tensors_of(tmp_path / "copy" / "model.safetensors")
    assert written.keys() == weights.keys() and all(
        torch.equal(written[name], weights[name]) for name in weights
    )
    before, after = (
        json.loads((path / "config.json").read_text()) for path in (folder, tmp_path / "copy")
    )
    unwritten = {"auto_map", "transformers_version"}  # whose code it is, and which release wrote it
    kept = {name: value for name, value in before.items() if name not in unwritten}
    ends = dict.fromkeys(("bos_token_id", "eos_token_id"), agent.tokenizer.end_id)
    assert after == kept | ends | {"tie_word_embeddings": False}
    settings = json.loads((tmp_path / "copy" / "agent.json").read_text())
    assert settings["cache_policy"] == "published"
    again = jatlab.load_agent(tmp_path / "copy")
    assert (
        again.cache_policy == "published"
        and again.model.config == agent.model.config
        and same_as(again.model, weights)
    )


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_ours_there_and_back(tmp_path, dtype):
    agent = jatlab.load_agent("jatlab-mini")
    lacking = export_official(agent, tmp_path, dtype)
    assert {"continuous_fourier_features", "continuous_symlog", "discrete_gates"} <= set(
        lacking
    ) and "tokenizer" not in lacking
    again = jatlab.load_agent(tmp_path)
    assert again.model.config == agent.model.config and again.cache_policy == "recompute"
    assert again.info == agent.info | {"name": tmp_path.name} and again.tokenizer.encode(
        "go to"
    ) == agent.tokenizer.encode("go to")
    for ours, loaded in zip(
        agent.model.state_dict().items(), again.model.state_dict().items(), strict=True
    ):
        assert ours[0] == loaded[0] and torch.equal(ours[1].to(dtype or ours[1].dtype), loaded[1])
    assert json.loads((tmp_path / "config.json").read_text())["torch_dtype"] == str(
        dtype or torch.float32
    ).removeprefix("torch.")


def test_the_command(folder, tmp_path, capsys):
    assert main(["export", str(folder), str(tmp_path / "a"), "--dtype", "bfloat16"]) == 0
    assert (
        dtypes(jatlab.load_agent(tmp_path / "a").model) == {torch.bfloat16}
        and capsys.readouterr().err == ""
    )
    assert main(["export", "jatlab-mini", str(tmp_path / "b")]) == 0
    assert (
        "only jatlab can run it: the published model has no continuous_fourier_features"
        in capsys.readouterr().err
    )
    assert main(["export", "nobody", str(tmp_path / "c")]) == 2 and not (tmp_path / "c").exists()


def test_a_loaded_agent_may_be_saved_over_itself(weights, tmp_path):
    write_official(tmp_path, weights)
    agent = jatlab.load_agent(tmp_path)
    export_official(agent, tmp_path)
    assert same_as(agent.model, weights) and same_as(jatlab.load_agent(tmp_path).model, weights)
