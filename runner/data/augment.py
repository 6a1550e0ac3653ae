"""Random crops, flips and cutouts as a function of seed, epoch and image, and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from runner.config.schema import DataConfig
from runner.data.keyed import mix


def uniforms(images: Tensor, seed: int, epoch: int, draw: int) -> Tensor:
    """One number in [0, 1) for each image, float32 ``[b]``.

    Args:
        images: indices of the images in the training set, int64 ``[b]``.
        seed, epoch: of the run.
        draw: numbers of different `draw` are independent.
    """
    # A 32-bit multiplicative hash (constants: C. Wellons' "triple32"), in 64 bits without overflow.
    h = (images + mix(seed, epoch, draw)) & 0xFFFFFFFF
    for shift, factor in ((17, 0xED5AD4BB), (11, 0xAC4C1B51), (15, 0x31848BAB)):
        h = ((h ^ (h >> shift)) * factor) & 0xFFFFFFFF
    h = h ^ (h >> 14)
    return (h >> 8).float() / (1 << 24)


def augmented(batch: Tensor, images: Tensor, cfg: DataConfig, seed: int, epoch: int) -> Tensor:
    """A mini-batch after the augmentation that `cfg` asks for.

    Args:
        batch: images ``[b, c, h, w]``; not changed, and returned as it is where nothing is asked.
        images: their indices in the training set, int64 ``[b]``.
        cfg: ``crop_padding``, ``flip``, ``cutout``.
        seed, epoch: of the run.
    """
    if not (cfg.crop_padding or cfg.flip or cfg.cutout):
        return batch
    b, _, height, width = batch.shape
    rows = torch.arange(height).expand(b, height)
    columns = torch.arange(width).expand(b, width)

    def places(n: int, draw: int) -> Tensor:
        return (uniforms(images, seed, epoch, draw) * n).long().unsqueeze(1)

    if cfg.flip:
        flipped = uniforms(images, seed, epoch, 0) < 0.5
        columns = torch.where(flipped.unsqueeze(1), columns.flip(1), columns)
    if cfg.crop_padding:
        pad = cfg.crop_padding
        batch = F.pad(batch, (pad, pad, pad, pad))
        rows = rows + places(2 * pad + 1, 1)
        columns = columns + places(2 * pad + 1, 2)
    if cfg.flip or cfg.crop_padding:
        # [b, h, w, c] after indexing three dimensions around the channels, then back.
        index = torch.arange(b).view(b, 1, 1)
        batch = batch[index, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
    if cfg.cutout:
        # DeVries and Taylor 2017: the centre lies anywhere, so the square may be cut off.
        above = torch.arange(height) - places(height, 3) + cfg.cutout // 2
        left = torch.arange(width) - places(width, 4) + cfg.cutout // 2
        inside = ((above >= 0) & (above < cfg.cutout)).unsqueeze(2) & (
            (left >= 0) & (left < cfg.cutout)
        ).unsqueeze(1)
        batch = batch.masked_fill(inside.unsqueeze(1), 0.0)
    return batch.contiguous()
