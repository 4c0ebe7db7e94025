"""What a bug report is told."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch

import jatlab
from jatlab.cli import main
from jatlab.cli.info import as_text, gather


@pytest.fixture(autouse=True)
def painter(monkeypatch):
    monkeypatch.setenv("JATLAB_RENDERER", "painter")


def shown(capsys):
    assert main(["info", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_info_as_json(capsys):
    info = shown(capsys)
    assert info["jatlab"] == jatlab.__version__ and info["renderer"] == "painter"
    assert info["packages"]["torch"] == torch.__version__
    assert info["devices"][0]["device"] == "cpu"
    assert info["cores"] >= info["threads"] >= 1 and info["disk_free_gb"] > 0
    assert info["shipped_agents"] == ["jatlab-mini"]


def test_info_as_text(capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert f"jatlab     {jatlab.__version__} in " in text
    assert f"torch {torch.__version__}" in text and "renderer   painter" in text
    assert text.isascii() and text == as_text(gather()) + "\n"


def test_every_device_is_listed(monkeypatch, capsys):
    card = SimpleNamespace(name="A card", total_memory=80e9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: card)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    info = shown(capsys)
    assert [one["device"] for one in info["devices"]] == ["cpu", "cuda:0", "cuda:1", "mps"]
    assert "cuda:1 (A card, 80.0 GB)" in as_text(info) and "mps (Apple GPU)" in as_text(info)


def test_without_mujoco_there_is_no_renderer(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    monkeypatch.delitem(sys.modules, "jatlab.tasks.rendering.backends", raising=False)
    info = shown(capsys)
    assert info["renderer"] is None and "none: MuJoCo is missing" in as_text(info)


def test_cached_repositories_are_listed(monkeypatch, capsys):
    import huggingface_hub

    repositories = [
        SimpleNamespace(repo_id="some/small", repo_type="model", size_on_disk=1e6),
        SimpleNamespace(repo_id="some/large", repo_type="dataset", size_on_disk=2e9),
    ]
    found = SimpleNamespace(repos=repositories)
    monkeypatch.setattr(huggingface_hub, "scan_cache_dir", lambda: found)
    info = shown(capsys)
    assert [one["repository"] for one in info["cached"]] == ["some/large", "some/small"]
    assert "cached     dataset some/large, 2.000 GB" in as_text(info)


def test_an_empty_cache_is_no_error(monkeypatch, capsys):
    import huggingface_hub

    def missing():
        raise huggingface_hub.CacheNotFound("no cache", "/nowhere")

    monkeypatch.setattr(huggingface_hub, "scan_cache_dir", missing)
    info = shown(capsys)
    assert info["cached"] == [] and "cached     nothing" in as_text(info)
