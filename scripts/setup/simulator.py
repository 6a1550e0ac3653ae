"""aihwkit: an installed one that fits, else a wheel from the cache, else one built from source.

A ready-made wheel is never fetched: it carries the tensor ABI of the torch that it was built
against, imports under another torch all the same, and then fails to build any layer.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from setup import cache
from setup.console import SetupError, run_step, say
from setup.environment import Environment, Interpreter, versions

VERSION = "1.2.0"
SERIES = "1.2."

_TORCH = """
import json, torch
print(json.dumps([torch.__version__, torch.version.cuda, bool(torch._C._GLIBCXX_USE_CXX11_ABI)]))
"""

_GUARD = """
import torch
from aihwkit.simulator.rpu_base import tiles
tiles.FloatingPointTile(3, 2).set_weights(torch.zeros(2, 3))
"""


@dataclass(frozen=True)
class Torch:
    """The installed torch: its version, the CUDA version of its build, its C++ ABI."""

    version: str
    cuda: str | None
    cxx11_abi: bool


def ask_torch(python: Path, env: Mapping[str, str]) -> Torch:
    """Import torch in the environment and ask it.

    Raises
    ------
    SetupError
        Where it does not import.
    """
    done = _python(python, _TORCH, env)
    if done.returncode:
        raise SetupError(f"the installed torch does not import: {_last_line(done.stderr)}")
    return Torch(*json.loads(done.stdout.splitlines()[-1]))


def abi_guard(python: Path, env: Mapping[str, str]) -> str | None:
    """Hand one tensor to aihwkit, in a process of its own.

    Returns None where it arrives, else the reason: the library does not load, or it was built
    against another torch.
    """
    done = _python(python, _GUARD, env)
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}"
    return _last_line(done.stderr)


def cuda_for_build(torch: Torch, env: Mapping[str, str]) -> str | None:
    """Return the CUDA version to build for; None for the CPU.

    A GPU build wants a torch with CUDA and the compiler ``nvcc`` of the same major version.
    """
    if torch.cuda is None:
        return None
    home = env.get("CUDA_HOME") or "/usr/local/cuda"
    nvcc = shutil.which("nvcc", path=f"{env.get('PATH', '')}{os.pathsep}{home}/bin")
    if nvcc is None:
        say(f"torch has CUDA {torch.cuda}, but there is no nvcc: building aihwkit for the CPU")
        return None
    told = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False).stdout
    release = re.search(r"release (\d+)\.(\d+)", told)
    if release is None or release[1] != torch.cuda.split(".")[0]:
        found = f"{release[1]}.{release[2]}" if release else "an unknown version"
        say(f"nvcc is {found}, torch has CUDA {torch.cuda}: building aihwkit for the CPU")
        return None
    return torch.cuda


def ensure_source(
    root: Path, version: str, python: Path, env: Mapping[str, str], logs: Path
) -> Path:
    """Return the unpacked source of aihwkit ``version``, fetched where the cache lacks it.

    The extension takes its C++ headers from there.
    """
    folder = cache.source_folder(root, version)
    with cache.locked(root, f"source {version}"):
        if cache.source_version(folder) == version:
            return folder
        with tempfile.TemporaryDirectory() as temporary:
            command = [str(python), "-m", "pip", "download", "--no-deps", "--no-build-isolation"]
            command += ["--no-binary", "aihwkit", "--dest", temporary, f"aihwkit=={version}"]
            run_step(f"fetching the source of aihwkit {version}", command, logs / "source.log", env)
            archives = list(Path(temporary).glob("aihwkit-*.tar.gz"))
            if len(archives) != 1:
                raise SetupError(f"pip brought no source archive of aihwkit {version}", status=1)
            return cache.store_source(root, archives[0], version)


def ensure_aihwkit(
    root: Path,
    environment: Environment,
    interpreter: Interpreter,
    torch: Torch,
    env: Mapping[str, str],
    logs: Path,
) -> str:
    """Bring an aihwkit that passes the ABI guard into the environment; return its version.

    Raises
    ------
    SetupError
        Where an aihwkit of another series is in an environment that is not ours, or the one built
        here does not fit torch.
    """
    python = environment.python
    present = versions(python, "aihwkit").get("aihwkit")
    if present is not None:
        if present.startswith(SERIES) and abi_guard(python, env) is None:
            return present
        if not present.startswith(SERIES) and not environment.owned:
            raise SetupError(
                f"aihwkit {present} is installed in {environment.prefix}, warmtile needs "
                f"{SERIES}x: pip uninstall aihwkit, then run this again"
            )
    cuda = cuda_for_build(torch, env)
    pybind11 = versions(python, "pybind11")["pybind11"]
    key = cache.WheelKey(
        aihwkit=VERSION,
        torch=torch.version,
        soabi=interpreter.soabi,
        cuda=cuda,
        cxx11_abi=torch.cxx11_abi,
        pybind11=pybind11,
        libc=interpreter.libc,
    )
    source = ensure_source(root, VERSION, python, env, logs)
    with cache.locked(root, str(key)):
        wheel = cache.find_wheel(root, key)
        if wheel is not None:
            _install(wheel, f"installing aihwkit {VERSION} from the cache", python, env, logs)
            if abi_guard(python, env) is None:
                return VERSION
            say("the cached aihwkit does not load here: building it again")
        wheel = _build(root, key, source, python, env, logs)
        _install(wheel, f"installing aihwkit {VERSION}", python, env, logs)
    reason = abi_guard(python, env)
    if reason is not None:
        raise SetupError(
            f"aihwkit {VERSION}, built against torch {torch.version}, does not fit it: {reason}", 1
        )
    return VERSION


def _build(
    root: Path,
    key: cache.WheelKey,
    source: Path,
    python: Path,
    env: Mapping[str, str],
    logs: Path,
) -> Path:
    """Build the wheel of ``key`` and put it into the cache."""
    env = {**env, "USE_CUDA": "ON" if key.cuda else "OFF"}
    env.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(build_jobs()))
    if key.cuda and env.get("CUDA_HOME"):
        env.setdefault("CUDACXX", f"{env['CUDA_HOME']}/bin/nvcc")
    with tempfile.TemporaryDirectory(prefix="warmtile-aihwkit-") as temporary:
        # The build writes beside the source; the cached tree stays as it was fetched.
        copy = Path(temporary) / source.name
        shutil.copytree(source, copy)
        command = [str(python), "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
        command += ["--wheel-dir", temporary, str(copy)]
        label = f"building aihwkit {VERSION} against torch {key.torch} (once, some minutes)"
        run_step(label, command, logs / "aihwkit.log", env)
        wheels = list(Path(temporary).glob("aihwkit-*.whl"))
        if len(wheels) != 1:
            raise SetupError(f"pip built no wheel of aihwkit (log: {logs / 'aihwkit.log'})", 1)
        return cache.store_wheel(root, key, wheels[0])


def build_jobs() -> int:
    """Return the number of compilers to run at once: one a core, and 2 GiB of memory for each."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**31
    return max(1, min(cores, memory))


def _install(wheel: Path, label: str, python: Path, env: Mapping[str, str], logs: Path) -> None:
    command = [str(python), "-m", "pip", "install", "--no-deps", "--force-reinstall", str(wheel)]
    run_step(label, command, logs / "aihwkit-install.log", env)


def _python(python: Path, code: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    # Not from the checkout: a folder there must not stand in for an installed package.
    return subprocess.run(
        [str(python), "-I", "-c", code],
        capture_output=True,
        text=True,
        env=dict(env),
        check=False,
    )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason given"
