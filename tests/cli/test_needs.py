"""A command that lacks a package says so before it begins to work, and names the extra."""

import re
import sys
import tomllib

import pytest

from jatlab.cli import main
from jatlab.cli.needs import DOMAINS, PACKAGES, for_tasks, need
from jatlab.tasks import DOMAINS as OF_CONTROL
from tests.cli.test_main import commands
from tests.support import ROOT

CASES = {  # command line: the extras that it needs
    "tasks": "",
    "record metaworld-reach --output OUT": "envs train",
    "record python-docs --output OUT": "train",
    "record minigrid-captions --output OUT": "envs train",
    "measure mujoco-ant": "envs",
    "teachers mujoco": "",
    "teachers mujoco-ant --measure": "envs",
    "teach mujoco-ant --output OUT": "envs",
    "relabel jatlab-mini babyai-go-to --output OUT": "envs train",
    "fetch metaworld-reach --data OUT": "train",
    "train --data OUT --output OUT": "train",
    "train --stream some/data metaworld-reach --output OUT": "train",
    "evaluate jatlab-mini --tasks atari-pong --output OUT": "envs",
    "evaluate random --tasks metaworld-reach --no-videos --output OUT": "envs",
    "evaluate jatlab-mini --tasks python-docs --no-videos --output OUT": "envs train",
    "play jatlab-mini mujoco-ant": "envs",
    "play jatlab-mini babyai-go-to --output OUT.mp4": "envs",
    "generate jatlab-mini": "",
    "generate jatlab-mini --image a.png": "envs",
    "export jatlab-mini OUT": "",
    "convert IN OUT --to minari": "train minari",
    "push jatlab-mini you/agent --dry-run": "",
    "verify OUT": "",
    "demo --output OUT": "envs train",
    "mini --output OUT": "envs train",
    "ablate windows --output OUT": "envs train",
    "ablate new-tasks --output OUT": "envs train new-tasks",
    "bench": "train",
    "bench --agent jatlab-mini": "envs",
    "bench --device cpu": "",
    "cost": "",
    "info": "",
    "completion bash": "completion",
}
QUICK = {"tasks", "teachers mujoco", "cost"}  # with nothing missing they are run to their end


def block(monkeypatch, extra):
    for module, (_, its_extra) in PACKAGES.items():
        if its_extra == extra:
            monkeypatch.setitem(sys.modules, module, None)  # as an import that fails


def test_every_command_is_among_the_cases():
    assert {line.split()[0] for line in CASES} == set(commands())


@pytest.mark.parametrize("line", [line for line in CASES if CASES[line]])
def test_each_missing_extra_is_named_before_any_work(line, monkeypatch, capsys, tmp_path):
    argv = [word.replace("OUT", str(tmp_path / "out")) for word in line.split()]
    for extra in CASES[line].split():
        with monkeypatch.context() as patch:
            block(patch, extra)
            assert main(argv) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and list(tmp_path.iterdir()) == []
        pattern = (
            rf'error: jatlab {argv[0]}.* needs the packages? .+: pip install "jatlab\[{extra}\]"\n'
        )
        assert re.fullmatch(pattern, captured.err)


def test_all_extras_that_are_missing_are_named_together(monkeypatch, capsys):
    block(monkeypatch, "envs")
    block(monkeypatch, "train")
    assert main(["record", "metaworld-reach"]) == 2
    assert capsys.readouterr().err == (
        "error: jatlab record needs the packages pyarrow, metaworld, mujoco, pillow: "
        'pip install "jatlab[train,envs]"\n'
    )


@pytest.mark.parametrize("line", sorted(QUICK))
def test_what_needs_nothing_works_without_any_extra(line, monkeypatch, capsys):
    for extra in ("envs", "train", "new-tasks"):
        block(monkeypatch, extra)
    assert main(line.split()) == 0 and capsys.readouterr().out


def test_every_package_is_in_its_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for package, extra in PACKAGES.values():
        assert any(line.startswith(package + ">") for line in extras[extra]), package


def test_every_domain_of_control_says_what_it_needs():
    assert set(OF_CONTROL) < set(DOMAINS)
    assert for_tasks(["metaworld-reach", "mujoco-*"]) == [*DOMAINS["metaworld"], *DOMAINS["mujoco"]]
    assert for_tasks("text") == []


def test_a_package_that_is_there_is_not_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "highway_env", raising=False)
    need("this", "highway_env", "pyarrow")
    assert "highway_env" not in sys.modules
