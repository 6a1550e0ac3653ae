"""What stays with aihwkit, by configuration: LeNet-5 steps as a run would make them."""

from __future__ import annotations

import torch

from benchmark.subjects import TrainingStep
from runner.analog import build_analog
from runner.config import load_config
from runner.models import build_model

SERVED = "residual learning, served by the engine"
CASES: dict[str, tuple[str, ...]] = {
    SERVED: (),
    "pulses: stochastic": ("update.pulse_type=stochastic",),
    "pulses: deterministic implicit": ("update.pulse_type=deterministic_implicit",),
    "pulses: none with device": ("update.pulse_type=none_with_device",),
    "device: piecewise step": ("device=piecewise_step",),
    "passes: io=default": ("io=default",),
    "transfers: ttv3 after every vector": ("algorithm=ttv3",),
    "transfers: ttv4 after every vector": ("algorithm=ttv4",),
    "transfers: ttv3 once a mini-batch": ("algorithm=ttv3", "algorithm.units_in_mbatch=true"),
}
"""Overrides of the default run (6 tiles) by what aihwkit does there."""


def configured_step(overrides: tuple[str, ...]) -> TrainingStep:
    """A step of LeNet-5 on eight random images as the command line would configure it."""
    cfg = load_config(["device.n_states=10", "mapping=whole_layers", *overrides])
    shape = (1, 28, 28)
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(cfg.data.batch_size, *shape, generator=generator)
    labels = torch.randint(0, 10, (cfg.data.batch_size,), generator=generator)
    built = build_analog(build_model(cfg.model, 10, shape), cfg, shape)
    return TrainingStep(built.model, built.optimizer, images, labels)
