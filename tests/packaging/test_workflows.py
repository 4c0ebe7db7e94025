"""The workflows, as far as files can say it: what they may do, for how long, and what they call.

A full check of their form needs tools that tests do not install: actionlint, and check-jsonschema
with the schemas vendor.github-workflows, vendor.dependabot and vendor.github-issue-forms.
"""

import re

import pytest
import yaml

from tests.packaging.test_metadata import PROJECT, makefile_targets
from tests.support import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
MAY_WRITE = {"pages", "id-token"}  # for the jobs that publish, and no others


def load(name: str) -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_all_workflows_are_there():
    names = [path.stem for path in WORKFLOWS]
    assert names == ["docs", "release", "tests", "weekly"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
class TestEachWorkflow:
    def test_may_only_read_unless_it_publishes(self, path):
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():
            assert set(job.get("permissions", {})) <= MAY_WRITE
            assert "permissions" not in job or name in ("deploy", "publish")
        assert "secrets." not in path.read_text()

    def test_ends_in_time_and_runs_once(self, path):
        workflow = yaml.safe_load(path.read_text())
        assert workflow["concurrency"]["group"]
        most = {"reliability": 350}  # `make faults` takes hours; a runner has six
        for name, job in workflow["jobs"].items():
            assert 0 < job["timeout-minutes"] <= most.get(name, 90), name

    def test_pins_actions_by_major_version(self, path):
        for step in steps(yaml.safe_load(path.read_text())):
            if "uses" in step:
                assert re.fullmatch(r"[\w./-]+@(v\d+|release/v1)", step["uses"])
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False

    def test_calls_targets_that_exist(self, path):
        calls = re.findall(r"\bmake((?: [\w.=-]+)+)", path.read_text())
        words = {word for call in calls for word in call.split() if "=" not in word}
        assert words <= makefile_targets()


def test_python_versions_are_all_that_are_supported():
    matrix = load("tests.yml")["jobs"]["quick"]["strategy"]["matrix"]["include"]
    linux = {one["python"] for one in matrix if one["system"].startswith("ubuntu")}
    assert linux == {one[-4:] for one in PROJECT["classifiers"] if re.search(r"3\.\d\d$", one)}
    systems = {one["system"].split("-")[0] for one in matrix}
    assert systems == {"ubuntu", "macos", "windows"}


def test_weekly_compatibility_uses_its_targets():
    matrix = load("weekly.yml")["jobs"]["pinned"]["strategy"]["matrix"]["include"]
    assert {one["target"] for one in matrix} <= makefile_targets()


def test_a_release_builds_before_it_publishes():
    jobs = load("release.yml")["jobs"]
    assert jobs["publish"]["needs"] == "build"
    assert any(step.get("run") == "make dist" for step in jobs["build"]["steps"])
    assert jobs["publish"]["permissions"] == {"id-token": "write"}


def test_only_main_is_deployed():
    assert "refs/heads/main" in load("docs.yml")["jobs"]["deploy"]["if"]


@pytest.mark.parametrize("path", [p for p in FORMS if p.stem != "config"], ids=lambda p: p.stem)
def test_issue_forms_ask_and_name_each_field_once(path):
    form = yaml.safe_load(path.read_text())
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_a_bug_says_version_and_system():
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text())
    required = {f["id"] for f in form["body"] if f.get("validations", {}).get("required")}
    assert {"version", "system"} <= required


def test_pre_commit_runs_the_pinned_versions():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    revisions = {one["repo"].rsplit("/", 1)[-1]: one.get("rev", "") for one in repos}
    assert revisions["ruff-pre-commit"] == f"v{pins['ruff']}"
    assert revisions["codespell"] == f"v{pins['codespell']}"
