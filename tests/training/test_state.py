"""Atomic folders, polite stopping, and the average of the weights."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch

from jatlab.training.state import (
    EmaWeights,
    checkpoints,
    end_with_launcher,
    interruptible,
    newest,
    tidy,
)
from jatlab.utils.files import atomic_folder
from tests.support import ROOT


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "there") as folder:
        (folder / "half").write_text("…")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "there") as folder:
        (folder / "file").write_text("all")
    assert (tmp_path / "there" / "file").read_text() == "all" and len(list(tmp_path.iterdir())) == 1


def test_asking_again_stops_at_once_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible(patience=0.2) as event:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)  # a launcher passing on the same Ctrl-C
        assert event.is_set()
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_average_follows_the_weights_and_steps_aside():
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0)
    average = EmaWeights(model, 0.5)
    model.weight.data.fill_(1)
    for step in range(8, 11):
        average.update(model, step)
    assert average.values["weight"].item() == pytest.approx(1 - 0.5**3)
    with average.applied(model):
        assert model.weight.item() == pytest.approx(0.875)
    assert model.weight.item() == 1


LAUNCHED = """
import subprocess, sys
code = "import time; from jatlab.training.state import end_with_launcher as e; e(); "
code += "print('ready', flush=True); time.sleep(20); print('alone')"
subprocess.run([sys.executable, "-c", code], start_new_session=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_process_ends_with_the_launcher_that_was_killed():
    environment = os.environ | {"TORCHELASTIC_RUN_ID": "one", "PYTHONPATH": str(ROOT)}
    command, said = [sys.executable, "-c", LAUNCHED], subprocess.PIPE
    launcher = subprocess.Popen(command, env=environment, stdout=said, text=True)
    assert launcher.stdout.readline() == "ready\n"
    launcher.kill()
    assert launcher.stdout.read() == ""  # until the last process has closed it
    launcher.wait()


def test_a_launcher_that_is_gone_already_is_told(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    named = {"RUN_ID": "one", "USE_AGENT_STORE": "True"}
    for name, value in named.items():
        monkeypatch.setenv(f"TORCHELASTIC_{name}", value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    with pytest.raises(ConnectionError, match="launcher of these processes is gone"):
        end_with_launcher()


def test_only_the_run_s_own_folders_are_checkpoints(tmp_path):
    names = ["step-000500", "step-1000000", "step-000500-copy", "step-", "step-old", ".step-1.tmp"]
    for name in names:
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-000500", "step-1000000"]
    assert newest(tmp_path).name == "step-1000000"
    tidy(tmp_path, keep=1)
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == ["step-", "step-000500-copy", "step-1000000", "step-old"]
