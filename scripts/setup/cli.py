"""The set-up from top to bottom."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from setup_env import python_complaint

from setup import cache, preflight, simulator, stamp
from setup.console import SetupError, run_step, say
from setup.environment import (
    REPOSITORY,
    Environment,
    Interpreter,
    child_environ,
    choose,
    inspect,
    installed,
    versions,
)

TORCH, TORCHVISION = "2.13.0", "0.28.0"
LINKED = ("torch", "torchvision", "aihwkit", "pybind11")
TRACKED = (*LINKED, "warmtile")

BUILD_TOOLS = [
    *("cmake>=4.2.1", "ninja", "scikit-build", "scikit-build-core", "setuptools", "wheel"),
    *("mypy", "pybind11"),
    # What aihwkit itself imports; its wheel is installed without a look at dependencies.
    *("numpy", "protobuf", "requests", "scikit-learn", "scipy", "tqdm"),
]

_HELP = """\
environment variables:
  WARMTILE_PYTHON       the Python of an existing environment to install into (conda, say);
                        without it the active virtual environment is used, else ./.venv is made
  WARMTILE_TORCH_INDEX  package index for torch and torchvision, where they are not installed yet
  WARMTILE_CACHE        where wheels and sources are kept (default: ~/.cache/warmtile)
"""


def run(arguments: Sequence[str]) -> int:
    """Do the set-up; return the exit status. An error is one line on the standard error."""
    parser = argparse.ArgumentParser(
        prog="setup_env.py",
        description="Set up environment, torch, aihwkit and the extension. Does nothing twice.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        # As an interrupt: the compilers have a session of their own and would go on without us.
        signal.signal(ending, signal.default_int_handler)
    try:
        set_up(REPOSITORY, os.environ)
    except SetupError as error:
        _complain(str(error))
        return error.status
    except OSError as error:
        _complain(f"{error.filename or 'the file system'}: {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        _complain("interrupted; run it again to go on")
        return 130
    return 0


def set_up(repository: Path, environ: Mapping[str, str]) -> None:
    """Bring the environment up to what the checkout at ``repository`` needs.

    Raises
    ------
    SetupError
        With one line for the user, wherever that can not be done.
    """
    environment = choose(environ, repository)
    if up_to_date(repository, environment):
        return
    start = time.monotonic()
    root = cache.cache_root(environ)
    logs = repository / "build" / "setup"
    with cache.locked(root, f"environment {environment.prefix}"):
        if up_to_date(repository, environment):
            return
        interpreter = _interpreter(environment, environ, logs)
        _fill(repository, root, environment, interpreter, environ, logs)
    say(f"done in {time.monotonic() - start:.0f} s ({environment.prefix})")


def up_to_date(repository: Path, environment: Environment) -> bool:
    """Say whether the stamp tells of this checkout and of what is installed; runs no program."""
    old = stamp.read(environment.prefix)
    if not environment.python.exists() or not stamp.packages_present(old, TRACKED):
        return False
    return all(old.get(key) == value for key, value in stamp.inputs(repository).items())


def _interpreter(environment: Environment, environ: Mapping[str, str], logs: Path) -> Interpreter:
    """Check the machine, make ``.venv`` where it is ours to make, and return its Python."""
    found = inspect(environment.python)
    healthy = found is not None and found.pip
    if not environment.owned and found is None:
        raise SetupError(f"{environment.python} does not run")
    if not environment.owned and not healthy:
        raise SetupError(f"{environment.python} has no pip: run it with '-m ensurepip' first")
    if found is not None and found.prefix.resolve() != environment.prefix.resolve():
        raise SetupError(
            f"{environment.python} only starts the Python of {found.prefix}: name that one"
        )
    base = found or inspect(Path(sys.executable))
    if base is None:
        raise SetupError(f"{sys.executable} does not answer")
    if complaint := python_complaint(base.version[:2]):
        raise SetupError(f"{base.python}: {complaint}")
    if healthy and base.managed:
        raise SetupError(
            f"{base.python} belongs to the system: name a virtual environment's Python"
        )
    preflight.check_machine(base, environ, needs_venv=not healthy)
    if healthy:
        mine = sys.version_info[:2]
        if environment.owned and base.version[:2] != mine:
            say(
                f".venv has Python {base.version[0]}.{base.version[1]} and keeps it; "
                f"'make clean' first for {mine[0]}.{mine[1]}"
            )
        return base
    folder = str(environment.prefix)
    # One that runs but lacks pip may hold somebody's packages: it is completed, not cleared.
    making = ["ensurepip"] if found else ["venv", "--clear", folder]
    command = [str(base.python), "-m", *making]
    run_step(f"making {folder}", command, logs / "venv.log", environ)
    made = inspect(environment.python)
    if made is None or not made.pip:
        raise SetupError(f"{folder} was made, but its Python has no pip", status=1)
    return made


def _fill(
    repository: Path,
    root: Path,
    environment: Environment,
    interpreter: Interpreter,
    environ: Mapping[str, str],
    logs: Path,
) -> None:
    """Install everything, in the one order that works: each step links against the one before."""
    old, new = stamp.read(environment.prefix), stamp.inputs(repository)
    stamp.remove(environment.prefix)
    env = child_environ(environ, environment.prefix)
    python = environment.python
    pip = [str(python), "-m", "pip", "install"]

    pair = _ensure_torch(pip, python, env, logs)
    fixed = logs / "constraints.txt"
    _write_constraints(fixed, pair)
    rest = ["--constraint", str(fixed)]
    satisfied = stamp.same_project(old, new) and "warmtile" in versions(python, "warmtile")
    if not satisfied:
        run_step("installing the build tools", [*pip, *rest, *BUILD_TOOLS], logs / "tools.log", env)
    torch = simulator.ask_torch(python, env)
    version = simulator.ensure_aihwkit(root, environment, interpreter, torch, env, logs)
    source = simulator.ensure_source(root, version, python, env, logs)

    _write_constraints(fixed, {**pair, "aihwkit": version})
    if not stamp.packages_present(old, LINKED) or stamp.versions(old, LINKED) != versions(
        python, *LINKED
    ):
        # CMake's cache holds paths and answers that belong to other libraries.
        for folder in (repository / "build").glob("cp3*"):
            shutil.rmtree(folder)
    command = [*pip, *rest, "--no-build-isolation", "--editable"]
    if satisfied:
        command += [str(repository), "--no-deps"]
    else:
        command += [f"{repository}[dev]"]
    native = {
        **env,
        "AIHWKIT_SRC": str(source),
        "CMAKE_BUILD_PARALLEL_LEVEL": env.get(
            "CMAKE_BUILD_PARALLEL_LEVEL", str(simulator.build_jobs())
        ),
    }
    run_step("building the extension, installing warmtile", command, logs / "warmtile.log", native)

    _verify(python, env, pair, versions(python, *LINKED))
    packages = {name: list(found) for name, found in installed(python, *TRACKED).items()}
    stamp.write(environment.prefix, {**new, "packages": packages})


def torch_requirements(present: Mapping[str, str]) -> list[str]:
    """Return what pip must install so that torch and torchvision are there and fit each other.

    An installed torch is respected: 2.x goes with torchvision 0.(x + 15).

    Raises
    ------
    SetupError
        Where both are installed and do not fit.
    """
    if "torch" not in present:
        return [f"torch=={TORCH}", f"torchvision=={TORCHVISION}"]
    major, minor = present["torch"].split(".")[:2]
    if major != "2":
        raise SetupError(f"torch {present['torch']} is installed; warmtile needs torch 2")
    wanted = f"0.{int(minor) + 15}"
    if "torchvision" not in present:
        return [f"torch=={present['torch']}", f"torchvision=={wanted}.*"]
    if present["torchvision"].split(".")[:2] != wanted.split("."):
        raise SetupError(
            f"torch {present['torch']} goes with torchvision {wanted}, but torchvision "
            f"{present['torchvision']} is installed: install the pair that belongs together"
        )
    return []


def _ensure_torch(
    pip: list[str], python: Path, env: Mapping[str, str], logs: Path
) -> dict[str, str]:
    """Bring torch and torchvision in; return their versions."""
    pair = ("torch", "torchvision")
    if wanted := torch_requirements(versions(python, *pair)):
        index = env.get("WARMTILE_TORCH_INDEX")
        command = [*pip, *wanted, *(["--index-url", index] if index else [])]
        run_step(f"installing {' '.join(wanted)}", command, logs / "torch.log", env)
    return versions(python, *pair)


def _write_constraints(path: Path, fixed: Mapping[str, str]) -> None:
    """Write the pinned tools and the exact versions of what must not be replaced."""
    pinned = (Path(__file__).parent / "constraints.txt").read_text()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(pinned + "".join(f"{key}=={value}\n" for key, value in fixed.items()))


def _verify(
    python: Path, env: Mapping[str, str], before: Mapping[str, str], after: Mapping[str, str]
) -> None:
    """Check that nothing replaced torch, that aihwkit still fits it, and the extension loads."""
    for name, version in before.items():
        if after.get(name) != version:
            raise SetupError(f"{name} {version} was replaced by {after.get(name)}", status=1)
    if reason := simulator.abi_guard(python, env):
        raise SetupError(
            f"aihwkit {after.get('aihwkit')} does not fit torch {after.get('torch')}: {reason}", 1
        )
    done = subprocess.run(
        [str(python), "-I", "-c", "import device_ext, runner"],
        capture_output=True,
        text=True,
        env=dict(env),
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SetupError(f"the extension does not load: {reason}", status=1)


def _complain(line: str) -> None:
    sys.stdout.flush()
    print(f"set-up: {line}", file=sys.stderr)
