"""Any images in folders, one folder a class."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import safetensors
import safetensors.torch
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from runner.config.schema import DataConfig
from runner.data.idx import default_root
from runner.data.splits import Split, to_split
from runner.errors import UserError
from runner.files import write_atomic

_PARTS = ("train", "test")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")


def load_image_folder(cfg: DataConfig) -> tuple[Split, Split, int]:
    """The images of ``data.root/{train,test}/<class>/*``, a folder or a tar of any compression.

    Classes are numbered in the order of their names; images are in the order of theirs. A tar is
    decoded once; what comes out is kept beside the other data sets.

    Raises:
        UserError: there is no such folder, a part or class is missing or empty, an image can not
            be read, or sizes differ.
    """
    root = cfg.root_path
    if not root.exists():
        raise UserError(f"data.root={cfg.root}: does not exist; data=image_folder reads it")
    tensors = _from_tar(root) if root.is_file() else _decode(_folder_files(root), root)
    splits = [to_split(tensors[f"{part}/images"], tensors[f"{part}/labels"]) for part in _PARTS]
    return splits[0], splits[1], int(tensors["classes"])


def _from_tar(path: Path) -> dict[str, Tensor]:
    about = path.stat()
    key = f"{path.resolve()} {about.st_size} {about.st_mtime_ns}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    kept = default_root() / "image_folder" / f"{digest}.safetensors"
    try:
        return safetensors.torch.load_file(kept)
    except (OSError, safetensors.SafetensorError):
        pass  # not there, or damaged: made anew
    tensors = _decode(_tar_files(path), path)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, safetensors.torch.save(tensors))
    except OSError:
        pass  # the next run decodes again
    return tensors


def _folder_files(root: Path) -> Iterator[tuple[str, str, str, bytes]]:
    for part in _PARTS:
        if not (root / part).is_dir():
            raise UserError(f"data.root={root}: there is no folder {part} in it")
        for path in sorted((root / part).glob("*/*")):
            if path.suffix.lower() in _SUFFIXES:
                yield part, path.parent.name, path.name, path.read_bytes()


def _tar_files(path: Path) -> Iterator[tuple[str, str, str, bytes]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                names = PurePosixPath(member.name).parts[-3:]
                suffix = PurePosixPath(member.name).suffix.lower()
                if len(names) < 3 or names[0] not in _PARTS or suffix not in _SUFFIXES:
                    continue
                file = archive.extractfile(member)
                if file is not None:
                    yield names[0], names[1], names[2], file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"data.root={path}: is no tar, or a damaged one: {error}") from error


def _decode(files: Iterator[tuple[str, str, str, bytes]], root: Path) -> dict[str, Tensor]:
    found: dict[str, list[tuple[str, str, np.ndarray]]] = {part: [] for part in _PARTS}
    shape: tuple[int, ...] | None = None
    for part, label, name, content in files:
        try:
            with Image.open(io.BytesIO(content)) as image:
                pixels = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise UserError(f"data.root={root}: {part}/{label}/{name}: {error}") from error
        if shape is not None and pixels.shape != shape:
            raise UserError(
                f"data.root={root}: {part}/{label}/{name} is {pixels.shape}, others are {shape}; "
                "all images must have one size and colour mode"
            )
        shape = pixels.shape
        found[part].append((label, name, pixels))
    classes = sorted({label for label, _, _ in found["train"]})
    for part in _PARTS:
        if not found[part]:
            raise UserError(f"data.root={root}: there are no images in {part}/<class>/")
        for label, name, _ in found[part]:
            if label not in classes:
                raise UserError(f"data.root={root}: {part}/{label}/{name}: train has no {label}")
    if len(classes) < 2:
        raise UserError(f"data.root={root}: train has one class only, {classes[0]}")
    tensors = {"classes": torch.tensor(len(classes))}
    for part, entries in found.items():
        entries.sort(key=lambda entry: entry[:2])
        images = torch.from_numpy(np.stack([pixels for _, _, pixels in entries]))
        if images.dim() == 4:
            images = images.permute(0, 3, 1, 2).contiguous()
        tensors[f"{part}/images"] = images
        tensors[f"{part}/labels"] = torch.tensor([classes.index(label) for label, _, _ in entries])
    return tensors
