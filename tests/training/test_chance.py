"""A run that learns nothing is told so, once."""

from __future__ import annotations

import logging

import pytest
import torch

from runner.data import Dataset, Split
from runner.training.chance import ChanceWatch
from runner.training.position import Position


@pytest.fixture
def data():
    split = Split(torch.zeros(1000, 1, 1, 1), torch.arange(1000) % 10)
    return Dataset("toy", split, None, split, 10)


def warnings(data, accuracies, caplog, name="test") -> int:
    watch, at = ChanceWatch(data), Position()
    with caplog.at_level(logging.WARNING, "runner"):
        for accuracy in accuracies:
            watch.look({f"{name}/accuracy": accuracy}, at)
    return sum("at chance" in record.message for record in caplog.records)


def test_the_limit_is_three_standard_errors_above_the_commonest_class(data):
    assert ChanceWatch(data).limit == pytest.approx(0.1 + 3 * (0.09 / 1000) ** 0.5)


@pytest.mark.parametrize(
    ("accuracies", "n"),
    [([0.1, 0.1], 0), ([0.1, 0.12, 0.09], 1), ([0.1] * 9, 1), ([0.1, 0.1, 0.5, 0.1, 0.1], 0)],
)
def test_three_epochs_in_a_row_warn_once(data, accuracies, n, caplog):
    assert warnings(data, accuracies, caplog) == n


def test_validation_images_are_looked_at_where_there_are_some(data, caplog):
    with_val = Dataset("toy", data.train, data.test, data.test, 10)
    assert warnings(with_val, [0.1] * 3, caplog, name="val") == 1
