"""Cells run again after Run All, and the last section alone; `make twice` asks all lessons."""

import os

import pytest

from tests.notebooks.test_notebooks import NOTEBOOKS, complain
from tests.support.rerun import complaints, last_section_alone

QUICK = ("00", "03")  # two that take seconds; the others only where JATLAB_TWICE is set
CHOSEN = [path for path in NOTEBOOKS if os.environ.get("JATLAB_TWICE") or path.name[:2] in QUICK]


@pytest.mark.slow
@pytest.mark.parametrize("path", CHOSEN, ids=lambda path: path.stem)
def test_every_cell_runs_again(path, monkeypatch):
    monkeypatch.setenv("JATLAB_SHORT", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    complain(path.name, complaints(path))


@pytest.mark.slow
@pytest.mark.parametrize("path", CHOSEN, ids=lambda path: path.stem)
def test_the_last_section_alone(path, monkeypatch):
    """After a restart, with the sections that its first line names."""
    monkeypatch.setenv("JATLAB_SHORT", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    complain(path.name, last_section_alone(path))
