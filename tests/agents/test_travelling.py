"""An agent's folder is whole, and its card says what is known."""

import yaml

import jatlab


def test_a_card_says_what_is_known(tmp_path):
    agent = jatlab.Agent.untrained("nano")
    agent.info = {
        "name": "mine",
        "step": 1500,
        "timesteps": 20_000,
        "minutes": 2.5,
        "device": "cpu",
        "data": {"metaworld-reach": {}, "babyai-go-to-obj": {}},
        "before": {"step": 100},
        "versions": {"torch": "2.13"},
    }
    card = (agent.save_pretrained(tmp_path) / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["library_name"] == "jatlab" and front["tags"][-2:] == ["metaworld", "babyai"]
    for words in (
        "# mine",
        "1,500 steps, 20,000 timesteps, 2.5 minutes on cpu, after 100 steps of an earlier",
        'make_env("metaworld-reach"',
        "torch 2.13",
        "temperature 1.",
        "More Information Needed",
    ):
        assert (words in card) is (words != "More Information Needed")


def test_a_card_with_scores_stays_with_its_agent(tmp_path):
    agent = jatlab.load_agent("jatlab-mini")
    agent.save_pretrained(tmp_path)
    again = jatlab.load_agent(tmp_path)
    assert "model-index" in again.card and again.card == agent.card


def test_nothing_is_said_of_a_training_that_is_not_known(tmp_path):
    jatlab.Agent.untrained("nano").save_pretrained(tmp_path)
    assert "Nothing is known about its training" in (tmp_path / "README.md").read_text()
