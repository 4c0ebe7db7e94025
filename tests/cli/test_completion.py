"""A shell completes every command and option: bash is asked as its Tab key does."""

import shutil
import subprocess

import pytest

from jatlab.cli import main
from tests.cli.test_main import commands

pytest.importorskip("shtab")
ASK = """
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_shtab_jatlab
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "jatlab.bash"
    import contextlib

    with open(path, "w") as file, contextlib.redirect_stdout(file):
        assert main(["completion", "bash"]) == 0
    return path


def completed(script, *words):
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    command = ["bash", "-c", ASK, "bash", str(script), *words]
    return set(subprocess.run(command, capture_output=True, text=True).stdout.split())


def test_every_command_is_completed(script):
    assert set(commands()) <= completed(script, "jatlab", "")
    assert completed(script, "jatlab", "reco") == {"record"}


def test_options_and_choices_are_completed(script):
    assert "--episodes" in completed(script, "jatlab", "record", "--ep")
    assert completed(script, "jatlab", "record", "--teacher", "") >= {"teacher", "random"}


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_a_script(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "record" in capsys.readouterr().out
