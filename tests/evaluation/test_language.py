"""Perplexity and exact match: what they count, and the baselines beside them."""

from math import log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jatlab.agents.agent import Agent
from jatlab.evaluation.language import (
    answer,
    document_nats,
    exact_match,
    language_scores,
    majority_answers,
    perplexity,
    pieces_of,
    read_questions,
    unigram_nats,
)
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from tests.support.language_data import documents, picture, write_pictures, write_texts

TWO_LAYERS = dict(num_layers=2, attention_types=[[["global", "local"], 1]])


@pytest.fixture(scope="module")
def agent():
    torch.manual_seed(0)
    return Agent(JatModel(JatConfig.preset("nano", **TWO_LAYERS, initializer_range=0.3)))


@given(length=st.integers(1, 60), half=st.integers(1, 10))
@settings(max_examples=100)
def test_each_token_is_predicted_once_after_half_a_window(length, half):
    """All tokens but the first, and those after the first piece."""
    predicted = []
    for piece, known in pieces_of(np.arange(length), 2 * half):
        assert len(piece) <= 2 * half
        predicted += piece[1:][known:].tolist()
        assert not known or known + 1 >= half
    assert predicted == list(range(1, length))


def test_nats_equal_the_models_own_loss(agent, tmp_path):
    texts = documents(7, longest=30)
    write_texts(tmp_path, "python-docs", texts, "test")
    write_texts(tmp_path, "python-docs", documents(20, seed=1))
    end, expected, tokens = agent.tokenizer.end_id, 0.0, 0
    for text in texts:
        ids = torch.tensor([[end, *agent.tokenizer.encode(text), end]])
        expected += agent.model(input_ids=ids).loss.item() * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    scores = perplexity(agent, "python-docs", tmp_path)
    assert scores["tokens"] == tokens and scores["documents"] == 7
    assert log(scores["perplexity"]) == pytest.approx(expected / tokens, rel=1e-4)
    assert scores["nats_per_byte"] == pytest.approx(expected / sum(map(len, texts)), rel=1e-4)
    words = sum(len(text.split()) for text in texts)
    assert log(scores["perplexity_per_word"]) == pytest.approx(expected / words, rel=1e-4)
    low, high = scores["interval"]
    assert low < scores["perplexity"] < high
    assert perplexity(agent, "python-docs", tmp_path, documents=3)["documents"] == 3


def test_nats_of_captions_are_given_the_picture(agent, tmp_path):
    texts = ["a red ball 2 ahead", "a key", "a locked blue door 3 right, a box 1 left"]
    pictures = [picture(i, 112, 112) for i in range(3)]
    write_pictures(tmp_path, "minigrid-captions", pictures, texts, "test")
    write_pictures(tmp_path, "minigrid-captions", pictures, texts)
    from jatlab.data.language.pictures import open_pictures
    from jatlab.data.windows import to_tensors

    source = open_pictures(
        "minigrid-captions", tmp_path, agent.model.config, agent.tokenizer, split="test"
    )
    nats = document_nats(agent, source, [source.tokens[i] for i in range(3)])
    for row, expected in zip(source.windows(np.random.default_rng(0)), nats, strict=True):
        batch = to_tensors(source.batch(row[None]))
        predicted = batch["input_ids"].shape[1] - 1
        assert agent.model(**batch).loss.item() * predicted == pytest.approx(expected, rel=1e-4)


def test_unigram_is_the_entropy_of_counts():
    counts = np.array([0.0, 1e6, 3e6])
    assert unigram_nats(counts, [np.array([1, 2, 2, 2])]) / 4 == pytest.approx(0.5623, abs=1e-3)
    assert np.isfinite(unigram_nats(counts, [np.array([0])])), "a token that training never showed"


@pytest.mark.slow
def test_only_a_model_that_has_learnt_beats_the_unigram(tmp_path):
    text = "the cat sat on the mat and the dog ran after it all the way home"
    write_texts(tmp_path, "python-docs", [text] * 20)
    write_texts(tmp_path, "python-docs", [text], "test")
    torch.manual_seed(0)
    learner = Agent(JatModel(JatConfig.preset("nano", **TWO_LAYERS)))
    before = perplexity(learner, "python-docs", tmp_path)
    assert before["perplexity"] > before["unigram"]
    end = learner.tokenizer.end_id
    ids = torch.tensor([[end, *learner.tokenizer.encode(text), end]])
    optimizer = torch.optim.Adam(learner.model.parameters(), 3e-3)
    for _ in range(25):
        learner.model(input_ids=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    after = perplexity(learner, "python-docs", tmp_path)
    assert after["unigram"] == before["unigram"]
    assert after["perplexity"] < after["unigram"] / 3


# --- questions

PAIRS = [
    ("what colour is the key?", "red"),
    ("what colour is the box?", "blue"),
    ("what colour is the ball?", "red"),
    ("is there a red key?", "yes"),
]


def write_questions(root):
    train = [
        "Q: what colour is the key? A: red\nQ: is there a box? A: no",
        "Q: what colour is the box? A: red",
        "Q: what colour is the box? A: blue",
        "Q: is there a key? A: no",
    ]
    test = [f"Q: {question} A: {answer}" for question, answer in PAIRS]
    write_pictures(root, "minigrid-questions", [picture(i) for i in range(4)], train)
    write_pictures(root, "minigrid-questions", [picture(9 + i) for i in range(4)], test, "test")


def test_questions_are_read_one_by_one(tmp_path):
    write_questions(tmp_path)
    train, test = (
        list(read_questions("minigrid-questions", tmp_path, split)) for split in ("train", "test")
    )
    assert [(q.text, q.answer) for q in test] == PAIRS
    assert len(train) == 5 and train[0].picture == train[1].picture != train[2].picture
    assert majority_answers(train) == {"colour": "red", "whether": "no"}


def test_exact_match_beside_the_majority_by_type(agent, tmp_path, monkeypatch):
    write_questions(tmp_path)
    given = ["Red.", "red", " red ", "yes it is"]
    monkeypatch.setattr("jatlab.evaluation.language.answer", lambda agent, questions: given)
    scores = exact_match(agent, "minigrid-questions", tmp_path)
    assert scores["exact_match"] == 0.5 and scores["majority"] == 0.5 and scores["questions"] == 4
    assert scores["by_type"]["colour"]["exact_match"] == pytest.approx(2 / 3)
    assert scores["by_type"]["whether"] == {
        "exact_match": 0.0,
        "interval": [0.0, 0.0],
        "majority": 0.0,
        "questions": 1,
    }
    assert 0 <= scores["interval"][0] < 0.5 < scores["interval"][1] <= 1


def test_answers_together_equal_answers_alone(agent, tmp_path):
    write_questions(tmp_path)
    questions = [
        *read_questions("minigrid-questions", tmp_path, "test"),
        *read_questions("minigrid-questions", tmp_path, "train"),
    ]
    together = answer(agent, questions)
    assert together == [answer(agent, [question])[0] for question in questions]
    assert all("\n" not in text for text in together) and len(set(together)) > 1


def test_scores_of_tasks_of_text_and_pictures_alone(agent, tmp_path):
    write_questions(tmp_path)
    write_texts(tmp_path, "python-docs", documents(5))
    write_texts(tmp_path, "python-docs", documents(2, seed=1), "test")
    names = ["python-docs", "minigrid-questions", "babyai-go-to-obj"]
    scores = language_scores(agent, names, tmp_path)
    assert list(scores) == ["python-docs", "minigrid-questions"]
    questions = scores["minigrid-questions"]
    assert "exact_match" in questions and "exact_match" not in scores["python-docs"]
    low, high = questions["perplexity_interval"]
    assert low < questions["perplexity"] < high
    with pytest.raises(FileNotFoundError, match="ok-vqa"):
        language_scores(agent, ["ok-vqa"], tmp_path)


def test_captions_have_no_exact_match(agent, tmp_path):
    for split in ("train", "test"):
        write_pictures(tmp_path, "conceptual-captions", [picture(1)], ["a dog: A: b"], split)
    scores = language_scores(agent, "conceptual-captions", tmp_path)["conceptual-captions"]
    assert "exact_match" not in scores and scores["documents"] == 1 and scores["perplexity"] > 1
