"""Devices by name. Those that this machine lacks are tested with mocked availability."""

import pytest
import torch

from jatlab.utils.devices import check_device_name, choose_device


@pytest.fixture
def machine(monkeypatch):
    def pretend(gpus=0, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    "gpus, mps, chosen",
    [(0, False, "cpu"), (0, True, "mps"), (2, False, "cuda"), (1, True, "cuda")],
)
def test_auto_takes_the_fastest_that_is_there(machine, gpus, mps, chosen):
    machine(gpus, mps)
    assert choose_device("auto") == torch.device(chosen)


def test_what_is_there_can_be_named(machine):
    machine(gpus=2, mps=True)
    for name in ("cpu", "cuda", "cuda:0", "cuda:1", "mps"):
        assert str(choose_device(name)) == str(choose_device(torch.device(name))) == name


@pytest.mark.parametrize(
    "name, gpus, found",
    [
        ("cuda", 0, "cpu"),
        ("mps", 0, "cpu"),
        ("cuda:2", 2, "cpu, cuda, cuda:0, cuda:1"),
        ("cuda:0", 0, "cpu"),
    ],
)
def test_what_is_not_there_is_refused(machine, name, gpus, found):
    machine(gpus)
    with pytest.raises(ValueError, match=f"no device '{name}' here: torch finds {found}($|\\.)"):
        choose_device(name)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:0", "CUDA", "", None, 0])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=r"device is .*: expected auto, cpu, cuda"):
        choose_device(name)
    with pytest.raises(ValueError, match="device is"):
        check_device_name(name)
