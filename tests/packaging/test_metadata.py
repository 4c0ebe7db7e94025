"""What a package index, a citation and a reader are told agrees with the package."""

import hashlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import jatlab
from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
APACHE = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # LICENSE-2.0.txt


def makefile_targets() -> set[str]:
    rules = re.findall(r"^([a-z][a-z -]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {target for rule in rules for target in rule.split()}


def unreleased_and_versions() -> list[str]:
    return re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_licence_is_apaches_text_to_the_letter():
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE
    assert PROJECT["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE"]


def test_an_editable_clone_is_found_from_the_folder_above():
    """Setuptools installs a path, and no import hook, where the root of the packages is named."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert tools["setuptools"]["package-dir"] == {"": "."}


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == jatlab.__version__ == citation["version"]
    assert unreleased_and_versions()[:2] == ["Unreleased", jatlab.__version__]


def test_changelog_and_citation_agree_on_the_date():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    heading = f"## [{jatlab.__version__}] - {citation['date-released']}"
    assert heading in (ROOT / "CHANGELOG.md").read_text().splitlines()


def test_citation_names_the_paper():
    references = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    assert "arXiv:2402.09844" in references[0]["identifiers"][0]["value"]


def test_classifiers_are_the_versions_that_are_allowed():
    prefix = "Programming Language :: Python :: 3."
    versions = [one.removeprefix(prefix) for one in PROJECT["classifiers"] if prefix in one]
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    assert versions == [str(minor) for minor in range(int(low), int(high))]


def test_typed_for_users():
    assert (ROOT / "jatlab" / "py.typed").exists()
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_urls_are_of_one_project():
    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog"} == set(PROJECT["urls"])
    assert all("jatlab" in url and url.startswith("https://") for url in PROJECT["urls"].values())


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"])
def test_pages_name_what_exists(page):
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    paths = re.findall(r"`((?:jatlab|tests|scripts|notebooks|docs)/[\w./]+)`", text)
    missing = [path for path in links + paths if "NN" not in path and not (ROOT / path).exists()]
    assert not missing


def test_contributing_names_targets_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = {word for call in re.findall(r"`make ([\w -]+)`", text) for word in call.split()}
    assert named <= makefile_targets()
    assert {"lint", "fast", "test", "docs", "compat", "dist"} <= named


def test_every_target_is_phony():
    text = (ROOT / "Makefile").read_text()
    phony = {
        one for line in re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE) for one in line.split()
    }
    assert makefile_targets() == phony


def test_ci_runs_what_contributing_says():
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec make test"
    assert re.search(r"^test: lint ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_make_shows_what_lint_does():
    shown = subprocess.run(
        ["make", "--dry-run", "lint"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    tools = (
        "ruff check",
        "ruff format --check",
        "mypy",
        "lint-imports",
        "codespell",
        "check_layout",
    )
    assert all(tool in shown for tool in tools)


def test_no_page_names_a_path_of_one_machine():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*.cff"), *(ROOT / ".github").rglob("*.*")]
    assert not [page for page in pages if re.search(r"/(work|tmp|root)/", Path(page).read_text())]
