"""Augmentation: a function of seed, epoch and image; nothing is lost or invented."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from runner.config.schema import DataConfig
from runner.data import batches
from runner.data.augment import augmented, uniforms
from runner.data.splits import Split, normalized, to_split

NONE = DataConfig()
CROP = dataclasses.replace(NONE, crop_padding=2)
FLIP = dataclasses.replace(NONE, flip=True)
CUTOUT = dataclasses.replace(NONE, cutout=4)
ALL = dataclasses.replace(NONE, crop_padding=2, flip=True, cutout=4)
IDS = torch.arange(200)
IMAGES = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.1
SPLIT = Split(IMAGES, IDS % 10)
BYTES = torch.randint(0, 256, (60, 3, 32, 32), generator=torch.Generator().manual_seed(1))
AUTO = dataclasses.replace(NONE, auto_augment=True)


@pytest.mark.parametrize("cfg", [NONE, CROP, FLIP, CUTOUT, ALL])
def test_an_image_does_not_depend_on_its_batch(cfg):
    whole = augmented(SPLIT, IDS, cfg, seed=3, epoch=2)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    for rows in order.split(7):
        assert torch.equal(augmented(SPLIT, rows, cfg, seed=3, epoch=2), whole[rows])


def test_seed_and_epoch_count():
    first = augmented(SPLIT, IDS, ALL, seed=3, epoch=2)
    assert torch.equal(first, augmented(SPLIT, IDS, ALL, seed=3, epoch=2))
    assert not torch.equal(first, augmented(SPLIT, IDS, ALL, seed=3, epoch=3))
    assert not torch.equal(first, augmented(SPLIT, IDS, ALL, seed=4, epoch=2))


def test_a_flip_mirrors_about_half_of_the_images():
    after = augmented(SPLIT, IDS, FLIP, seed=1, epoch=1)
    mirrored = (after == IMAGES.flip(3)).flatten(1).all(1)
    assert ((after == IMAGES).flatten(1).all(1) | mirrored).all()
    assert 70 <= int(mirrored.sum()) <= 130  # 4.2 standard deviations


def test_a_crop_is_a_shift():
    after = augmented(SPLIT, IDS, CROP, seed=1, epoch=1)
    padded = torch.nn.functional.pad(IMAGES, (2, 2, 2, 2))
    found = set()
    for i in range(200):
        shifts = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(after[i], padded[i, :, y : y + 8, x : x + 8])
        ]
        assert len(shifts) == 1
        found.add(shifts[0])
    assert len(found) == 25


def test_a_cutout_blanks_a_square():
    after = augmented(SPLIT, IDS, CUTOUT, seed=1, epoch=1)
    blank = (after == 0).all(1)
    assert torch.equal(
        after[~blank.unsqueeze(1).expand_as(after)], IMAGES[~blank.unsqueeze(1).expand_as(after)]
    )
    areas = blank.flatten(1).sum(1)
    assert int(areas.max()) == 16
    assert int(areas.min()) >= 4


def test_uniform_numbers_are_uniform_and_independent():
    n = 100_000
    ids = torch.arange(n)
    u, v = uniforms(ids, 1, 1, 0), uniforms(ids, 1, 1, 1)
    counts = torch.histc(u, 20, 0, 1)
    chi_square = float(((counts - n / 20) ** 2 / (n / 20)).sum())
    assert chi_square < 43.8  # 0.1 % quantile of 19 degrees of freedom
    assert abs(float(torch.corrcoef(torch.stack([u, v]))[0, 1])) < 4 / n**0.5
    assert abs(float(torch.corrcoef(torch.stack([u[1:], u[:-1]]))[0, 1])) < 4 / n**0.5


def test_auto_augment_changes_most_images_and_keeps_its_hands_off_the_generator():
    split = to_split(BYTES.byte(), torch.arange(60) % 10)
    before = torch.get_rng_state()
    after = augmented(split, IDS[:60], AUTO, seed=1, epoch=1)
    assert torch.equal(torch.get_rng_state(), before)
    changed = (after != split.images).flatten(1).any(1)
    assert 20 <= int(changed.sum()) < 60  # the policy leaves some as they are
    assert torch.equal(after[~changed], split.images[~changed])
    assert after.min() >= 0
    assert after.max() <= 1
    parts = [augmented(split, rows, AUTO, seed=1, epoch=1) for rows in IDS[:60].split(7)]
    assert torch.equal(torch.cat(parts), after)
    assert not torch.equal(augmented(split, IDS[:60], AUTO, seed=1, epoch=2), after)


def test_auto_augment_sees_the_same_pixels_whether_or_not_images_are_normalized():
    split = to_split(BYTES.byte(), torch.arange(60) % 10)
    shifted, _ = normalized(split, split)
    plain = augmented(split, IDS[:60], AUTO, seed=1, epoch=1)
    back = augmented(shifted, IDS[:60], AUTO, seed=1, epoch=1)
    assert shifted.mean is not None
    assert shifted.deviation is not None
    torch.testing.assert_close(back * shifted.deviation + shifted.mean, plain, atol=1e-5, rtol=0)


def test_workers_change_no_bit():
    split = to_split(BYTES.byte(), torch.arange(60) % 10)
    cfg = dataclasses.replace(ALL, auto_augment=True)
    alone = list(batches(split, 8, seed=1, epoch=3, start=2, augment=cfg))
    helped = list(
        batches(split, 8, seed=1, epoch=3, start=2, augment=dataclasses.replace(cfg, workers=2))
    )
    assert len(alone) == len(helped) == 6
    for (a, b), (c, d) in zip(alone, helped, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)
