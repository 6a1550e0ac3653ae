"""What the machine must have before anything is downloaded, with the Debian package of each."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from setup.console import SetupError
from setup.environment import Interpreter

_HELLO = "#include <vector>\nint main() { return (int)std::vector<int>().size(); }\n"
_BLAS = "#include <cblas.h>\n#include <openblas_config.h>\nint main() { return 0; }\n"


def check_machine(
    interpreter: Interpreter, environ: Mapping[str, str], *, needs_venv: bool
) -> None:
    """Check compiler, BLAS, ``Python.h`` and, where ``needs_venv``, the venv module.

    Raises
    ------
    SetupError
        One line with everything that is missing and the Debian packages that bring it.
    """
    missing: dict[str, str] = {}
    compiler = _compiler(environ)
    if compiler is None:
        missing["a C++ compiler"] = "g++"
    if not (interpreter.include / "Python.h").is_file():
        missing[f"Python.h in {interpreter.include}"] = "python3-dev"
    if needs_venv and not interpreter.venv:
        missing["Python's venv module"] = "python3-venv"
    if not _has_blas(compiler, environ):
        missing["OpenBLAS with cblas.h"] = "libopenblas-dev"
    if missing:
        raise SetupError(
            f"missing: {', '.join(missing)}; "
            f"on Debian or Ubuntu: sudo apt install {' '.join(missing.values())}"
        )


def _compiler(environ: Mapping[str, str]) -> list[str] | None:
    """Return the command of a C++ compiler that compiles and links; None if there is none."""
    path = environ.get("PATH", os.defpath)
    for name in [environ["CXX"]] if environ.get("CXX") else ["g++", "c++", "clang++"]:
        command = shlex.split(name)
        if shutil.which(command[0], path=path) and _builds(command, _HELLO, [], environ):
            return command
    return None


def _has_blas(compiler: list[str] | None, environ: Mapping[str, str]) -> bool:
    """Say whether OpenBLAS can be included and linked.

    Without a compiler only the usual places are looked at, so that one line names all that lacks.
    """
    if compiler is None:
        places = [Path("/usr/include"), *Path("/usr/include").glob("*-linux-gnu")]
        return any(
            (place / sub / "openblas_config.h").is_file()
            for place in places
            for sub in ("", "openblas")
        )
    flags: list[str] = []
    for variable in ("OpenBLAS_HOME", "OPENBLAS_ROOT_DIR", "CONDA_PREFIX"):
        if root := environ.get(variable):
            flags += [f"-I{root}/include", f"-L{root}/lib"]
    # The folders that aihwkit's own search looks into, beside the compiler's.
    flags += ["-I/usr/include/openblas", "-I/usr/local/include/openblas", "-lopenblas"]
    return _builds(compiler, _BLAS, flags, environ)


def _builds(command: list[str], source: str, flags: list[str], environ: Mapping[str, str]) -> bool:
    """Compile and link ``source``, in a folder that is removed again."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "try.cpp"
        file.write_text(source)
        try:
            done = subprocess.run(
                [*command, str(file), "-o", str(Path(folder) / "try"), *flags],
                capture_output=True,
                env=dict(environ),
                check=False,
            )
        except OSError:
            return False
    return done.returncode == 0
