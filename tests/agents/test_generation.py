"""Writing text: the cache changes nothing, settings mean what they say, bad prompts are refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

import jatlab.agents.generation
from jatlab.agents.agent import Agent
from jatlab.agents.generation import TextDecoder, draw, encode_prompt, generate, nucleus
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from tests.support.helpers import small
from tests.support.language_data import as_bytes, picture


@pytest.fixture(scope="module")
def agent():
    torch.manual_seed(0)
    return Agent(
        JatModel(
            JatConfig.preset(
                "nano",
                num_layers=2,
                attention_types=[[["global", "local"], 1]],
                initializer_range=0.3,
            )
        )
    )


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return JatModel(
        small(initializer_range=0.3)
    ).eval()  # 32 positions, local window 5, pictures of 4 patches


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    with_picture=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40)
def test_reading_with_the_cache_equals_reading_anew(model, sizes, with_picture, seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 40, (2, sum(sizes)), generator=generator)
    pixels = torch.randn(2, 3, 16, 16, generator=generator) if with_picture else None
    reader, room, kept, done = TextDecoder(model, 2, pixels), 32 - 4 * with_picture, 0, 0
    for size in sizes:
        logits = reader.read(ids[:, done : done + size])
        done, kept = done + size, kept + size
        if kept > room:  # the window moves to the later half
            kept = max(room // 2, size)
        with torch.no_grad():
            anew = model(
                input_ids=ids[:, done - kept : done], pixel_values=pixels, return_loss=False
            ).logits[:, -1]
        torch.testing.assert_close(logits, anew, atol=1e-4, rtol=1e-4)


def test_a_text_goes_on_beyond_the_positions(agent, monkeypatch):
    monkeypatch.setattr(agent.tokenizer, "end_id", agent.tokenizer.vocab_size - 1)
    text = generate("the", agent, max_tokens=300, temperature=1.5)
    assert len(agent.tokenizer.encode(text)) > 130


def test_a_prompt_longer_than_the_positions_is_read_from_its_end(agent):
    long = "word " * 500 + "and the end"
    assert isinstance(generate(long, agent, max_tokens=3), str)
    reader = TextDecoder(agent.model, 1)
    ids = torch.randint(2, 3000, (1, 400))
    alone = agent.model(input_ids=ids[:, -128:], return_loss=False).logits[:, -1]
    torch.testing.assert_close(reader.read(ids), alone, atol=1e-4, rtol=1e-4)


def test_the_same_seed_writes_the_same_and_another_another(agent):
    texts = [generate("to be", agent, max_tokens=20, seed=seed) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_temperature_zero_takes_the_likeliest_and_needs_no_seed(agent):
    assert generate("to be", agent, max_tokens=10, temperature=0, seed=0) == generate(
        "to be", agent, max_tokens=10, temperature=0, seed=1
    )
    assert generate("to be", agent, max_tokens=10, temperature=0) == likeliest("to be", agent, 10)


def likeliest(prompt, agent, count):
    """What follows a prompt, without a cache."""
    ids = [agent.tokenizer.end_id, *agent.tokenizer.encode(prompt)]
    for _ in range(count):
        with torch.no_grad():
            ids.append(
                int(
                    agent.model(input_ids=torch.tensor([ids]), return_loss=False)
                    .logits[0, -1]
                    .argmax()
                )
            )
    assert agent.tokenizer.end_id not in ids[1:]  # there generating would have stopped
    return agent.tokenizer.decode(ids).removeprefix(prompt)


def test_it_stops_at_the_end_mark(agent, monkeypatch):
    chosen = iter([50, 60, agent.tokenizer.end_id, 70])
    monkeypatch.setattr(jatlab.agents.generation, "draw", lambda *_: torch.tensor([next(chosen)]))
    assert (
        generate("a", agent, max_tokens=10)
        == agent.tokenizer.decode([100, 50, 60])[len(agent.tokenizer.decode([100])) :]
    )


@given(seed=st.integers(0, 1000), top_p=st.floats(0.01, 1.0))
@settings(max_examples=50)
def test_nucleus_keeps_the_fewest_tokens_that_reach_top_p(seed, top_p):
    probabilities = torch.tensor(np.random.default_rng(seed).dirichlet(np.ones(9)))[None]
    kept = nucleus(probabilities, top_p)[0]
    order = probabilities[0].argsort(descending=True)
    count = int((kept > 0).sum())
    assert set(kept.nonzero()[:, 0].tolist()) == set(order[:count].tolist())
    total = probabilities[0][order].cumsum(0)
    assert total[count - 1] >= top_p - 1e-9 and (count == 1 or total[count - 2] < top_p)
    assert kept.sum() == pytest.approx(1)


def test_drawing_follows_the_probabilities():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]])).repeat(20_000, 1)
    generator = torch.Generator().manual_seed(0)
    for temperature, expected in ((1.0, [0.5, 0.3, 0.2]), (0.5, [0.658, 0.237, 0.105])):
        shares = torch.bincount(draw(logits, temperature, 1.0, generator), minlength=3) / len(
            logits
        )
        assert shares.tolist() == pytest.approx(expected, abs=0.015)
    assert set(draw(logits, 1.0, 0.6, generator).tolist()) == {0, 1}


def test_a_picture_is_read_first(agent, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(as_bytes(picture(0, 200, 150)))
    seen = [
        generate("a", agent, image=image, max_tokens=12)
        for image in (path, picture(0, 200, 150), picture(9, 200, 150), None)
    ]
    assert seen[0] == seen[1] and len({seen[0], seen[2], seen[3]}) == 3
    assert isinstance(generate("", agent, image=path, max_tokens=3), str)
    with pytest.raises(ValueError, match="mode 'F'"):
        from PIL import Image

        generate("a", agent, image=Image.new("F", (20, 20)))
    with pytest.raises(FileNotFoundError, match="no picture at"):
        generate("a", agent, image=tmp_path / "absent.png")


def test_an_empty_prompt_begins_a_document(agent):
    assert generate("", agent, max_tokens=5, temperature=0) == likeliest("", agent, 5)


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"temperature": -1}, "temperature is -1"),
        ({"top_p": 0}, "top_p is 0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": "hot"}, "temperature is 'hot'"),
        ({"top_p": float("nan")}, "top_p is nan"),
        ({"top_p": None}, "top_p is None"),
        ({"max_tokens": 2.5}, "max_tokens is 2.5: expected a whole number"),
        ({"seed": -1}, "seed is -1: expected a whole number of at least 0"),
        ({"seed": 2**64}, "seed is 18446744073709551616: expected at most"),
        ({"prompt": 3}, "prompt is a int: expected text"),
    ],
)
def test_settings_out_of_range_are_refused(agent, setting, match):
    with pytest.raises(ValueError, match=match):
        generate(**{"prompt": "a", "agent": agent} | setting)


@pytest.mark.parametrize("temperature", [1e-40, 5e-324])
def test_almost_zero_takes_the_likeliest(agent, temperature):
    expected = likeliest("to be", agent, 10)
    assert generate("to be", agent, max_tokens=10, temperature=temperature) == expected


@given(prompt=st.text(max_size=30))
@settings(max_examples=100)
def test_bytes_know_every_character(prompt):
    tokenizer = TextTokenizer.load()
    assert tokenizer.decode(encode_prompt(tokenizer, prompt)) == prompt.removeprefix(" ")


def test_characters_that_a_tokenizer_does_not_know_are_named():
    words = Tokenizer(
        models.WordLevel(
            {"<pad>": 0, "<end>": 1, "red": 2, "ball": 3, "[UNK]": 4}, unk_token="[UNK]"
        )
    )
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    assert encode_prompt(TextTokenizer(words), "red ball") == [2, 3]
    with pytest.raises(ValueError, match="does not know 'ü', '☃' of the prompt"):
        encode_prompt(TextTokenizer(words), "red ü☃")
    letters = Tokenizer(
        models.BPE({"<pad>": 0, "<end>": 1, "a": 2, "b": 3}, [])
    )  # leaves out what it does not know
    assert encode_prompt(TextTokenizer(letters), "abba") == [2, 3, 3, 2]
    with pytest.raises(ValueError, match="does not know 'é' of the prompt"):
        encode_prompt(TextTokenizer(letters), "abéb")


def test_half_a_character_is_refused():
    with pytest.raises(ValueError, match=r"'\\ud83d', which are halves of characters"):
        encode_prompt(TextTokenizer.load(), "a \ud83d")


def test_command_writes_prompt_and_continuation(agent, tmp_path, capsys):
    from jatlab.agents.checkpoints import save_agent
    from jatlab.cli import main

    folder = save_agent(agent, tmp_path / "agent")
    (tmp_path / "picture.png").write_bytes(as_bytes(picture(0, 50, 50)))
    assert main(["generate", str(folder), "to be", "--max-tokens", "5", "--temperature", "0"]) == 0
    assert (
        capsys.readouterr().out
        == "to be" + generate("to be", agent, max_tokens=5, temperature=0) + "\n"
    )
    assert (
        main(
            [
                "generate",
                str(folder),
                "Q: what is it? A:",
                "--image",
                str(tmp_path / "picture.png"),
                "--max-tokens",
                "3",
                "--seed",
                "4",
            ]
        )
        == 0
    )
    assert main(["generate", str(folder), "a", "--top-p", "2"]) == 2
    assert "top_p is 2.0" in capsys.readouterr().err
