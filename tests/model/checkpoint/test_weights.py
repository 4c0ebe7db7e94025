"""Weights on disk: complete, mapped, or an error that says what is wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import jatlab
from jatlab.model.checkpoint.names import official_name
from jatlab.model.checkpoint.weights import load_weights, save_weights
from jatlab.utils.files import atomic_write
from tests.support import ROOT
from tests.support.golden import REFERENCE, golden_case
from tests.support.helpers import small
from tests.support.official import ALIASES, TABLE, golden_weights, write_official


@pytest.fixture(scope="module")
def weights():
    return golden_weights()


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory):
    """A complete published folder, which no test changes."""
    return write_official(tmp_path_factory.mktemp("official") / "jat", weights)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return jatlab.JatModel(small())


def dtypes(model) -> set:
    return {parameter.dtype for parameter in model.parameters()}


def same_as(model, weights) -> bool:
    return all(
        torch.equal(value, weights[official_name(name)])
        for name, value in model.state_dict().items()
    )


def test_another_configuration_is_told_tensor_by_tensor(model, tmp_path):
    save_weights(model, tmp_path / "w.safetensors")
    with pytest.raises(
        ValueError,
        match=r"another configuration.*trunk.positions.weight is \[32, 32\] in the file "
        r"and \[64, 32\] in the model",
    ):
        load_weights(jatlab.JatModel(small(max_position_embeddings=64)), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="missing trunk.blocks.2.*"):
        load_weights(
            jatlab.JatModel(small(num_layers=4, attention_types=[[["global", "local"], 2]])),
            tmp_path / "w.safetensors",
        )


def test_all_tensors_that_do_not_belong_are_listed(weights, tmp_path):
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
        "missing continuous_decoder.bias",
        "missing transformer.h.3.ln_2.weight",
        f"missing {TABLE}",
        "unexpected lm_head.weight",
        "unexpected transformer.h.9.ln_1.bias",
        "transformer.wpe.weight is [63, 100] in the file and [64, 100] in the model",
        "vit_encoder.projection.bias holds I64",
    ):
        assert part in str(error.value)


def test_three_names_of_one_tensor_must_agree(weights, tmp_path):
    other = weights[TABLE].clone()
    other[-1, -1] += 1e-3
    with pytest.raises(
        ValueError, match=f"{TABLE} and {ALIASES[0]} are one tensor in JAT, and differ"
    ):
        jatlab.load_agent(write_official(tmp_path, weights | {ALIASES[0]: other}))


def test_a_truncated_file_is_told(model, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(model, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged or cut short"):
        load_weights(model, path)


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


def test_a_full_disk_leaves_what_was_there(model, tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    save_weights(model, path)
    before = path.read_bytes()

    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jatlab.model.checkpoint.weights.save_file", full)
    with pytest.raises(OSError, match="the disk is full: .*w.safetensors could not be"):
        save_weights(model, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["w.safetensors"]


SAVE = """
import sys
from pathlib import Path

from jatlab.model import JatModel
from jatlab.model.checkpoint.weights import save_weights
from tests.support.helpers import small

model, path = JatModel(small(hidden_size=256)), Path(sys.argv[1])
while True:
    save_weights(model, path)
    print("saved", flush=True)
"""


@pytest.mark.slow
def test_killed_while_saving_leaves_a_whole_file(tmp_path):
    """A process that does nothing but save is killed in the middle of it; what it leaves loads."""
    path = tmp_path / "w.safetensors"
    saver = subprocess.Popen(
        [sys.executable, "-c", SAVE, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert saver.stdout.readline() == "saved\n"
    time.sleep(0.3)
    saver.send_signal(signal.SIGKILL)
    saver.wait()
    load_weights(jatlab.JatModel(small(hidden_size=256)), path)


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


def test_the_file_says_the_dtype_unless_the_caller_does(weights, tmp_path):
    write_official(tmp_path, {name: value.bfloat16() for name, value in weights.items()})
    assert dtypes(jatlab.load_agent(tmp_path).model) == {torch.bfloat16}
    widened = jatlab.load_agent(tmp_path, dtype=torch.float32).model
    assert dtypes(widened) == {torch.float32} and same_as(
        widened, {name: value.bfloat16().float() for name, value in weights.items()}
    )
    with pytest.raises(ValueError, match="dtype 'float16': .* in float32 or bfloat16; .* int8"):
        jatlab.load_agent(tmp_path, dtype="float16")


def test_our_agents_stored_in_bfloat16_run_in_float32():
    assert dtypes(jatlab.load_agent("jatlab-mini").model) == {torch.float32}
    assert dtypes(jatlab.load_agent("jatlab-mini", dtype="bfloat16").model) == {torch.bfloat16}


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
    lines = open("/proc/self/status")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

def load(folder, dtype):
    open("/proc/self/clear_refs", "w").write("5")  # the peak so far is forgotten
    peak, private = status("VmHWM"), status("RssAnon")
    model = jatlab.JatModel.from_pretrained(folder, dtype=dtype)
    # every page is read
    touched = sum(float(p.detach().flatten()[::512].sum()) for p in model.parameters())
    memory = {"peak": status("VmHWM") - peak, "private": status("RssAnon") - private}
    return memory | {"touched": touched}

load(sys.argv[2], None)  # whatever the libraries need once
print(json.dumps({str(dtype): load(sys.argv[1], dtype) for dtype in (None, "bfloat16")}))
"""


@pytest.mark.slow
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
