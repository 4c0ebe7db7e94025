"""The published checkpoint's layout: read by its official names, every tensor and field accounted
for, and written so that it comes back exactly.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

import jatlab
from jatlab.agents.checkpoints import export_official, read_config
from jatlab.cli import main
from jatlab.model.checkpoint.names import official_name
from jatlab.model.checkpoint.official import official_values
from jatlab.model.checkpoint.weights import save_weights
from jatlab.tasks import get_task
from jatlab.utils.files import atomic_write
from tests.support.golden import REFERENCE, golden_case
from tests.support.official import ALIASES, TABLE, golden_weights, gpt2_like, write_official


@pytest.fixture(scope="module")
def weights():
    return golden_weights()


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory):
    """A whole published folder, which no test changes."""
    return write_official(tmp_path_factory.mktemp("official") / "jat", weights)


def same_as(model, weights) -> bool:
    return all(
        torch.equal(value, weights[official_name(name)])
        for name, value in model.state_dict().items()
    )


# --- what is read
# ------------------------------------------------------------------------------------------------------------


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


def test_a_configuration_without_model_type_is_known_by_its_tensors(weights, tmp_path):
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
        match="'gpt2' is not cached, and could not be fetched.*put its tokenizer.json into a folder",
    ):
        jatlab.load_agent(write_official(tmp_path, weights, tokenizer=False))


# --- how it acts
# -------------------------------------------------------------------------------------------------------------


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
    assert jatlab.load_agent("demo").cache_policy == "recompute"


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


# --- dtype, memory
# -----------------------------------------------------------------------------------------------------------


def dtypes(model) -> set:
    return {parameter.dtype for parameter in model.parameters()}


def test_the_file_says_the_dtype_unless_the_caller_does(weights, tmp_path):
    write_official(tmp_path, {name: value.bfloat16() for name, value in weights.items()})
    assert dtypes(jatlab.load_agent(tmp_path).model) == {torch.bfloat16}
    widened = jatlab.load_agent(tmp_path, dtype=torch.float32).model
    assert dtypes(widened) == {torch.float32} and same_as(
        widened, {name: value.bfloat16().float() for name, value in weights.items()}
    )
    with pytest.raises(ValueError, match="dtype 'int8': weights are loaded in float32 or bfloat16"):
        jatlab.load_agent(tmp_path, dtype="int8")


def test_our_agents_stored_in_bfloat16_run_in_float32():
    assert dtypes(jatlab.load_agent("demo").model) == {torch.float32}
    assert dtypes(jatlab.load_agent("demo", dtype="bfloat16").model) == {torch.bfloat16}


def test_training_changes_the_model_and_not_the_file(weights, tmp_path):
    path = write_official(tmp_path, weights) / "model.safetensors"
    before = path.read_bytes()
    model = jatlab.JatModel.from_pretrained(tmp_path).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(5):
        losses.append(model(**golden_case("continuous_continuous")[0]).loss)
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2 and not same_as(model, weights)
    assert path.read_bytes() == before and same_as(
        jatlab.JatModel.from_pretrained(tmp_path), weights
    )


MEASURE = """
import json, sys
from pathlib import Path
import torch
import jatlab

def status(field):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(field))

def load(folder, dtype):
    open("/proc/self/clear_refs", "w").write("5")  # the peak so far is forgotten
    peak, private = status("VmHWM"), status("RssAnon")
    model = jatlab.JatModel.from_pretrained(folder, dtype=dtype)
    touched = sum(float(p.detach().flatten()[::512].sum()) for p in model.parameters())  # every page is read
    return {"peak": status("VmHWM") - peak, "private": status("RssAnon") - private, "touched": touched}

load(sys.argv[2], None)  # whatever the libraries need once
print(json.dumps({str(dtype): load(sys.argv[1], dtype) for dtype in (None, "bfloat16")}))
"""


@pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"), reason="memory is measured as Linux shows it"
)
def test_never_two_copies_in_memory(folder, tmp_path):
    """A file of 92 MB: as it is stored, it is mapped, not copied; converted, there is the result
    and one tensor besides.
    """
    config = jatlab.JatConfig(
        hidden_size=384, num_layers=2, attention_types=[[["global", "local"], 1]], vocab_size=10_000
    )
    with torch.device("meta"):
        shapes = {
            official_name(name): value.shape
            for name, value in jatlab.JatModel(config).state_dict().items()
        }
    tensors = {name: torch.rand(shape) for name, shape in shapes.items()}
    write_official(
        tmp_path,
        tensors,
        attention_layers=None,
        **{k: v for k, v in config.to_dict().items() if k in REFERENCE["config"]},
    )
    size, largest = (
        (tmp_path / "model.safetensors").stat().st_size,
        max(t.nbytes for t in tensors.values()),
    )
    assert size > 80e6
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), str(folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    as_stored, converted = json.loads(answer.stdout).values()
    assert as_stored["private"] < 0.05 * size and size * 0.9 < as_stored["peak"] < 1.05 * size
    assert converted["peak"] < size / 2 + 1.5 * largest + 0.05 * size


# --- what is refused
# ---------------------------------------------------------------------------------------------------------


def test_all_that_is_missing_unexpected_or_of_another_shape_is_listed(weights, tmp_path):
    tensors = {
        name: value
        for name, value in weights.items()
        if name not in ("continuous_decoder.bias", "transformer.h.3.ln_2.weight", TABLE)
    }
    tensors |= {
        "lm_head.weight": torch.zeros(2),
        "transformer.h.9.ln_1.bias": torch.zeros(100),
        "transformer.wpe.weight": torch.zeros(63, 100),
    }
    tensors |= {"vit_encoder.projection.bias": torch.zeros(100, dtype=torch.int64)}
    with pytest.raises(ValueError, match=r"\(7 tensors differ\)") as error:
        jatlab.load_agent(write_official(tmp_path, tensors))
    for part in (
        "missing continuous_decoder.bias", "missing transformer.h.3.ln_2.weight", f"missing {TABLE}", "unexpected lm_head.weight",
        "unexpected transformer.h.9.ln_1.bias", "transformer.wpe.weight is [63, 100] in the file and [64, 100] in the model",
        "vit_encoder.projection.bias holds I64",
    ):  # fmt: skip
        assert part in str(error.value)


def test_three_names_of_one_tensor_must_agree(weights, tmp_path):
    other = weights[TABLE].clone()
    other[-1, -1] += 1e-3
    with pytest.raises(
        ValueError, match=f"{TABLE} and {ALIASES[0]} are one tensor in JAT, and differ"
    ):
        jatlab.load_agent(write_official(tmp_path, weights | {ALIASES[0]: other}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:4],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:8] + b"#" + data[9:],
        lambda data: data[:2000].replace(b"F32", b"F99") + data[2000:],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data + b"\0",
    ],
    ids=[
        "empty",
        "four bytes",
        "length",
        "not JSON",
        "dtype",
        "half",
        "one byte less",
        "one byte more",
    ],
)
def test_damaged_weights_are_told(folder, tmp_path, damage):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(
        damage((folder / "model.safetensors").read_bytes())
    )
    with pytest.raises(ValueError, match="model.safetensors is damaged or cut short"):
        jatlab.load_agent(tmp_path)


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"hidden_size": 3', "the file is damaged"),
        ("", "the file is damaged"),
        ("[768]", "holds a list, a configuration is an object"),
        (b"\xff\xfe{}", "the file is damaged"),
        (
            '{"model_type": "llama", "hidden_size": 768}',
            "model_type is 'llama': this is another kind of model",
        ),
        ('{"model_type": "jat", "rope_theta": 10000.0}', "no field rope_theta"),
        ('{"model_type": "jat", "activation_function": "relu"}', "activation_function 'relu'"),
        (
            '{"model_type": "jat", "attention_layers": ["global", "global"]}',
            "describes 2 layers, num_layers is 12",
        ),
        (
            '{"num_layers": 1, "attention_types": [[["local"], 1]], "attention_layers": ["global"]}',
            "are not what attention_types",
        ),
        ('{"hidden_size": "768"}', "config.json"),
        ('{"jatlab": ["waves"]}', "config.json"),
        ('{"jatlab": {"continuous_ripples": true}}', "no field continuous_ripples"),
    ],
)
def test_configurations_that_would_change_the_numbers_are_refused(tmp_path, text, message):
    (tmp_path / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(
        ValueError, match=f"config.json: .*{message}" if message != "config.json" else message
    ):
        jatlab.load_agent(tmp_path)


def test_pickled_weights_are_not_read(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    for load in (jatlab.load_agent, jatlab.JatModel.from_pretrained):
        with pytest.raises(
            FileNotFoundError,
            match="no model.safetensors, and pytorch_model.bin is not read: loading a pickle runs",
        ):
            load(tmp_path)


# --- export
# ------------------------------------------------------------------------------------------------------------------


def tensors_of(path) -> dict:
    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


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
    agent = jatlab.load_agent("demo")
    lacking = export_official(agent, tmp_path, dtype)
    assert {"continuous_fourier_features", "discrete_gates", "image_pool"} <= set(
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


@settings(max_examples=50, deadline=None)
@given(
    layers=st.lists(st.sampled_from(["global", "local"]), min_size=1, max_size=5), heads=st.integers(1, 8), size=st.integers(7, 40),
    window=st.integers(1, 600), gates=st.sampled_from([0, 3, 48]), bottleneck=st.sampled_from([None, 4]), waves=st.booleans(),
    epsilon=st.sampled_from([1e-5, 1e-6]), hidden=st.booleans(),
)  # fmt: skip
def test_every_configuration_survives_the_published_file(
    tmp_path_factory, layers, heads, size, window, gates, bottleneck, waves, epsilon, hidden
):
    config = jatlab.JatConfig(
        num_layers=len(layers), attention_types=[[layers, 1]], num_heads=heads, hidden_size=heads * 50, window_size=window, max_continuous_size=size,
        discrete_gates=gates, discrete_bottleneck=bottleneck, continuous_fourier_features=waves, layer_norm_epsilon=epsilon, hide_past_actions=hidden,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("config") / "config.json"
    path.write_text(json.dumps(official_values(config, "float32", 0)))
    assert read_config(path) == config


def test_the_command(folder, tmp_path, capsys):
    assert main(["export", str(folder), str(tmp_path / "a"), "--dtype", "bfloat16"]) == 0
    assert (
        dtypes(jatlab.load_agent(tmp_path / "a").model) == {torch.bfloat16}
        and capsys.readouterr().err == ""
    )
    assert main(["export", "demo", str(tmp_path / "b")]) == 0
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


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_written_files_follow_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        save_weights(torch.nn.Linear(2, 2), tmp_path / "w.safetensors")
        with atomic_write(tmp_path / "t.txt") as temporary:
            temporary.write_text("t")
            temporary.chmod(0o400)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}
