"""Scores, and the scale between random and a reference."""

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jatlab.tasks import Score, TaskScores, normalise, scores, task_names, task_scores
from jatlab.tasks.listing import format_tasks, task_table


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Replace the package's score files: ``files(published=..., measured=...)``."""
    monkeypatch.setattr(scores, "FOLDER", tmp_path)

    def write(**contents):
        for name, content in contents.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / f"{name}_scores.json").write_text(text)

    return write


def entry(mean, **others):
    return {"mean": mean, "std": 1.0, "episodes": 100, "seeds": [2_000_000, 2_000_099], **others}


def test_published_scores_are_read():
    pong = task_scores("atari-pong")
    assert pong.published_random.mean == -20.7
    assert (pong.expert, pong.human) == (Score(20.9868, 0.1812), Score(14.6))
    assert pong.jat == Score(16.54, 10.34)


def test_every_task_has_published_random_expert_and_jat():
    for name in task_names():
        found = task_scores(name)
        assert None not in (found.published_random, found.expert, found.jat), name
        assert (found.human is not None) == name.startswith("atari")


def test_only_bowling_and_venture_have_no_scale_by_their_expert():
    without = [name for name in task_names() if normalise(name, [1.0], by="expert") is None]
    assert without == ["atari-bowling", "atari-venture"]
    assert normalise("atari-venture", [100.0], by="human") is not None
    assert normalise("babyai-open", [1.0], by="human") is None


def test_random_is_zero_the_reference_one_and_half_way_a_half():
    got = normalise("atari-pong", [-20.7, 20.9868, (20.9868 - 20.7) / 2], by="expert")
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [0, 1, 0.5], atol=1e-12)


def test_the_measured_scale_uses_only_measured_scores(files):
    published = {"env_id": "x", "random": {"mean": 0.1}, "expert": {"mean": 0.9}}
    measured = {"random": entry(0.2), "teacher": entry(0.6)}
    files(published={"babyai-open": published}, measured={"babyai-open": measured})
    assert task_scores("babyai-open") == TaskScores(
        random=Score(0.2, 1.0, 100, (2_000_000, 2_000_099), "measured"),
        teacher=Score(0.6, 1.0, 100, (2_000_000, 2_000_099), "measured"),
        expert=Score(0.9),
        published_random=Score(0.1),
    )
    np.testing.assert_allclose(normalise("babyai-open", 0.4), 0.5)
    np.testing.assert_allclose(normalise("babyai-open", 0.5, by="expert"), 0.5)


@pytest.mark.parametrize(
    "measured",
    [
        {},
        {"teacher": entry(1.0)},
        {"random": entry(0.2)},
        {"random": entry(0.5), "teacher": entry(0.5)},
        {"random": entry(0.5), "teacher": entry(0.4)},
    ],
)
def test_no_measured_scale_without_a_teacher_above_random(files, measured):
    files(published={"babyai-open": {"random": {"mean": 0.1}}}, measured={"babyai-open": measured})
    assert normalise("babyai-open", [0.4]) is None


def test_scores_written_while_running_are_seen(files, tmp_path):
    assert task_scores("babyai-open") == TaskScores()
    files(measured={"babyai-open": {"teacher": entry(0.6)}})
    assert task_scores("babyai-open").teacher.mean == 0.6
    files(measured={"babyai-open": {"teacher": entry(0.7)}})
    os.utime(tmp_path / "measured_scores.json", (1, 1))
    assert task_scores("babyai-open").teacher.mean == 0.7


def test_a_broken_file_is_named(files):
    files(published='{"babyai-open": ')
    with pytest.raises(ValueError, match="published_scores.json is not valid JSON"):
        task_scores("babyai-open")


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="normalise by teacher, expert, human, not 'gato'"):
        normalise("babyai-open", [0.4], by="gato")
    with pytest.raises(ValueError, match="unknown task"):
        normalise("babyai-opens", [0.4])


@given(
    st.lists(st.floats(-1e6, 1e6), max_size=5),
    st.sampled_from(["atari-pong", "metaworld-reach", "mujoco-pusher"]),
)
def test_the_scale_can_be_undone(returns, name):
    found = task_scores(name)
    random, expert = found.published_random.mean, found.expert.mean
    back = normalise(name, returns, by="expert") * (expert - random) + random
    np.testing.assert_allclose(back, returns, atol=1e-6)


def test_the_table_has_a_row_a_task():
    rows = task_table(task_names())
    assert [row["task"] for row in rows] == task_names()
    reach = rows[task_names().index("metaworld-reach")]
    assert (reach["observation"], reach["action"]) == ("39 numbers", "4 numbers")
    assert (reach["expert"], reach["jat"]) == (681.3714, 347.45)


def words(line):
    return " ".join(line.split())


def test_the_printed_table_numbers_notes_and_marks_random(files):
    scores = {"random": {"mean": 1234.5}, "expert": {"mean": -0.5}}
    measured = {"random": entry(-20.7), "teacher": entry(20.5)}
    files(
        published={"mujoco-pusher": scores, "atari-pong": scores}, measured={"atari-pong": measured}
    )
    header, _, pusher, pong, *rest = format_tasks(["mujoco-pusher", "atari-pong"]).splitlines()
    assert words(header) == "task observation action random teacher expert JAT note"
    assert words(pusher) == "mujoco-pusher 23 numbers 7 numbers 1,234~ - -0.50 - [1]"
    assert words(pong) == "atari-pong 4 frames 84x84 1 of 6 -20.7 20.5 -0.50 -"
    assert rest[-1].startswith("[1] Pusher-v5 instead of Pusher-v4")
    with pytest.raises(ValueError, match="unknown task"):
        format_tasks(["mujoco-push"])
