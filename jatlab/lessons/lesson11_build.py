"""Exercise 11.5: a reader of safetensors files, built in three steps, against the real library."""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from typing import Any

import numpy as np

from jatlab.lessons.answers import Answer, array, expect, kind, named

# --- one right answer of each step


def header(content: bytes) -> dict[str, Any]:
    """What a file's header says of each tensor: {name: {dtype, shape, data_offsets}}."""
    (length,) = struct.unpack("<Q", content[:8])
    entries = json.loads(content[8 : 8 + length])
    entries.pop("__metadata__", None)
    return entries


def tensor(content: bytes, name: str) -> np.ndarray:
    """The tensor of this name; its place counts from the end of the header."""
    entry = header(content)[name]
    start = 8 + struct.unpack("<Q", content[:8])[0]
    first, end = (start + offset for offset in entry["data_offsets"])
    types = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "U8": np.uint8}
    values = np.frombuffer(content[first:end], types[entry["dtype"]])
    return values.reshape(entry["shape"]).copy()


def write(tensors: dict[str, np.ndarray]) -> bytes:
    """A file that holds these float32 tensors."""
    entries, place = {}, 0
    for name, value in tensors.items():
        end = place + value.nbytes
        entries[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [place, end]}
        place = end
    told = json.dumps(entries).encode()
    data = b"".join(np.ascontiguousarray(value).tobytes() for value in tensors.values())
    return struct.pack("<Q", len(told)) + told + data


STEPS = ("the header", "a tensor", "writing")


def check_reader(head: Answer, read: Answer | None = None, save: Answer | None = None) -> None:
    """Check 11.5: the header alone, or with the later steps."""
    _check_header(head)
    if read is not None:
        _check_tensor(read)
    if save is not None:
        _check_write(save)


@lru_cache(maxsize=1)
def _file() -> tuple[dict[str, np.ndarray], bytes]:
    """Tensors of several types and shapes, and the file that the real library makes of them."""
    from safetensors.numpy import save

    rng = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {
        "wte": rng.normal(size=(5, 3)).astype(np.float32),
        "bias": rng.normal(size=4).astype(np.float32),
        "steps": np.array(41, np.int64),
        "big": rng.normal(size=(2, 2, 2)),
    }
    return tensors, save(tensors, metadata={"format": "pt"})


def _check_header(answer: Answer) -> None:
    tensors, content = _file()
    wanted = "step 1: return a dict with an entry for each tensor"
    raw = answer(content)
    expect(
        not (isinstance(raw, dict) and "__metadata__" in raw),
        "step 1: __metadata__ is no tensor: take it out",
    )
    found = named(raw, tensors, wanted)
    for name, entry in header(content).items():
        got = found[name]
        expect(
            isinstance(got, dict) and set(entry) <= set(map(str, got)),
            f"step 1: the entry of {name} should be a dict with dtype, shape and data_offsets; "
            f"yours is {kind(got)}",
        )
        for key in ("shape", "data_offsets"):
            numbers = array(got[key], f"step 1: the {key} of {name} should be numbers")
            expect(
                numbers.tolist() == entry[key],
                f"step 1: the {key} of {name} should be {entry[key]}, not {numbers.tolist()}",
            )


def _check_tensor(answer: Answer) -> None:
    tensors, content = _file()
    for name, right in tensors.items():
        wanted = f"step 2: the tensor {name} has the shape {right.shape}"
        got = array(answer(content, name), wanted)
        expect(
            got.shape == right.shape,
            f"{wanted}; yours has {got.shape}: a type has its own number of bytes, and the shape "
            "stands in the header",
        )
        expect(
            np.isfinite(got).all() and np.allclose(got, right, rtol=1e-6, atol=1e-7),
            f"step 2: other numbers in {name}: places count from the end of the header, which is "
            "8 bytes and its length, and the dtype says how to read the bytes",
        )


def _check_write(answer: Answer) -> None:
    from safetensors.numpy import load

    tensors = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([2.5], np.float32),
        "c": np.arange(4, dtype=np.float32).reshape(2, 2).T,  # its rows do not lie in order
    }
    content = answer({name: value.copy(order="K") for name, value in tensors.items()})
    expect(
        isinstance(content, bytes | bytearray),
        f"step 3: return bytes; yours is {kind(content)}",
    )
    try:
        found = load(bytes(content))
    except Exception as error:  # the library's own errors are of many types
        expect(
            False,
            f"step 3: the safetensors library refuses your file ({str(error)[:120]}). It is: the "
            "header's length in 8 bytes, little end first; the header as JSON; the numbers",
        )
        return
    expect(
        set(found) == set(tensors), f"step 3: the file should hold a, b and c, not {sorted(found)}"
    )
    for name, right in tensors.items():
        got = found[name]
        expect(
            got.shape == right.shape and got.dtype == right.dtype,
            f"step 3: {name} should come back with shape {right.shape} and type float32, not "
            f"{got.shape} and {got.dtype}",
        )
        expect(
            np.array_equal(got, right),
            f"step 3: {name} comes back with other numbers: are the bytes in the order of the "
            "header, row by row (np.ascontiguousarray)?",
        )
