"""Two processes that write into one folder: one works, the other says why it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jatlab.data.recording.record import record
from jatlab.training.trainer import TrainConfig, train
from jatlab.utils.files import only_writer
from jatlab.utils.manifest import verify
from tests.support.works import KINDS, PLAYED, TASKS, WORKS, Work, finish, start

REFUSED = "another process is writing into"


def locks(folder):
    """The locks that are held in a folder and below."""
    return list(folder.rglob(".*.lock"))


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_second_process_is_refused_in_a_sentence(name, tmp_path):
    work: Work = WORKS[name]
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    work.prepare(source)
    with only_writer(out, *(out / task for task in (*TASKS, *PLAYED))):
        refused = start(work.command, source, out)
        errors = refused.communicate(timeout=120)[1]
        assert refused.returncode == 2 and errors.count("\n") == 1, errors
        assert errors.startswith(f"error: {REFUSED} {out}"), errors
        assert not [path for path in out.rglob("*") if path.suffix != ".lock"]
    finish(work, source, out)
    assert not locks(tmp_path)


def test_the_lock_names_the_folder_and_leaves_nothing(tmp_path):
    folder = tmp_path / "a" / "b"
    with only_writer(folder):
        assert [path.name for path in locks(tmp_path)] == [".b.lock"] and not folder.exists()
        with pytest.raises(BlockingIOError, match=rf"^{REFUSED} {folder}: wait until"):
            only_writer(folder).__enter__()
    assert not list(tmp_path.iterdir())
    with only_writer(folder, tmp_path / "c"):
        folder.mkdir()
    assert list(tmp_path.rglob("*")) == [tmp_path / "a", folder]


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path):
    hold = (
        "import os, sys, pathlib\nfrom jatlab.utils.files import only_writer\n"
        "with only_writer(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", hold, str(tmp_path / "x")], check=False)
    assert len(locks(tmp_path)) == 1  # the file is there, but nobody holds it
    with only_writer(tmp_path / "x"):
        pass
    assert not locks(tmp_path)


def test_other_tasks_of_one_folder_have_their_own_writers(tmp_path):
    with only_writer(tmp_path / "babyai-open-door"):
        record("babyai-go-to-obj", tmp_path, 2, workers=0, progress=False)
        with pytest.raises(BlockingIOError, match=REFUSED):
            record("babyai-open-door", tmp_path, 2, workers=0, progress=False)
    record("babyai-open-door", tmp_path, 2, workers=0, progress=False)
    assert verify(tmp_path) == (4, {}) and not locks(tmp_path)


def test_a_refused_training_leaves_the_other_ones_files(tmp_path):
    record("babyai-go-to-obj", tmp_path / "data", 2, workers=0, progress=False)
    config = TrainConfig(data=str(tmp_path / "data"), output=str(tmp_path / "run"), steps=1)
    with only_writer(tmp_path / "run"), pytest.raises(BlockingIOError, match="run: wait until"):
        train(config)
    assert not (tmp_path / "run").exists()
