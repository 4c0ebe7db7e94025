"""An agent asked for by its name on the hub: with the network, without it, from the cache, and
where there is none.
"""

import shutil
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants, errors

import jatlab
from jatlab.cli import main
from tests.model.checkpoint.test_shards import split
from tests.support.official import golden_weights, write_official

NAME = "jat-project/jat"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working folder and an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_official(tmp_path_factory.mktemp("published"), golden_weights())


def hub_that(monkeypatch, answer) -> list:
    """Put `answer` (an exception to raise, or a folder to give) in the place of the hub; returns
    the list of what is asked.
    """
    asked = []

    def snapshot_download(name, allow_patterns, **options):
        asked.append((name, allow_patterns))
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


def refused(kind: type, status: int) -> Exception:
    """The hub library's error; all that it asks of a response is here, whichever HTTP library the
    response would come from.
    """
    return kind("no", response=SimpleNamespace(status_code=status, headers={}, request=None))


def cached(published, cache, files=("config.json", "model.safetensors", "tokenizer.json")) -> None:
    """What `snapshot_download` leaves behind."""
    folder = cache / "models--jat-project--jat"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    for name in files:
        shutil.copy(published / name, folder / "snapshots" / ("0" * 40) / name)


def test_the_hub_is_asked_for_what_is_read_and_no_pickle(published, monkeypatch):
    asked = hub_that(monkeypatch, published)
    agent = jatlab.load_agent(NAME)
    assert agent.info["name"] == "jat" and agent.cache_policy == "published"
    ((name, patterns),) = asked
    assert name == NAME and {"config.json", "model.safetensors", "tokenizer.json"} <= set(patterns)
    assert all(
        "*" not in pattern and pattern.endswith((".json", ".safetensors")) for pattern in patterns
    )


@pytest.mark.parametrize(
    "error, reason",
    [
        (refused(errors.RepositoryNotFoundError, 404), "the hub has no such repository"),
        (refused(errors.GatedRepoError, 403), "the repository is gated: accept its terms"),
        (refused(errors.HfHubHTTPError, 503), r"the hub did not give it \(HfHubHTTPError: no\)"),
        (
            errors.LocalEntryNotFoundError("no connection"),
            "the hub cannot be reached, and no complete copy is in the cache",
        ),
        (OSError(28, "No space left on device"), "the hub did not give it .*No space left"),
        (RuntimeError(), r"the hub did not give it \(RuntimeError: no message\)"),
    ],
    ids=["no such name", "gated", "hub down", "no connection", "disk full", "speechless"],
)
def test_why_it_could_not_be_had_and_how_to_go_on(error, reason, elsewhere, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub_that(monkeypatch, error)
    with pytest.raises(FileNotFoundError, match=f"no agent '{NAME}': {reason}") as told:
        jatlab.load_agent(NAME)
    for part in (
        f"the folder {elsewhere / NAME}",
        f"the cache {elsewhere / 'cache'}",
        f"https://huggingface.co/{NAME}/tree/main",
        "config.json, model.safetensors and tokenizer.json",
        "jatlab.load_agent('jatlab-mini')",
    ):
        assert part in str(told.value)


def test_offline_and_not_cached(elsewhere, capsys):
    """Nothing replaced: the real library, in offline mode."""
    with pytest.raises(
        FileNotFoundError,
        match=r"offline mode is on \(HF_HUB_OFFLINE\), and no complete copy is in the cache",
    ):
        jatlab.load_agent("nobody/nothing")
    assert main(["play", NAME, "babyai-go-to-obj"]) == 2
    assert "by hand: where there is network, get config.json" in capsys.readouterr().err


def test_no_network_and_not_cached(monkeypatch):
    """Nothing replaced but the address: a port where nobody answers."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        FileNotFoundError, match="the hub cannot be reached, and no complete copy is in the cache"
    ):
        jatlab.JatModel.from_pretrained(NAME, endpoint="http://127.0.0.1:9")


def test_offline_and_cached(published, elsewhere):
    cached(published, elsewhere / "cache")
    assert jatlab.load_agent(NAME).cache_policy == "published"
    assert jatlab.JatModel.from_pretrained(NAME).config == jatlab.load_agent(NAME).model.config


def test_put_by_hand_where_the_message_says(published, elsewhere):
    shutil.copytree(published, elsewhere / NAME)
    assert jatlab.load_agent(NAME).cache_policy == "published"


def test_a_repository_with_pickled_weights_only(published, elsewhere):
    cached(published, elsewhere / "cache", ("config.json", "tokenizer.json"))
    with pytest.raises(
        FileNotFoundError,
        match="jat holds no model.safetensors, and pytorch_model.bin is not read: loading a pickle",
    ):
        jatlab.load_agent(NAME)


@pytest.mark.parametrize("name", ["runs/agent", "a/b/c", "nobody", "../jat"])
def test_what_can_be_a_path_never_reaches_the_hub(name, elsewhere, monkeypatch):
    (elsewhere / "runs").mkdir()
    asked = hub_that(monkeypatch, OSError("asked"))
    with pytest.raises(
        FileNotFoundError,
        match=f"no agent '{name}': give a folder.*"
        + ("there is a folder runs" if name == "runs/agent" else ""),
    ):
        jatlab.load_agent(name)
    with pytest.raises(FileNotFoundError, match="no folder"):
        jatlab.JatModel.from_pretrained(name)
    assert not asked


@pytest.mark.parametrize("name", ["jat..project/jat", "-jat/x", "jat/x.git"])
def test_what_is_no_name(name):
    with pytest.raises(FileNotFoundError, match="that is no repository's name"):
        jatlab.load_agent(name)


def test_weights_in_several_files_are_fetched_by_their_names(published, monkeypatch, tmp_path):
    whole = jatlab.load_agent(published).model.state_dict()
    remote = split(shutil.copytree(published, tmp_path / "remote"), 2)
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    local, asked = tmp_path / "local", []

    def snapshot_download(name, allow_patterns, **options):
        asked.append((allow_patterns, options))
        local.mkdir(exist_ok=True)
        for file in remote.iterdir():
            if file.name in allow_patterns:
                shutil.copy(file, local)
        return str(local)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    found = jatlab.load_agent(NAME, revision="v2").model.state_dict()
    assert all(torch.equal(value, whole[name]) for name, value in found.items())
    assert asked[1:] == [(shards, {"revision": "v2"})] and len(asked) == 2
    jatlab.load_agent(NAME)
    assert len(asked) == 3, "what is there is not fetched again"
    index = local / "model.safetensors.index.json"
    index.write_text(index.read_text().replace(shards[1], "../../secret.safetensors"))
    shutil.copy(index, remote)
    with pytest.raises(ValueError, match="'../../secret.safetensors': expected a safetensors file"):
        jatlab.load_agent(NAME)
