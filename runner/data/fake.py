"""Images that are made up, and can be learned."""

from __future__ import annotations

import torch

from runner.config.schema import DataConfig
from runner.data.splits import Split

_SEED, _CLASSES, _TRAIN, _TEST = 20253, 10, 512, 256


def load_fake(cfg: DataConfig) -> tuple[Split, Split, int]:
    """512 training and 256 test images, 3 x 32 x 32: a pattern a class under as much noise."""
    del cfg
    generator = torch.Generator().manual_seed(_SEED)
    patterns = torch.rand(_CLASSES, 3, 32, 32, generator=generator)

    def split(n: int) -> Split:
        labels = torch.arange(n) % _CLASSES
        noise = torch.rand(n, 3, 32, 32, generator=generator)
        return Split((patterns[labels] + noise) / 2, labels)

    return split(_TRAIN), split(_TEST), _CLASSES
