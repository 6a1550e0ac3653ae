"""The rules that end a stage of the warm start."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.config import load_config
from runner.training.plateau import RULES, Aggressive, EveryN, Mild, Paper, make_rule, rises

losses_strategy = st.lists(st.floats(0, 10, allow_nan=False), max_size=12)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([], False),
        ([1.0], False),
        ([1.0, 0.9], False),
        ([1.0, 1.0], False),
        ([1.0, 1.00005], False),
        ([1.0, 1.0002], True),
        ([1.0, 0.5, 0.6], True),
        ([0.5, 0.6, 0.4], False),
    ],
)
def test_aggressive_switches_on_a_rise_of_the_last_step(losses, expected):
    assert Aggressive(min_rise=1e-4)(losses, 0) is expected


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([1, 2, 3, 4, 5], False),
        ([6, 5, 4, 3, 2, 1], False),
        ([6, 7, 4, 3, 2, 1], False),
        ([6, 7, 4, 5, 2, 1], True),
        ([1, 2, 3, 2, 1, 0], True),
        ([1, 2, 3, 2, 1, 0, -1], False),
        ([1, 2, 3, 2, 1, 0, -1, 5, -2, 5], True),
    ],
)
def test_mild_wants_two_rises_in_five_steps(losses, expected):
    assert Mild(min_rise=1e-4)(losses, 0) is expected


@given(losses_strategy, st.integers(0, 3))
def test_paper_is_aggressive_for_the_first_four_switches(losses, switches):
    assert Paper(0.01)(losses, switches) == Aggressive(0.01)(losses, switches)


@given(losses_strategy, st.integers(4, 15))
def test_paper_is_mild_afterwards(losses, switches):
    assert Paper(0.01)(losses, switches) == Mild(0.01)(losses, switches)


@given(losses_strategy, st.floats(0, 1))
def test_a_falling_loss_never_switches(losses, min_rise):
    falling = sorted(losses, reverse=True)
    assert not Aggressive(min_rise)(falling, 0)
    assert not Mild(min_rise)(falling, 0)


@given(losses_strategy, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_min_rise_counts_no_more_rises(losses, a, b):
    low, high = sorted((a, b))
    assert rises(losses, high) <= rises(losses, low)


def test_every_n_counts_epochs():
    rule = EveryN(3)
    assert [rule([0.0] * n, 0) for n in range(5)] == [False, False, False, True, True]


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_of_the_configuration_can_be_made(name):
    cfg = load_config(["warm_start.enabled=true", f"warm_start.rule={name}"]).warm_start
    assert make_rule(cfg)([], 0) is False


def test_min_rise_reaches_the_rule():
    cfg = load_config(["warm_start.enabled=true", "warm_start.min_rise=0.5"]).warm_start
    rule = make_rule(cfg)
    assert (rule([1.0, 1.4], 0), rule([1.0, 1.6], 0)) == (False, True)
