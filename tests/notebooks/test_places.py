"""Binder, Colab and conda get what the tests run with, as far as files can say it."""

import os
import re
import subprocess
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support import ROOT

FILE = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = FILE["project"]
COLAB = {  # as old as what Colab has is likely to be
    "torch": "2.6.0",
    "numpy": "2.0.2",
    "gymnasium": "1.2.0",
    "matplotlib": "3.10.0",
    "pillow": "11.3.0",
    "ipywidgets": "7.7.1",
    "transformers": "4.57.1",
    "huggingface-hub": "0.36.0",
    "tokenizers": "0.22.1",
    "accelerate": "1.11.0",
    "datasets": "4.0.0",
    "pyarrow": "18.1.0",
}


def requirements(extra: str) -> list[Requirement]:
    """What an extra asks for itself and through other extras; "" are the plain dependencies."""
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found = []
    for line in map(Requirement, lines):
        if line.name != "jatlab":
            found.append(line)
        for inner in line.extras if line.name == "jatlab" else ():
            found += requirements(inner)
    return found


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def constraints() -> dict[str, str]:
    return dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())


def test_colab_keeps_what_it_has():
    for one in requirements("") + requirements("colab"):
        if version := COLAB.get(normal(one.name)):
            assert Version(version) in one.specifier, f"{one} would replace Colab's {version}"
    asked = {one.name for one in requirements("colab")}
    assert not {"jupyterlab", "notebook", "ipykernel", "torchvision"} & asked


def test_every_package_is_pinned():
    asked = {normal(one.name) for one in requirements("") + requirements("all")}
    assert asked <= set(map(normal, constraints()))


def test_binder_has_the_tested_torch_without_cuda():
    environment = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text())
    pip = environment["dependencies"][-1]["pip"]
    assert f"torch=={constraints()['torch']}+cpu" in pip
    assert environment["dependencies"][0] == "python=3.11"


def test_conda_installs_the_package_itself():
    pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    extras = re.fullmatch(r"--editable \.\[([\w,]+)\]", pip[-1])[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    assert pip[0] == "--constraint constraints.txt" and (ROOT / "constraints.txt").exists()


@pytest.mark.parametrize("script", ["postBuild", "start"])
def test_binder_scripts_are_programs(script):
    path = ROOT / "binder" / script
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", path], check=True)


def test_start_hands_over_to_the_command():
    start, script = ROOT / "binder" / "start", 'echo "$OMP_NUM_THREADS|$1"'
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [start, "bash", "-c", script, "bash", "two words"]
    assert subprocess.check_output(command, env=environment, text=True) == "2|two words\n"


def test_postbuild_installs_the_extra_without_jupyterlab():
    text = (ROOT / "binder" / "postBuild").read_text()
    assert '--editable ".[colab]"' in text and "constraints.txt" in text


def test_every_data_file_is_installed():
    """On Colab jatlab is installed from a wheel, which holds only what package-data names."""
    package = ROOT / "jatlab"
    patterns = FILE["tool"]["setuptools"]["package-data"]["jatlab"]
    installed = {path for pattern in patterns for path in package.glob(pattern)}
    files = {path for path in package.rglob("*") if path.is_file()}
    data = {path for path in files if path.suffix not in (".py", ".pyc")}
    missing = sorted(str(path.relative_to(package)) for path in data - installed)
    assert not missing
