"""Where a result comes from: versions, machine, commit."""

from __future__ import annotations

import platform
import resource
import subprocess
from importlib import metadata
from pathlib import Path

from runner import __version__


def versions() -> dict[str, str]:
    """Versions of what the numbers of a run depend on."""
    found = {"warmtile": __version__, "python": platform.python_version()}
    for package in ("torch", "aihwkit", "numpy"):
        found[package] = metadata.version(package)
    return found


def machine() -> dict[str, str]:
    """Name and processor of this machine; bits are the same on one processor model only."""
    return {"host": platform.node(), "platform": platform.platform(), "cpu": _cpu_model()}


def peak_memory_mb() -> float:
    """Most memory that this process has held so far, in MB (2**20 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def git_commit() -> str | None:
    """Commit of the checkout that this package lies in, with ``-dirty``; None if in none."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            [
                "git",
                "-C",
                str(here),
                "describe",
                "--always",
                "--dirty",
                "--abbrev=40",
                "--exclude=*",
            ],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        inside = subprocess.run(
            ["git", "-C", str(here), "ls-files", "--error-unmatch", Path(__file__).name],
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # An installed package may lie inside the checkout of something else.
    if done.returncode != 0 or inside.returncode != 0:
        return None
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
