"""The kit's benchmark: which measurements it makes. Its rehearsal runs with the kit's."""

import pytest
import torch

from scripts.gpu.bench import WAYS, Bench, Line

CPU = torch.device("cpu")


def measured(monkeypatch, tokens_per_second):
    """The (way, rows) that are measured, where ``tokens_per_second(way, rows)`` says the speed."""

    def tried(self, preset, kind, way, rows):
        speed = tokens_per_second(way, rows)
        return Line(preset, kind, way, rows, speed, failed="" if speed else "OutOfMemoryError")

    monkeypatch.setattr(Bench, "tried", tried)
    lines = Bench(CPU, rehearse=False).train("paper", "text", WAYS)
    return [(line.way, line.rows) for line in lines]


def test_plain_comes_first_and_is_doubled_three_times(monkeypatch):
    lines = measured(monkeypatch, lambda way, rows: rows if rows <= 256 else 0)
    assert lines[:4] == [("plain", 16), ("plain", 32), ("plain", 64), ("plain", 128)]
    assert lines[4:] == [
        *(("static", rows) for rows in (32, 64, 128, 256, 512)),
        ("usual", 256),
        ("graph", 256),
    ]


@pytest.mark.parametrize("plain", [0, 100])
def test_plain_stops_where_it_fails_or_gains_nothing(monkeypatch, plain):
    lines = measured(monkeypatch, lambda way, rows: plain if way == "plain" else 1)
    assert lines[: len(lines) - 4] == [("plain", 16), ("plain", 32)][: 1 + bool(plain)]
    assert lines[-4:] == [("static", 32), ("static", 64), ("usual", 32), ("graph", 32)]
