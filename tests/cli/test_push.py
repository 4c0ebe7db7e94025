"""What `jatlab push` sends: all that belongs to an agent or to recordings, and nothing else."""

import json
from fnmatch import fnmatch
from pathlib import Path

import huggingface_hub
import pytest

import jatlab
from jatlab.cli import main
from jatlab.data.storage import EpisodeStore
from jatlab.tasks import get_task
from tests.support.synthetic import write_task

FILES = ["README.md", "agent.json", "config.json", "manifest.json", "model.safetensors"]
FILES += ["tokenizer.json", "training.json"]


class Hub:
    """A stand-in for the hub: keeps what it is sent."""

    def __init__(self):
        self.made, self.files = [], {}

    def __call__(self, token=None):
        return self

    def create_repo(self, repo_id, **options):
        self.made.append((repo_id, options))

    def upload_folder(self, repo_id, folder_path, allow_patterns, **options):
        for file in Path(folder_path).rglob("*"):
            name = file.relative_to(folder_path).as_posix()
            if file.is_file() and any(fnmatch(name, pattern) for pattern in allow_patterns):
                self.files[name] = file.read_bytes()


@pytest.fixture
def hub(monkeypatch):
    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", hub)
    return hub


@pytest.fixture
def agent(tmp_path):
    folder = tmp_path / "my-agent"
    agent = jatlab.Agent.untrained("nano")
    agent.settings = agent.settings.replace(temperature=0.25)
    agent.info = {"name": "mine", "step": 7, "data": {"metaworld-reach": {}}}
    return agent.save_pretrained(folder)


def test_an_agent_goes_whole_and_nothing_else(agent, hub, tmp_path, capsys):
    (agent / "checkpoints").mkdir()
    (agent / "checkpoints" / "state.safetensors").write_bytes(b"moments")
    (agent / "log.jsonl").write_text("{}")
    assert main(["push", str(agent), "you/my-agent", "--private"]) == 0
    assert sorted(hub.files) == FILES
    assert hub.made == [("you/my-agent", {"repo_type": "model", "private": True, "exist_ok": True})]
    for name, data in hub.files.items():
        (tmp_path / "fetched").mkdir(exist_ok=True)
        (tmp_path / "fetched" / name).write_bytes(data)
    again = jatlab.load_agent(tmp_path / "fetched")
    assert again.temperature == 0.25 and again.info["step"] == 7
    assert "https://huggingface.co/you/my-agent" in capsys.readouterr().out


def test_a_dry_run_lists_everything_and_sends_nothing(agent, hub, capsys):
    assert main(["push", str(agent), "you/my-agent", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in FILES) and "in 7 files" in shown
    assert "nothing was sent" in shown and not hub.made and not hub.files


def test_a_reports_card_and_scores_go_along(agent, hub, tmp_path, capsys):
    report = tmp_path / "report"
    report.mkdir()
    command = ["push", str(agent), "you/my-agent", "--report", str(report)]
    assert main(command) == 2 and "did jatlab evaluate write it" in capsys.readouterr().err
    (report / "README.md").write_text("# With scores\n")
    (report / "report.json").write_text("{}")
    assert main(command) == 0
    assert hub.files["README.md"] == b"# With scores\n" and "report.json" in hub.files


def test_recordings_go_without_their_flat_copies(hub, tmp_path, capsys):
    write_task(tmp_path, "metaworld-reach", [3, 3])
    EpisodeStore.open(get_task("metaworld-reach"), tmp_path)  # writes the flat copy
    (tmp_path / "metaworld-reach" / "train" / ".left.tmp.parquet").write_bytes(b"half")
    assert main(["push", str(tmp_path), "you/data"]) == 0
    assert all(name.endswith((".parquet", "README.md", ".json")) for name in hub.files)
    assert "README.md" in hub.files and not any("cache" in name for name in hub.files)
    assert not any(".left" in name for name in hub.files)
    assert hub.made[0][1]["repo_type"] == "dataset"
    assert "huggingface.co/datasets/you/data" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        (["random", "you/agent"], "it has no weights"),
        (["jatlab-mini", "agent"], "OWNER/NAME, such as you/my-agent, not 'agent'"),
        (["nobody", "you/agent"], "no agent 'nobody'"),
    ],
)
def test_mistakes_end_in_a_sentence(words, message, hub, capsys):
    assert main(["push", *words]) == 2
    assert message in capsys.readouterr().err and not hub.made


def test_a_shipped_agent_goes_with_its_scores_in_bfloat16(hub):
    assert main(["push", "jatlab-mini", "you/demo", "--dtype", "bfloat16"]) == 0
    assert sorted(hub.files) == sorted([*FILES, "report.json"])
    assert b"model-index" in hub.files["README.md"]
    assert b'"BF16"' in hub.files["model.safetensors"][:10_000]


def test_an_agent_pushes_itself(hub):
    agent = jatlab.Agent.untrained("nano")
    assert agent.push_to_hub("you/nano") == "https://huggingface.co/you/nano"
    assert sorted(hub.files) == FILES
    assert json.loads(hub.files["agent.json"])["temperature"] == 1.0
