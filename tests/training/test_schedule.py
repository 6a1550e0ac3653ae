"""The learning rate as a function of the epoch."""

from __future__ import annotations

import pytest

from runner.config.schema import OptimConfig
from runner.training.schedule import learning_rate


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.8, 0.8, 0.8, 0.8, 0.8]),
        ("step", [0.8, 0.8, 0.4, 0.4, 0.2]),
        ("exponential", [0.8, 0.4, 0.2, 0.1, 0.05]),
        ("cosine", [0.8, 0.72360680, 0.52360680, 0.27639320, 0.07639320]),
    ],
)
def test_rates_of_five_epochs(schedule, rates):
    cfg = OptimConfig(lr=0.8, schedule=schedule, step_every=2, gamma=0.5)
    assert [learning_rate(cfg, e, 5) for e in range(1, 6)] == pytest.approx(rates, abs=1e-8)
    assert learning_rate(cfg, 0, 5) == 0.8
