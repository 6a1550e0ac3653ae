"""Random crops, flips and cutouts as a function of seed, epoch and image, and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from runner.config.schema import DataConfig
from runner.data._torchvision import import_transforms
from runner.data.keyed import mix
from runner.data.splits import Split

_AUTO_AUGMENT = 5


@functools.cache
def _policy() -> Callable[[Tensor], Tensor]:
    transforms = import_transforms()
    return transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)


def _auto_augmented(batch: Tensor, images: Tensor, split: Split, seed: int, epoch: int) -> Tensor:
    """AutoAugment, image by image, each with a generator of its own.

    torchvision draws from torch's global generator; it is set aside for the time.
    """
    mean = torch.zeros(1) if split.mean is None else split.mean
    deviation = torch.ones(1) if split.deviation is None else split.deviation
    pixels = (batch * deviation + mean).mul_(255).round_().clamp_(0, 255).to(torch.uint8)
    policy, found = _policy(), torch.empty_like(pixels)
    with torch.random.fork_rng(devices=[]):
        for i, image in enumerate(images.tolist()):
            torch.default_generator.manual_seed(mix(seed, epoch, _AUTO_AUGMENT, image))
            found[i] = policy(pixels[i])
    return (found.float().div_(255) - mean).div_(deviation)


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


def wanted(cfg: DataConfig) -> bool:
    """Whether `cfg` asks for any augmentation."""
    return bool(cfg.crop_padding or cfg.flip or cfg.cutout or cfg.auto_augment)


def augmented(split: Split, chosen: Tensor, cfg: DataConfig, seed: int, epoch: int) -> Tensor:
    """The images of a mini-batch after the augmentation that `cfg` asks for, ``[b, c, h, w]``.

    Args:
        split: the training set; not changed.
        chosen: indices of the images in it, int64 ``[b]``.
        cfg: ``auto_augment``, then ``flip``, ``crop_padding``, ``cutout``.
        seed, epoch: of the run.
    """
    batch, images = split.images[chosen], chosen
    if not wanted(cfg):
        return batch
    if cfg.auto_augment:
        batch = _auto_augmented(batch, images, split, seed, epoch)
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
