"""Every command of the command line with generated arguments: done, or told what is wrong."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jatlab.cli import main
from tests.support.fuzzing import COUNTS, assert_sentence, fuzz, limit
from tests.support.little_tasks import make_agent

# quick commands, which stay quick whatever is changed: so no demo, mini, bench and measure
COMMANDS = (
    "tasks babyai-go-to-*",
    "record metaworld-reach --episodes 1 --output OUT --workers 0",
    "teachers --json",
    "teach nothing --output OUT",
    "relabel AGENT metaworld-reach --episodes 1 --max-steps 2 --output OUT --workers 0",
    "fetch metaworld-reach --from nowhere --data OUT --episodes 1",
    "convert nowhere OUT --to minari",
    "train --data nowhere --steps 1 --output OUT",
    "evaluate AGENT --tasks metaworld-reach --episodes 1 --max-steps 2 --no-videos",
    "play AGENT babyai-go-to-obj --seed 3 --temperature 0.5",
    "generate AGENT x --max-tokens 2 --top-p 0.5",
    "export AGENT OUT --dtype bfloat16",
    "push AGENT you/agent --dry-run",
    "ablate nothing --output OUT",
    "cost --preset mini --steps 9 --batch 2 --json",
    "verify AGENT",
    "completion bash",
    "no-such-command",
)
WORDS = st.one_of(
    st.integers(-3, 4).map(str),
    st.sampled_from(
        ["nan", "1e400", "-1", "0", str(10**30), "", " ", "x", "é", "../..", "~", "*", "a\0b", "--"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
).filter(lambda word: not word.startswith("/"))  # outside of the test's folder


@pytest.fixture(scope="module")
def agent(tmp_path_factory) -> Path:
    """A small agent's folder."""
    return make_agent(max_continuous_size=48).save_pretrained(tmp_path_factory.mktemp("agent"))


def run(words: list[str], folder: Path) -> tuple[int, str]:
    """Exit status and messages of a command that runs in a folder of its own."""
    said, before = io.StringIO(), Path.cwd()
    home = mock.patch.dict(os.environ, HOME=str(folder))
    no_input = mock.patch("sys.stdin", io.StringIO())
    out = contextlib.redirect_stdout(io.StringIO())
    with home, no_input, out, contextlib.redirect_stderr(said):
        try:
            os.chdir(folder)
            return main(words), said.getvalue()
        except SystemExit as stop:  # argparse's way
            return int(stop.code or 0), said.getvalue()
        finally:
            os.chdir(before)


@fuzz(60)
@given(data=st.data(), command=st.sampled_from(COMMANDS), changes=st.integers(0, 2))
def test_a_command_is_done_or_says_what_is_wrong(agent, tmp_path_factory, data, command, changes):
    folder = tmp_path_factory.mktemp("here") / "a" / "b" / "c"
    folder.mkdir(parents=True)
    names = {"AGENT": str(agent), "OUT": str(folder / "out")}
    words = [names.get(word, word) for word in command.split(" ")]
    for _ in range(changes):
        place = data.draw(st.integers(1, len(words)))
        more = data.draw(st.integers(0, 7)) == 0  # else one word is replaced
        words[place : place + (not more)] = [data.draw(WORDS)]
    with limit():
        code, said = run(words, folder)
    COUNTS["commands", "refused" if code else "right"] += 1
    assert code in (0, 1, 2), said
    if code == 2:
        assert_sentence(said)
    left = [path for path in folder.rglob("*") if ".tmp" in path.name]
    assert not left
