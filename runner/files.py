"""Files that survive a crash, and locks that do not."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file that is, after a crash at any moment, either the old one or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def is_locked(path: Path) -> bool:
    """Whether a process holds the kernel's lock (flock) of a file; it ends with the process."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False
