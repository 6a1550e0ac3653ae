"""The order of the images is a function of (seed, epoch) and nothing else."""

from __future__ import annotations

import pytest
import torch

from runner.data import Split, batches, epoch_order
from runner.data.batches import mix, n_batches


def numbered(n: int) -> Split:
    return Split(torch.arange(n, dtype=torch.float32).view(n, 1, 1, 1), torch.arange(n))


def labels_of(parts) -> list[int]:
    return [int(label) for _, labels in parts for label in labels]


def test_an_epoch_shows_every_image_once():
    assert sorted(labels_of(batches(numbered(23), 5, seed=1, epoch=1))) == list(range(23))


def test_images_stay_with_their_labels():
    for images, labels in batches(numbered(23), 5, seed=1, epoch=1):
        assert torch.equal(images.flatten().long(), labels)


def test_order_ignores_the_global_generator():
    torch.manual_seed(1)
    first = epoch_order(100, seed=3, epoch=2)
    torch.manual_seed(2)
    torch.rand(7)
    assert torch.equal(first, epoch_order(100, seed=3, epoch=2))


@pytest.mark.parametrize("other", [(3, 3), (4, 2), (2, 3)])
def test_another_seed_or_epoch_gives_another_order(other):
    assert not torch.equal(epoch_order(100, 3, 2), epoch_order(100, *other))


def test_start_leaves_out_what_was_seen():
    whole = labels_of(batches(numbered(23), 5, seed=1, epoch=4))
    assert labels_of(batches(numbered(23), 5, seed=1, epoch=4, start=3)) == whole[15:]


@pytest.mark.parametrize(("n", "size", "expected"), [(10, 5, 2), (11, 5, 3), (4, 5, 1)])
def test_number_of_batches(n, size, expected):
    assert n_batches(n, size) == expected
    assert len(list(batches(numbered(n), size, seed=1, epoch=1))) == expected


def test_mix_is_splitmix64():
    # First output of SplitMix64 from the state 0, a published test value; its upper half.
    assert mix(0) == 0xE220A8397B1DCDAF >> 32


def test_mix_minds_the_order_of_its_words():
    assert mix(1, 2) != mix(2, 1)
