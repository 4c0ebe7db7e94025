"""A plan can be cut, shifted and joined."""

from jatlab.teachers.search.plan import ActionPlan


def test_a_plan_is_cut_and_shifted():
    plan = ActionPlan(list("abcd"), [1, 1, 2], [0.0, 1.0, 2.0], [None] * 3, True, True)
    assert plan.head(2).states == list("abc") and not plan.head(2).lost and plan.head(3).lost
    assert plan.rest().actions == [1, 2] and plan.rest().states == list("bcd") and plan.rest().over
    assert plan.changes(1) == 1 and plan.changes(0) == 2
    assert plan.loss() == 2 and plan.head(2).loss() is None
    assert ActionPlan(list("abcd"), [1, 1, 2], [0.0, -1.0, 2.0], [None] * 3).loss() == 1
    assert plan.head(1).followed_by(plan.rest()) == plan
