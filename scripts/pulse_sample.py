"""Generate the sample of docs/devices.md: the pulse response of simulated soft-bounds devices.

    python scripts/pulse_sample.py > docs/pulse_response_generated.csv

What is true of these devices is known, so that a fit can be held against it.
"""

from __future__ import annotations

import sys

from runner.config import load_config
from runner.device.response import pulse_response

DEVICE = (
    "device=soft_bounds",
    "device.dw_min=0.06",
    "device.up_down=0.1",
    "device.dw_min_dtod=0.1",
    "device.dw_min_std=0.3",
    "device.write_noise_std=0.3",
    "device.w_max_dtod=0",
    "device.w_min_dtod=0",
    "device.up_down_dtod=0",
)
"""The true device."""

N_DEVICES, RAMP, LOOPS, SEED = 4, 50, 1, 1
OFFSET, SCALE = 20.0, 15.0
"""Conductance in microsiemens is OFFSET + SCALE times the weight."""


def sample() -> str:
    """The text of the file."""
    device = load_config(["algorithm=analog_sgd", *DEVICE]).device
    pulses = ([1] * RAMP + [-1] * RAMP) * LOOPS
    weights = pulse_response(device, pulses, N_DEVICES, start=-0.9, seed=SEED)
    lines = [
        "# Generated, not measured: simulated soft-bounds devices (aihwkit), made by",
        "# scripts/pulse_sample.py; in the public domain (CC0).",
        "# Conductance in microsiemens: 5 is w = -1, 35 is w = 1.",
        "device,pulse,conductance",
    ]
    for i in range(N_DEVICES):
        names = ["0", *("up" if p > 0 else "down" for p in pulses)]
        values = OFFSET + SCALE * weights[:, i]
        lines += [f"{i + 1},{n},{v:.4f}" for n, v in zip(names, values, strict=True)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(sample())
