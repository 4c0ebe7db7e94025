"""Bars print lines into files, redraw on terminals, and are hidden on request."""

import io
import re
from pathlib import Path

import pytest
from tqdm import tqdm

from jatlab.cli import main
from jatlab.utils import bars
from jatlab.utils.bars import Lines, hidden, progress_bar
from tests.support import ROOT


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    return now


def test_in_a_file_a_bar_prints_a_line_every_ten_seconds(clock, monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    with progress_bar(total=100, unit=" episodes", mininterval=0, miniters=1) as bar:
        for _ in range(50):  # half a second each
            clock[0] += 0.5
            bar.update()
            bar.set_postfix_str("words")  # redraws at once on a terminal
    lines = file.getvalue().splitlines()
    assert [re.search(r"(\d+)/100", line)[1] for line in lines] == ["20", "40", "50"]
    assert "\r" not in file.getvalue()
    assert all(line == line.strip() for line in lines)


def test_on_a_terminal_it_redraws(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress_bar(total=2) as bar:
        bar.update(2)
    assert not isinstance(bar, Lines) and "\r" in terminal.getvalue()


@pytest.mark.parametrize("value, shown", [("1", False), ("true", False), ("0", True), ("", True)])
def test_tqdm_disable_is_obeyed(value, shown, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", value)
    assert progress_bar().disable is not shown


def test_hidden_ends_with_its_block():
    with hidden():
        assert progress_bar().disable
    assert not progress_bar().disable and progress_bar(False).disable


def test_quiet_hides_the_bars_of_a_command(tmp_path, capsys):
    command = ["record", "babyai-go-to-obj", "--episodes", "1", "--workers", "0"]
    assert main([*command, "--output", str(tmp_path / "shown")]) == 0
    assert "1/1" in capsys.readouterr().err
    assert main([*command, "--output", str(tmp_path / "quiet"), "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and "1 episodes" in captured.out


def test_all_bars_of_the_package_are_made_here():
    made = [
        path.name
        for path in Path(ROOT / "jatlab").rglob("*.py")
        if re.search(r"\btqdm\(", path.read_text()) and path.name != "bars.py"
    ]
    assert made == [] and issubclass(Lines, tqdm)
