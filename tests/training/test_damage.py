"""A hundred seeded damages of the newest checkpoint: each is named, none is accepted."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runner.training.checkpoint import CheckpointError, CheckpointStore, from_bytes, to_bytes

KINDS = ("cut", "flip", "zeros", "empty", "header")


def damaged(content: bytes, other: bytes, kind: str, rng: random.Random) -> bytes:
    """`content` after one damage; `other` gives the foreign header."""
    data = bytearray(content)
    at = rng.randrange(len(data))
    if kind == "cut":
        return bytes(data[:at])
    if kind == "flip":
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "zeros":
        # A block of zeros over zeros would be no damage.
        while not any(data[at : at + 512]):
            at = rng.randrange(len(data))
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    elif kind == "empty":
        return b""
    else:
        size, foreign = (8 + int.from_bytes(c[:8], "little") for c in (content, other))
        return other[:foreign] + content[size:]
    return bytes(data)


@pytest.fixture
def store(tmp_path):
    store = CheckpointStore(tmp_path / "checkpoints", keep=2)
    generator = torch.Generator().manual_seed(1)
    for epoch in (1, 2):
        tensors = {"w": torch.randn(64, 32, generator=generator), "n": torch.tensor(epoch)}
        store.save(epoch, 0, tensors, {"position": {"epoch": epoch}})
    return store


@pytest.mark.parametrize("seed", range(100))
def test_a_damage_is_named_and_the_one_before_is_used(store, seed):
    rng, kind = random.Random(seed), KINDS[seed % len(KINDS)]
    newest, before = store.files()
    whole, other = newest.read_bytes(), before.read_bytes()
    newest.write_bytes(damaged(whole, other, kind, rng))
    loaded, complaints = store.newest()
    assert loaded.path == before
    assert len(complaints) == 1
    assert newest.name in complaints[0]
    before.write_bytes(damaged(other, whole, kind, rng))
    with pytest.raises(CheckpointError) as caught:
        store.newest()
    assert newest.name in str(caught.value)
    assert before.name in str(caught.value)


CONTENT = to_bytes({"w": torch.arange(6.0)}, {"a": 1})


@given(st.binary(max_size=200), st.integers(0, len(CONTENT)))
def test_arbitrary_bytes_in_a_file_are_refused(rubbish, at):
    content = CONTENT[:at] + rubbish + CONTENT[at + len(rubbish) :]
    if content == CONTENT:
        return
    with pytest.raises((CheckpointError, ValueError, KeyError)):
        from_bytes(content)
