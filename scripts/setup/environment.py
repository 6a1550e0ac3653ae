"""The Python environment that the set-up fills: which one it is, what is in it, how to start it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from setup.console import SetupError

REPOSITORY = Path(__file__).resolve().parents[2]

_FACTS = """
import importlib.util, json, os, platform, sys, sysconfig
paths = sysconfig.get_paths()
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "prefix": sys.prefix,
    "include": paths["include"],
    "site": paths["purelib"],
    "soabi": sysconfig.get_config_var("SOABI"),
    "libc": "".join(platform.libc_ver()),
    "pip": importlib.util.find_spec("pip") is not None,
    "venv": all(importlib.util.find_spec(m) for m in ("venv", "ensurepip")),
    "managed": sys.prefix == sys.base_prefix
    and os.path.exists(os.path.join(paths["stdlib"], "EXTERNALLY-MANAGED")),
}))
"""


_PACKAGES = """
import importlib.metadata, json
def ask(names):
    found = {}
    for name in names:
        try:
            one = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[name] = [one.version, str(one.locate_file(""))]
    return found
"""


@dataclass(frozen=True)
class Interpreter:
    """What one Python says of itself.

    ``soabi`` names implementation, version, machine and build flags (``cpython-311-x86_64-...``),
    ``site`` is where packages are installed, ``managed`` means that the distribution forbids pip.
    """

    python: Path
    version: tuple[int, int, int]
    prefix: Path
    include: Path
    site: Path
    soabi: str
    libc: str
    pip: bool
    venv: bool
    managed: bool


@dataclass(frozen=True)
class Environment:
    """The environment to fill; ``owned`` where it is the checkout's own ``.venv``."""

    python: Path
    owned: bool

    @property
    def prefix(self) -> Path:
        """The folder that holds ``bin/``."""
        return self.python.parent.parent


def choose(environ: Mapping[str, str], repository: Path = REPOSITORY) -> Environment:
    """Return the environment: ``WARMTILE_PYTHON``, else ``VIRTUAL_ENV``, else ``.venv``.

    Raises
    ------
    SetupError
        Where a variable names no Python.
    """
    own = repository / ".venv"
    if named := environ.get("WARMTILE_PYTHON"):
        found = shutil.which(named, path=environ.get("PATH"))
        if found is None:
            raise SetupError(f"WARMTILE_PYTHON={named}: there is no such Python")
        return Environment(Path(found).absolute(), owned=False)
    if active := environ.get("VIRTUAL_ENV"):
        python = Path(active).absolute() / "bin" / "python"
        if python.parent.parent != own and not python.exists():
            raise SetupError(f"VIRTUAL_ENV={active}: there is no bin/python in it")
        return Environment(python, owned=python.parent.parent == own)
    return Environment(own / "bin" / "python", owned=True)


def inspect(python: Path) -> Interpreter | None:
    """Ask ``python`` about itself; None where it does not run."""
    try:
        answer = subprocess.run(
            [str(python), "-I", "-c", _FACTS], capture_output=True, text=True, check=True
        )
        facts = json.loads(answer.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None
    for key in ("prefix", "include", "site"):
        facts[key] = Path(facts[key])
    return Interpreter(python=python, **{**facts, "version": tuple(facts["version"])})


def installed(python: Path, *names: str) -> dict[str, tuple[str, str]]:
    """Ask ``python`` which of ``names`` it has: name -> (version, folder it is installed in)."""
    code = _PACKAGES + f"print(json.dumps(ask({list(names)!r})))"
    answer = subprocess.run(
        [str(python), "-I", "-c", code], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise SetupError(f"{python} can not list its packages: {answer.stderr.strip()[-200:]}")
    return {name: (found[0], found[1]) for name, found in json.loads(answer.stdout).items()}


def versions(python: Path, *names: str) -> dict[str, str]:
    """Return the versions of those of ``names`` that ``python`` has."""
    return {name: found[0] for name, found in installed(python, *names).items()}


def child_environ(environ: Mapping[str, str], prefix: Path) -> dict[str, str]:
    """Return the variables for a command that works on the environment at ``prefix``.

    What would lead it to other packages, or to a make that has already ended, is left out.
    """
    dropped = {"PYTHONPATH", "PYTHONHOME", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
    env = {key: value for key, value in environ.items() if key not in dropped}
    env["PATH"] = os.pathsep.join([str(prefix / "bin"), environ.get("PATH", os.defpath)])
    env["VIRTUAL_ENV"] = str(prefix)
    env.update(PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONNOUSERSITE="1")
    return env
