"""Checkpoint files: whole or refused, never executed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from runner.files import write_atomic
from runner.training.checkpoint import (
    CheckpointError,
    CheckpointStore,
    from_bytes,
    load,
    to_bytes,
)

TENSORS = {
    "w": torch.tensor([[1.0, float("nan")], [-0.0, 1e-45]]),
    "count": torch.tensor(2**62),
    "mask": torch.tensor([True, False]),
    "empty": torch.zeros(0, 3),
    "view": torch.arange(6.0).view(2, 3).T,
}
DOCUMENT = {"loss": 0.1 + 0.2, "name": 'a "sha256":"' + "0" * 64 + '" b', "list": [1, None, "ü"]}
CONTENT = to_bytes(TENSORS, DOCUMENT)


def raw(t: torch.Tensor) -> bytes:
    return t.contiguous().numpy().tobytes()


def test_tensors_and_numbers_come_back_to_the_bit():
    tensors, document = from_bytes(CONTENT)
    assert set(tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert tensors[name].shape == tensor.shape
        assert raw(tensors[name]) == raw(tensor)
    assert document == DOCUMENT


def test_any_safetensors_tool_can_open_it(tmp_path):
    (tmp_path / "c.safetensors").write_bytes(CONTENT)
    with safe_open(tmp_path / "c.safetensors", framework="pt") as file:
        assert file.get_tensor("count").item() == 2**62
        assert file.metadata()["format"] == "warmtile-checkpoint"


@given(st.integers(0, 8 * len(CONTENT) - 1))
def test_any_flipped_bit_is_found(position):
    damaged = bytearray(CONTENT)
    damaged[position // 8] ^= 1 << position % 8
    with pytest.raises((CheckpointError, ValueError, KeyError)):
        from_bytes(bytes(damaged))


@given(st.integers(0, len(CONTENT) - 1))
def test_any_cut_is_found(length):
    with pytest.raises(CheckpointError):
        from_bytes(CONTENT[:length])


@given(st.binary(max_size=300))
def test_rubbish_is_refused(content):
    with pytest.raises(CheckpointError):
        from_bytes(content)


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


def test_a_pickle_is_refused_and_not_run(tmp_path):
    trap = tmp_path / "executed"
    path = tmp_path / "epoch00001.safetensors"
    path.write_bytes(pickle.dumps(Bomb(trap)))
    with pytest.raises(CheckpointError, match=r"epoch00001.safetensors is damaged"):
        load(path)
    assert not trap.exists()


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(CheckpointError, match=r"gone.safetensors can not be read"):
        load(tmp_path / "gone.safetensors")


def test_another_version_is_refused(monkeypatch):
    import runner.training.checkpoint as module

    monkeypatch.setattr(module, "VERSION", 2)
    newer = to_bytes(TENSORS, DOCUMENT)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"version 2 .* reads 1"):
        from_bytes(newer)


@pytest.fixture
def store(tmp_path):
    store = CheckpointStore(tmp_path / "checkpoints", keep=2)
    for epoch, batch in ((1, 0), (1, 7), (2, 0), (2, 10)):
        store.save(epoch, batch, {"x": torch.tensor(float(epoch))}, {"at": [epoch, batch]})
    return store


def test_the_newest_are_kept(store):
    names = [path.name for path in store.files()]
    assert names == ["epoch00002-batch000010.safetensors", "epoch00002.safetensors"]
    loaded, complaints = store.newest()
    assert loaded.document["at"] == [2, 10]
    assert complaints == []


def test_the_best_is_kept_beside_them(store):
    store.save(3, 0, {"x": torch.tensor(3.0)}, {"at": "best"}, newest=False, best=True)
    assert load(store.folder / store.BEST).document["at"] == "best"
    assert len(store.files()) == 2


def test_a_damaged_newest_is_named_and_the_one_before_is_used(store):
    newest = store.files()[0]
    newest.write_bytes(newest.read_bytes()[:-1])
    loaded, complaints = store.newest()
    assert loaded.document["at"] == [2, 0]
    assert len(complaints) == 1
    assert newest.name in complaints[0]


def test_if_all_are_damaged_all_are_named(store):
    for path in store.files():
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"batch000010.*epoch00002.safetensors"):
        store.newest()


def test_an_empty_folder_has_no_newest(tmp_path):
    assert CheckpointStore(tmp_path / "none", keep=1).newest() == (None, [])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
