"""Checkpoint files: plain tensors and numbers, checked to the last bit, never executed.

A checkpoint is one safetensors file. Its header carries, beside the tensors' names and shapes,
one JSON document and a SHA-256 of the whole file in which the digest itself is replaced by
zeros. So any tool that reads safetensors can open it, and a change of any single bit shows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from runner.errors import UserError
from runner.files import write_atomic

FORMAT = "warmtile-checkpoint"
VERSION = 1

_NO_DIGEST = "0" * 64
_DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')
_NAME = re.compile(r"epoch(\d{5,})(?:-batch(\d{6,}))?\.safetensors")


class CheckpointError(UserError):
    """A checkpoint that can not be read or does not belong to the run."""


def to_bytes(tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> bytes:
    """The content of a checkpoint file.

    Args:
        tensors: plain tensors by name.
        document: anything JSON can hold; floats survive to the last bit.
    """
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "document": json.dumps(document),
        "sha256": _NO_DIGEST,
    }
    plain = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    content = safetensors.torch.save(plain, metadata=header)
    digest = hashlib.sha256(content).hexdigest()
    start = _digest_start(content)
    return content[:start] + digest.encode() + content[start + 64 :]


def from_bytes(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `to_bytes` wrote.

    Raises:
        CheckpointError: the content is not a whole and undamaged checkpoint of this version.
    """
    start = _digest_start(content)
    blank = content[:start] + _NO_DIGEST.encode() + content[start + 64 :]
    if hashlib.sha256(blank).hexdigest().encode() != content[start : start + 64]:
        raise CheckpointError("its checksum does not fit its content")
    header_size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + header_size])["__metadata__"]
    if header.get("format") != FORMAT:
        raise CheckpointError("it is not a checkpoint of warmtile")
    if header.get("version") != str(VERSION):
        raise CheckpointError(
            f"it has version {header.get('version')} of the format; this program reads {VERSION}"
        )
    return safetensors.torch.load(content), json.loads(header["document"])


def _digest_start(content: bytes) -> int:
    """Where the digest stands; the search stays inside the header."""
    header_size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or header_size > len(content) - 8:
        raise CheckpointError("it is cut short")
    found = _DIGEST.findall(content[8 : 8 + header_size])
    if len(found) != 1:
        raise CheckpointError("it carries no checksum")
    return content.index(b'"sha256":"' + found[0], 8) + len(b'"sha256":"')


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory."""

    path: Path
    tensors: dict[str, Tensor]
    document: dict[str, Any]


def load(path: Path) -> Loaded:
    """Read a checkpoint file.

    Raises:
        CheckpointError: with the file's name and what is wrong with it.
    """
    try:
        tensors, document = from_bytes(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} can not be read: {error.strerror}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    return Loaded(path, tensors, document)


class CheckpointStore:
    """The checkpoints of one run: the newest `keep`, and the best one.

    Args:
        folder: made when the first checkpoint is written.
        keep: newest checkpoints kept, at least 1.
    """

    BEST = "best.safetensors"

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def files(self) -> list[Path]:
        """The checkpoints without the best one, newest first."""
        if not self.folder.is_dir():
            return []
        found = [
            (int(match[1]), int(match[2] or 0), path)
            for path in self.folder.iterdir()
            if (match := _NAME.fullmatch(path.name))
        ]
        return [path for _, _, path in sorted(found, reverse=True)]

    def save(
        self,
        epoch: int,
        batch: int,
        tensors: Mapping[str, Tensor],
        document: Mapping[str, Any],
        *,
        newest: bool = True,
        best: bool = False,
    ) -> Path | None:
        """Write a checkpoint and remove the ones that are too old.

        Args:
            epoch: epochs finished.
            batch: mini-batches done in the epoch under way.
            tensors, document: see `to_bytes`.
            newest: write it as the newest of the run.
            best: write it as the best of the run.

        Returns:
            the file of the newest, if it was written.
        """
        # Not its parents: a run folder that is gone must not come back without its metrics.
        self.folder.mkdir(exist_ok=True)
        content = to_bytes(tensors, document)
        if best:
            write_atomic(self.folder / self.BEST, content)
        if not newest:
            return None
        suffix = f"-batch{batch:06d}" if batch else ""
        path = self.folder / f"epoch{epoch:05d}{suffix}.safetensors"
        write_atomic(path, content)
        for old in self.files()[self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def newest(self) -> tuple[Loaded | None, list[str]]:
        """The newest checkpoint that is whole, and a sentence for each newer one that is not.

        Raises:
            CheckpointError: there are checkpoints, and all of them are damaged.
        """
        complaints: list[str] = []
        for path in self.files():
            try:
                return load(path), complaints
            except CheckpointError as error:  # noqa: PERF203  (at most `keep` rounds)
                complaints.append(str(error))
        if complaints:
            raise CheckpointError(
                f"no checkpoint in {self.folder} can be used ({'; '.join(complaints)}): remove "
                "them to start again, or choose another run.dir"
            )
        return None, complaints
