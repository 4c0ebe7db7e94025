"""Manifests: a changed, cut or missing file is found and named, and nothing else is."""

from __future__ import annotations

import json
import shutil

import pytest

from jatlab.cli import main
from jatlab.utils import manifest


@pytest.fixture
def folder(tmp_path):
    """Two files, of which the manifest lists one, and a folder below with another manifest."""
    (tmp_path / "listed.bin").write_bytes(b"right")
    (tmp_path / "other.bin").write_bytes(b"not listed")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "more.bin").write_bytes(b"more")
    manifest.seal(tmp_path, ["listed.bin"])
    manifest.seal(tmp_path / "below", ["more.bin"])
    return tmp_path


def test_an_entry_is_size_and_hash(folder):
    entry = manifest.read_manifest(folder)["listed.bin"]  # by: printf right | sha256sum
    sha256 = "27042f4e6eca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad9"
    assert entry == {"bytes": 5, "sha256": sha256}
    assert manifest.problem(folder / "listed.bin", entry) is None


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"wrong", "has 5 bytes, as it should, but other ones"),
        (b"four", "has 4 bytes instead of 5"),
    ],
)
def test_a_changed_file_is_named(folder, content, problem):
    (folder / "listed.bin").write_bytes(content)
    with pytest.raises(ValueError, match=f"listed.bin {problem}: .*jatlab verify --accept"):
        manifest.check_file(folder / "listed.bin")


def test_what_is_not_listed_is_not_checked(folder):
    (folder / "other.bin").write_bytes(b"anything")
    manifest.check_file(folder / "other.bin")
    manifest.check_file(folder / "listed.bin")
    manifest.check_files(folder, ["other.bin", "listed.bin", "nowhere.bin"])


def test_a_missing_file_is_named(folder):
    (folder / "listed.bin").unlink()
    with pytest.raises(ValueError, match="listed.bin is missing"):
        manifest.check_present(folder)
    manifest.forget([folder / "listed.bin"])
    manifest.check_present(folder)
    assert manifest.read_manifest(folder) == {}


def test_a_file_may_be_listed_one_folder_up(folder):
    manifest.seal(folder, ["below/more.bin"])
    (folder / "below" / "more.bin").write_bytes(b"less")
    with pytest.raises(ValueError, match="more.bin has 4 bytes, as it should, but other ones"):
        manifest.check_file(folder / "below" / "more.bin")
    manifest.forget([folder / "below" / "more.bin"])
    manifest.check_file(folder / "below" / "more.bin")
    assert "listed.bin" in manifest.read_manifest(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 2, "files": {}}',
        '{"format": 1, "files": ["a"]}',
        '{"format": 1, "files": {"a": {"bytes": "5", "sha256": "0"}}}',
        '{"format": 1, "files": {"a": {"bytes": 5}}}',
        '{"format": 1, "files": {"../a": {"bytes": 5, "sha256": "0"}}}',
        '{"format": 1, "files": {"/etc/passwd": {"bytes": 5, "sha256": "0"}}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_manifest_is_named(folder, text):
    (folder / manifest.FILE).write_text(text)
    with pytest.raises(ValueError, match=r"manifest.json is no manifest .*: delete it"):
        manifest.check_file(folder / "listed.bin")
    manifest.accept(folder)
    assert set(manifest.read_manifest(folder)) == {"listed.bin", "other.bin", "below/more.bin"}


def test_the_command_checks_and_accepts(folder, capsys):
    assert main(["verify", str(folder)]) == 0
    assert capsys.readouterr().out == "2 files checked, 0 of them not as they were written\n"
    (folder / "below" / "more.bin").write_bytes(b"less")
    (folder / "listed.bin").unlink()
    assert main(["verify", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "more.bin has 4 bytes, as it should, but other ones" in out
    assert "listed.bin is missing" in out and "2 files checked, 2 of them" in out
    assert main(["verify", str(folder), "--accept"]) == 0
    assert main(["verify", str(folder)]) == 0
    assert "1 files are listed" in capsys.readouterr().out


def test_the_command_says_where_nothing_is_to_check(tmp_path, capsys):
    assert main(["verify", str(tmp_path)]) == 2
    assert "has no manifest.json" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "nowhere")]) == 2
    assert "no folder" in capsys.readouterr().err


# --- what has one ---


def test_an_agent_with_another_byte_is_refused(tmp_path):
    import jatlab
    from tests.support.little_tasks import make_agent

    make_agent().save_pretrained(tmp_path / "agent")
    assert set(manifest.read_manifest(tmp_path / "agent")) == set(jatlab.agents.travelling.SEALED)
    for name in jatlab.agents.travelling.SEALED:
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "agent", copy)
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} has .* bytes, as it should, but other"):
            jatlab.load_agent(copy)
        shutil.rmtree(copy)


def test_an_agent_that_was_half_saved_is_refused(tmp_path):
    """A stop between two files of a second saving leaves files that do not belong together."""
    import jatlab
    from tests.support.little_tasks import make_agent

    make_agent().save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "agent.json").read_text())
    (tmp_path / "agent.json").write_text(json.dumps(settings | {"temperature": 0.25}))
    with pytest.raises(ValueError, match="agent.json has"):
        jatlab.load_agent(tmp_path)
    manifest.accept(tmp_path)
    assert jatlab.load_agent(tmp_path).settings.temperature == 0.25


def recorded(root, episodes=60, **options):
    """Two files of quick episodes."""
    from jatlab.data.recording.record import record

    record("metaworld-reach", root, episodes=episodes, workers=0, progress=False, **options)
    return root / "metaworld-reach"


@pytest.mark.slow
def test_a_recording_lists_its_files_and_goes_on(tmp_path):
    from jatlab.data.episodes import read_episodes
    from jatlab.tasks import get_task

    folder, task = recorded(tmp_path), get_task("metaworld-reach")
    before = manifest.read_manifest(folder)
    assert set(before) == {"train/00000.parquet", "train/00001.parquet", "recording.json"}
    recorded(tmp_path, episodes=70)  # the second file is made longer
    after = manifest.read_manifest(folder)
    assert manifest.verify(tmp_path) == (3, {})
    assert before["train/00000.parquet"] == after["train/00000.parquet"]
    assert before["train/00001.parquet"] != after["train/00001.parquet"]
    assert len(read_episodes(folder / "train", task)) == 70


@pytest.mark.slow
def test_a_recording_with_a_changed_or_lost_file_is_refused(tmp_path):
    from jatlab.data.storage import EpisodeStore
    from jatlab.tasks import get_task

    task = get_task("metaworld-reach")
    first, second = (recorded(tmp_path) / "train" / f"0000{i}.parquet" for i in (0, 1))
    content = first.read_bytes()
    first.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    with pytest.raises(ValueError, match="00000.parquet has .* bytes, as it should, but other"):
        EpisodeStore.open(task, tmp_path)
    first.unlink()
    with pytest.raises(ValueError, match="00000.parquet is missing"):
        EpisodeStore.open(task, tmp_path)
    recorded(tmp_path)  # makes it anew, with the same bytes
    assert first.read_bytes() == content and second.is_file()
    assert EpisodeStore.open(task, tmp_path).lengths.size == 60


@pytest.mark.slow
def test_a_training_state_with_another_byte_is_refused(tmp_path):
    import jatlab
    from jatlab.training.recipe import TrainConfig
    from jatlab.training.trainer import train
    from tests.support.synthetic import write_task

    write_task(tmp_path / "data", "metaworld-reach", [20] * 30)
    output = tmp_path / "run"
    recipe = dict(data=str(tmp_path / "data"), output=str(output), batch_timesteps=64)
    train(TrainConfig(**recipe, steps=2, device="cpu", progress=False))
    assert manifest.verify(output)[1] == {}
    state = next(output.glob("checkpoints/step-*")) / "state.safetensors"
    content = bytearray(state.read_bytes())
    content[-1] ^= 1
    state.write_bytes(content)
    again = TrainConfig.of_run(output, steps=4)
    with pytest.raises(ValueError, match="state.safetensors has .* but other ones"):
        train(again)
    assert jatlab.load_agent(output).info["step"] == 2


@pytest.mark.slow
def test_a_report_lists_what_it_wrote(tmp_path):
    from jatlab.viz.report.write import write_report
    from tests.viz.report.samples import results

    write_report(results(), tmp_path)
    listed = manifest.read_manifest(tmp_path)
    assert {"report.json", "report.html"} < set(listed) and "README.md" not in listed
    assert manifest.verify(tmp_path) == (len(listed), {})
