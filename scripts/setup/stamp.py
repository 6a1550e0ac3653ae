"""The stamp of a finished set-up: what went into it, so that an unchanged one costs nothing."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

FILE_NAME = "warmtile-setup.json"


def project_files(repository: Path) -> list[Path]:
    """Return the files that decide what is installed."""
    scripts = repository / "scripts"
    own = [path for path in (scripts / "setup").glob("*") if path.suffix in {".py", ".txt"}]
    return sorted([repository / "pyproject.toml", scripts / "setup_env.py", *own])


def native_files(repository: Path) -> list[Path]:
    """Return the files that decide what the compiled extension is."""
    folder = repository / "device_ext"
    trees = [path for tree in ("src", "cmake") for path in (folder / tree).rglob("*")]
    code = [path for path in trees if path.is_file() and "__pycache__" not in path.parts]
    return sorted([*folder.glob("CMakeLists.txt"), *code])


def digest(files: Iterable[Path], repository: Path) -> str:
    """Return a hash over the names and contents of ``files``."""
    total = hashlib.sha256()
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{file.relative_to(repository)} {content}\n".encode())
    return total.hexdigest()


def inputs(repository: Path) -> dict[str, str]:
    """Return the hashes of a checkout: ``project`` and ``native``; and its place."""
    return {
        "repository": str(repository),
        "project": digest(project_files(repository), repository),
        "native": digest(native_files(repository), repository),
    }


def read(prefix: Path) -> dict[str, object]:
    """Return the stamp in the environment at ``prefix``; empty where there is none to read."""
    try:
        content = json.loads((prefix / FILE_NAME).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def same_project(old: Mapping[str, object], new: Mapping[str, str]) -> bool:
    """Say whether the checkout is where it was and asks for the packages that it asked for."""
    return all(old.get(key) == new[key] for key in ("repository", "project"))


def versions(old: Mapping[str, object], names: Sequence[str]) -> dict[str, str]:
    """Return the versions of those of ``names`` that the stamp ``old`` tells of."""
    return {name: version for name, (version, _) in _packages(old).items() if name in names}


def packages_present(old: Mapping[str, object], names: Sequence[str]) -> bool:
    """Say whether all of ``names`` are still installed as the stamp ``old`` tells.

    Looks at folder names only: asking Python would take longer than all the rest.
    """
    told = _packages(old)
    return all(
        name in told and any(Path(told[name][1]).glob(f"{name}-{told[name][0]}*-info"))
        for name in names
    )


def _packages(old: Mapping[str, object]) -> dict[str, tuple[str, str]]:
    packages = old.get("packages")
    if not isinstance(packages, dict):
        return {}
    return {name: (str(found[0]), str(found[1])) for name, found in packages.items()}


def write(prefix: Path, content: dict[str, object]) -> None:
    """Replace the stamp in one step."""
    handle, name = tempfile.mkstemp(dir=prefix, prefix=f".{FILE_NAME}")
    with os.fdopen(handle, "w") as out:
        json.dump(content, out, indent=2)
    os.replace(name, prefix / FILE_NAME)


def remove(prefix: Path) -> None:
    """Take the stamp away: a set-up that is interrupted must not look finished."""
    (prefix / FILE_NAME).unlink(missing_ok=True)
