"""Print what CMake must know of the installed packages, as one CMake list.

aihwkit version; folder and file name of its compiled module; pybind11 internals version in it;
torch's folder; pybind11's include folder; internals version of those headers.
"""

import importlib.util
import re
import sys
from importlib.metadata import version
from pathlib import Path


def package_dir(name: str) -> Path:
    """Return the folder of an installed package without importing it; exit where it lacks."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"{name} is not installed in {sys.executable}")
    return Path(next(iter(spec.submodule_search_locations)))


simulator = package_dir("aihwkit") / "simulator"
modules = sorted(simulator.glob("rpu_base*.so"))
if len(modules) != 1:
    sys.exit(f"expected one rpu_base*.so in {simulator}, found {len(modules)}")
internals = re.search(rb"__pybind11_internals_v(\d+)_", modules[0].read_bytes())
if internals is None:
    sys.exit(f"no pybind11 internals version in {modules[0]}")

pybind11 = package_dir("pybind11") / "include"
header = (pybind11 / "pybind11" / "detail" / "internals.h").read_text()
# The newest of the versions that the header defines is the one in use.
found = re.findall(r"#\s*define PYBIND11_INTERNALS_VERSION (\d+)", header)
if not found:
    sys.exit(f"no PYBIND11_INTERNALS_VERSION in {pybind11}")

print(
    version("aihwkit").split("+")[0],
    simulator,
    modules[0].name,
    internals[1].decode(),
    package_dir("torch"),
    pybind11,
    found[-1],
    sep=";",
    end="",
)
