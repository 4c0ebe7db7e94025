"""Augmented random search learns to balance."""

from jatlab.teachers.fitting.ars import Ars, ArsSettings


def test_random_search_learns_to_balance():
    search = Ars("mujoco-pendulum", ArsSettings(directions=4, best=2, step=0.1, spread=0.1))
    first = search.round()["return"]
    assert first < 60 and any(search.round()["return"] > 3 * first for _ in range(12))
