"""The cache outside the repository: aihwkit's wheels and unpacked sources, shared by checkouts.

Everything appears in it by a rename, so a reader sees a whole thing or none. Writers hold a lock
of the kernel's, which ends with its process.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from setup.console import SetupError, say


def cache_root(environ: Mapping[str, str]) -> Path:
    """Return ``WARMTILE_CACHE``, else ``warmtile`` in ``XDG_CACHE_HOME``, else in ``~/.cache``."""
    if own := environ.get("WARMTILE_CACHE"):
        return Path(own).expanduser().absolute()
    base = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "warmtile"


@dataclass(frozen=True)
class WheelKey:
    """All that a compiled aihwkit depends on.

    ``soabi`` holds the Python tag and the machine, ``cuda`` is the version of CUDA or None for the
    CPU, ``cxx11_abi`` is torch's, ``pybind11`` decides the internals that extensions share.
    """

    aihwkit: str
    torch: str
    soabi: str
    cuda: str | None
    cxx11_abi: bool
    pybind11: str
    libc: str

    def __str__(self) -> str:
        parts = [
            f"aihwkit-{self.aihwkit}",
            f"torch-{self.torch}",
            self.soabi,
            f"cuda-{self.cuda}" if self.cuda else "cpu",
            f"abi{int(self.cxx11_abi)}",
            f"pybind11-{self.pybind11}",
            self.libc or "libc",
        ]
        return re.sub(r"[^A-Za-z0-9.+_-]", "-", "_".join(parts))


@contextlib.contextmanager
def locked(root: Path, name: str) -> Iterator[None]:
    """Hold the lock ``name`` of the cache; wait, and say so, while another process has it."""
    folder = root / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    with (folder / f"{digest}.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up that is at work on the same thing")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def find_wheel(root: Path, key: WheelKey) -> Path | None:
    """Return the cached wheel of ``key``; None if there is none."""
    return next(iter(sorted((root / "wheels" / str(key)).glob("aihwkit-*.whl"))), None)


def store_wheel(root: Path, key: WheelKey, wheel: Path) -> Path:
    """Put ``wheel`` into the cache, in place of an older one, and return where it lies."""
    folder = root / "wheels" / str(key)
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    os.close(handle)
    try:
        shutil.copyfile(wheel, name)
        os.replace(name, folder / wheel.name)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return folder / wheel.name


def source_folder(root: Path, version: str) -> Path:
    """Return where the unpacked source of aihwkit ``version`` lies, or would lie."""
    return root / "src" / f"aihwkit-{version}"


def source_version(folder: Path) -> str | None:
    """Return the version that an unpacked source names; None if it is none."""
    try:
        return (folder / "src" / "aihwkit" / "VERSION.txt").read_text().strip()
    except OSError:
        return None


def store_source(root: Path, archive: Path, version: str) -> Path:
    """Unpack ``archive``, the source distribution of aihwkit ``version``, into the cache.

    Raises
    ------
    SetupError
        Where the archive holds something else or a path that leaves its folder.
    """
    target = source_folder(root, version)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as folder:
        with tarfile.open(archive) as tar:
            _unpack(tar, Path(folder))
        unpacked = Path(folder) / target.name
        if source_version(unpacked) != version:
            raise SetupError(f"{archive.name} is not the source of aihwkit {version}", status=1)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(target)
        os.rename(unpacked, target)
    return target


def _unpack(tar: tarfile.TarFile, folder: Path) -> None:
    """Extract ``tar`` into ``folder`` and nowhere else, on Pythons without filters too."""
    for member in tar.getmembers():
        path = Path(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise SetupError(f"{member.name}: an entry that a source archive does not hold", 1)
    if hasattr(tarfile, "data_filter"):
        tar.extractall(folder, filter="data")
    else:
        tar.extractall(folder)
