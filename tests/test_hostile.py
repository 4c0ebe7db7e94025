"""Files that somebody made with bad intent: no code of theirs runs, and no file of ours is read.

Each is given to whatever loads it. The outcome is a sentence that names the file.
"""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

import jatlab
from jatlab.data.episodes import read_episodes
from jatlab.data.language.pictures import open_pictures
from jatlab.data.parquet import write_table
from jatlab.data.recording.language import write_rows
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task
from jatlab.training.recipe import TrainConfig
from jatlab.training.recipe_file import read_recipe
from jatlab.training.trainer import train
from tests.support.language_data import as_bytes, picture
from tests.support.little_tasks import make_agent
from tests.support.synthetic import write_task


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def pickled(tmp_path):
    """The bytes of a pickle, and the file that would tell that it was loaded."""
    return pickle.dumps(Bomb(tmp_path / "ran")), tmp_path / "ran"


AGENT = ("config.json", "model.safetensors", "tokenizer.json", "agent.json", "training.json")


@pytest.mark.parametrize("name", [*AGENT, "manifest.json"])
def test_a_pickle_in_an_agents_folder_is_never_run(pickled, tmp_path, name):
    content, ran = pickled
    folder = make_agent().save_pretrained(tmp_path / "agent")
    (folder / "manifest.json").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        jatlab.load_agent(folder)
    assert not ran.exists()


def test_a_pickle_beside_an_agent_is_not_looked_at(pickled, tmp_path):
    content, ran = pickled
    folder = make_agent().save_pretrained(tmp_path / "agent")
    for name in ("pytorch_model.bin", "model.pt", "optimizer.pt", "agent.pkl"):
        (folder / name).write_bytes(content)
    assert jatlab.load_agent(folder).info["name"] == "agent"
    assert not ran.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "model.safetensors"])
def test_a_pickle_in_a_checkpoint_is_never_run(pickled, tmp_path, name):
    content, ran = pickled
    write_task(tmp_path / "data", "metaworld-reach", [20] * 30)
    output = tmp_path / "run"
    recipe = dict(data=str(tmp_path / "data"), output=str(output), batch_timesteps=64)
    train(TrainConfig(**recipe, steps=1, device="cpu", progress=False))
    folder = next(output.glob("checkpoints/step-*"))
    (folder / "manifest.json").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        train(TrainConfig.of_run(output, steps=2))
    assert not ran.exists()


def test_a_pickle_as_a_recording_is_never_run(pickled, tmp_path):
    content, ran = pickled
    file = tmp_path / "00000.parquet"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="00000.parquet: not a complete Parquet file"):
        read_episodes(file, get_task("metaworld-reach"))
    assert not ran.exists()


def test_a_recipe_cannot_name_functions(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"data: !!python/object/apply:os.system ['touch {tmp_path}/ran']\n")
    with pytest.raises(ValueError, match="is no recipe that can be read"):
        read_recipe(path)
    assert not (tmp_path / "ran").exists()


def test_a_picture_is_never_read_from_elsewhere(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(as_bytes(picture(0)))
    rows = {"images": [{"bytes": None, "path": str(secret)}], "text": ["what is it?"]}
    write_table(tmp_path / "data" / "ok-vqa" / "train" / "00000.parquet", pa.table(rows))
    with pytest.raises(ValueError, match="holds no bytes of a picture"):
        open_pictures("ok-vqa", tmp_path / "data", JatConfig.preset("nano"), TextTokenizer.load())


def test_a_bomb_of_pixels_is_not_unpacked(tmp_path):
    def chunk(name: bytes, content: bytes) -> bytes:
        checked = name + content
        ends = (struct.pack(">I", number) for number in (len(content), zlib.crc32(checked)))
        return next(ends) + checked + next(ends)

    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    parts = [(b"IHDR", size), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    rows = {"images": [png], "text": ["what is it?"]}
    write_rows(tmp_path / "ok-vqa" / "train" / "00000.parquet", rows)
    with pytest.raises(ValueError, match="not a picture that Pillow knows .*decompression bomb"):
        open_pictures("ok-vqa", tmp_path, JatConfig.preset("nano"), TextTokenizer.load())


@pytest.mark.slow
def test_a_bomb_of_a_policy_is_not_unpacked(tmp_path):
    from jatlab.teachers.sb3 import read_zip

    with zipfile.ZipFile(tmp_path / "ppo.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("data", "{}")
        with file.open("policy.pth", "w", force_zip64=True) as part:
            for _ in range(1100):
                part.write(bytes(2**20))
    with pytest.raises(ValueError, match=r"policy.pth unpacks to 1.\d\d GB"):
        read_zip(tmp_path / "ppo.zip")


@pytest.mark.slow
def test_a_bomb_of_a_minari_data_set_is_not_unpacked(tmp_path):
    h5py = pytest.importorskip("h5py")
    from jatlab.data.convert.command import convert

    write_task(tmp_path / "data", "metaworld-reach", [4, 5])
    convert(tmp_path / "data", tmp_path / "minari", "minari")
    [file] = tmp_path.glob("minari/jatlab/*/data/main_data.hdf5")
    with h5py.File(file, "r+") as stored:
        del stored["episode_0"]["rewards"]
        shape = (2**32,)
        stored["episode_0"].create_dataset(
            "rewards", shape, np.float32, chunks=(2**20,), compression=9
        )
    with pytest.raises(ValueError, match="episode_0/rewards has 17.2 GB"):
        convert(tmp_path / "minari", tmp_path / "again", "jatlab")


def test_saving_replaces_a_link_and_not_what_it_points_to(tmp_path):
    folder = make_agent().save_pretrained(tmp_path / "agent")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in AGENT:
        (folder / name).unlink()
        (folder / name).symlink_to(victim)
    make_agent().save_pretrained(folder)
    assert victim.read_text() == "precious"
    assert not any((folder / name).is_symlink() for name in AGENT)
    jatlab.load_agent(folder)


def test_a_link_to_a_file_of_ours_tells_nothing_of_it(tmp_path):
    folder = make_agent().save_pretrained(tmp_path / "agent")
    (folder / "manifest.json").unlink()
    secret = tmp_path / "secret"
    secret.write_text("the password is swordfish")
    for name in AGENT:
        shutil.copy(folder / name, tmp_path / "kept")
        (folder / name).unlink()
        (folder / name).symlink_to(secret)
        with pytest.raises(ValueError) as refused:
            jatlab.load_agent(folder)
        assert "swordfish" not in str(refused.value)
        (folder / name).unlink()
        shutil.copy(tmp_path / "kept", folder / name)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "metaworld-reach/../../x", "..", "a\0b"])
def test_a_tasks_name_never_leads_elsewhere(name):
    with pytest.raises(ValueError, match="unknown task|no task"):
        get_task(name)


SCRIPT = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`${x}"


def test_script_in_names_and_missions_is_text_in_the_report(tmp_path):
    from jatlab.viz.report.write import write_report
    from tests.viz.report.samples import Page, results

    write_report(results(name=SCRIPT, mission=SCRIPT), tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    assert page.all("script") == []
    assert not any("onerror" in dict(attributes) for attributes in page.all("img"))
    front_matter, card = (tmp_path / "README.md").read_text().split("\n---\n", 1)
    assert yaml.safe_load(front_matter)["model-index"][0]["name"] == SCRIPT
    assert "<script>" not in card and "&lt;script>" in card
