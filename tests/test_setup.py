"""The set-up: what it refuses and how it says so, the cache, the stamp. No network, no build."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import torch
from setup import cache, cli, environment, preflight, simulator, stamp
from setup.console import SetupError, failure_reason, run_step
from setup_env import python_complaint

REPOSITORY = Path(__file__).resolve().parents[1]

KEY = cache.WheelKey(
    aihwkit="1.2.0",
    torch="2.13.0+cpu",
    soabi="cpython-311-x86_64-linux-gnu",
    cuda=None,
    cxx11_abi=True,
    pybind11="3.0.4",
    libc="glibc2.36",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with all that the set-up reads, and no environment."""
    root = tmp_path / "checkout"
    shutil.copytree(REPOSITORY / "scripts", root / "scripts")
    shutil.copy(REPOSITORY / "pyproject.toml", root)
    (root / "device_ext" / "src").mkdir(parents=True)
    (root / "device_ext" / "CMakeLists.txt").write_text("project(x)\n")
    (root / "device_ext" / "src" / "device.cpp").write_text("int x;\n")
    return root


@pytest.fixture
def interpreter(tmp_path: Path) -> environment.Interpreter:
    """A Python with headers and a venv module, as far as the checks can see."""
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "Python.h").touch()
    return environment.Interpreter(
        python=Path(sys.executable),
        version=(3, 11, 7),
        prefix=tmp_path,
        include=tmp_path / "include",
        site=tmp_path / "site",
        soabi=KEY.soabi,
        libc=KEY.libc,
        pip=True,
        venv=True,
        managed=False,
    )


def compiler(folder: Path, script: str) -> dict[str, str]:
    """Variables under which the only compiler on the PATH is the shell script ``script``."""
    folder.mkdir(exist_ok=True)
    file = folder / "g++"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return {"PATH": str(folder)}


def run_script(checkout: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(checkout), "WARMTILE_CACHE": str(checkout / "cache"), **variables}
    return subprocess.run(
        [sys.executable, str(checkout / "scripts" / "setup_env.py")],
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
        check=False,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


# What is refused


@pytest.mark.parametrize("version", [(2, 7), (3, 9), (3, 14), (4, 0)])
def test_python_outside_the_range_is_refused(version: tuple[int, int]) -> None:
    complaint = python_complaint(version)
    assert complaint is not None
    assert f"Python {version[0]}.{version[1]}" in complaint
    assert "3.10 to 3.13" in complaint


@pytest.mark.parametrize("minor", [10, 11, 12, 13])
def test_python_in_the_range_will_do(minor: int) -> None:
    assert python_complaint((3, minor)) is None


def test_without_a_compiler_one_line_names_the_package(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run_script(checkout, PATH=str(tmp_path / "empty"))
    assert_one_line(done, "C++ compiler", "sudo apt install", "g++")
    assert not (checkout / ".venv").exists()
    assert not (checkout / "build").exists()


def test_without_blas_one_line_names_the_package(checkout: Path, tmp_path: Path) -> None:
    script = 'for word; do [ "$word" = -lopenblas ] && exit 1; done; exit 0'
    done = run_script(checkout, **compiler(tmp_path / "bin", script))
    assert_one_line(done, "OpenBLAS", "sudo apt install libopenblas-dev")
    assert "g++" not in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_compiler_that_does_not_compile_counts_as_missing(
    interpreter: environment.Interpreter, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match=r"apt install .*g\+\+"):
        preflight.check_machine(interpreter, compiler(tmp_path / "b", "exit 1"), needs_venv=False)


def test_all_that_is_missing_stands_in_one_line(
    interpreter: environment.Interpreter, tmp_path: Path
) -> None:
    bare = dataclasses.replace(interpreter, include=tmp_path / "nowhere", venv=False)
    script = 'for word; do [ "$word" = -lopenblas ] && exit 1; done; exit 0'
    with pytest.raises(SetupError) as error:
        preflight.check_machine(bare, compiler(tmp_path / "b", script), needs_venv=True)
    line = str(error.value)
    assert line.endswith("sudo apt install python3-dev python3-venv libopenblas-dev")
    assert "\n" not in line
    assert error.value.status == 2


def test_an_existing_environment_needs_no_venv_module(
    interpreter: environment.Interpreter, tmp_path: Path
) -> None:
    bare = dataclasses.replace(interpreter, venv=False)
    preflight.check_machine(bare, compiler(tmp_path / "b", "exit 0"), needs_venv=False)


@pytest.mark.parametrize("variable", ["WARMTILE_PYTHON", "VIRTUAL_ENV"])
def test_a_variable_that_names_no_python_is_refused(checkout: Path, variable: str) -> None:
    assert_one_line(run_script(checkout, **{variable: "/nowhere"}), f"{variable}=/nowhere")


def test_a_launcher_is_not_taken_for_an_environment(checkout: Path, tmp_path: Path) -> None:
    launcher = tmp_path / "bin" / "python"
    launcher.parent.mkdir()
    launcher.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    launcher.chmod(0o755)
    done = run_script(checkout, WARMTILE_PYTHON=str(launcher), PATH=os.environ["PATH"])
    assert_one_line(done, str(launcher), sys.prefix)


# Which environment


def test_the_named_python_comes_before_the_active_environment(tmp_path: Path) -> None:
    named = environment.choose({"WARMTILE_PYTHON": sys.executable, "VIRTUAL_ENV": "/x"}, tmp_path)
    assert named == environment.Environment(Path(sys.executable).absolute(), owned=False)


def test_without_variables_the_checkout_has_its_own(tmp_path: Path) -> None:
    own = environment.choose({}, tmp_path)
    assert own.owned
    assert own.prefix == tmp_path / ".venv"


def test_the_active_environment_may_be_the_checkouts_own(tmp_path: Path) -> None:
    assert environment.choose({"VIRTUAL_ENV": str(tmp_path / ".venv")}, tmp_path).owned


def test_commands_see_the_environment_and_no_strange_packages(tmp_path: Path) -> None:
    env = environment.child_environ(
        {"PATH": "/bin", "PYTHONPATH": "/x", "MAKEFLAGS": "-j", "HOME": "/h"}, tmp_path
    )
    assert env["PATH"] == f"{tmp_path}/bin:/bin"
    assert env["VIRTUAL_ENV"] == str(tmp_path)
    assert env["HOME"] == "/h"
    assert not {"PYTHONPATH", "MAKEFLAGS"} & env.keys()


# torch and aihwkit


def test_an_empty_environment_gets_the_pinned_pair() -> None:
    assert cli.torch_requirements({}) == ["torch==2.13.0", "torchvision==0.28.0"]


def test_an_installed_pair_is_respected() -> None:
    assert cli.torch_requirements({"torch": "2.9.1+cu128", "torchvision": "0.24.1"}) == []


def test_an_installed_torch_gets_its_own_torchvision() -> None:
    wanted = cli.torch_requirements({"torch": "2.9.1+cpu"})
    assert wanted == ["torch==2.9.1+cpu", "torchvision==0.24.*"]


def test_a_pair_that_does_not_fit_is_refused() -> None:
    with pytest.raises(
        SetupError, match=r"torch 2\.12\.0 goes with torchvision 0\.27, but .*0\.28"
    ):
        cli.torch_requirements({"torch": "2.12.0", "torchvision": "0.28.0"})


def test_the_installed_aihwkit_passes_the_guard() -> None:
    assert simulator.abi_guard(Path(sys.executable), os.environ) is None


def test_a_guard_that_fails_tells_the_last_line(tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text(
        "#!/bin/sh\necho Traceback >&2\necho 'RuntimeError: no such weights' >&2\nexit 1\n"
    )
    fake.chmod(0o755)
    assert simulator.abi_guard(fake, os.environ) == "RuntimeError: no such weights"


def test_versions_are_those_that_import() -> None:
    found = environment.versions(Path(sys.executable), "torch", "no-such-package")
    assert found == {"torch": torch.__version__}


def test_a_cpu_torch_gets_a_cpu_build() -> None:
    assert simulator.cuda_for_build(simulator.Torch("2.13.0+cpu", None, True), {"PATH": ""}) is None


@pytest.mark.parametrize(
    ("release", "expected"),
    [("release 13.0, V13.0.88", "13.0"), ("release 12.8, V12.8.1", None), ("nonsense", None)],
)
def test_a_gpu_build_wants_the_compiler_of_the_same_major_version(
    tmp_path: Path, release: str, expected: str | None
) -> None:
    nvcc = tmp_path / "nvcc"
    nvcc.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, {release}'\n")
    nvcc.chmod(0o755)
    torch_cuda = simulator.Torch("2.13.0", "13.0", True)
    assert simulator.cuda_for_build(torch_cuda, {"PATH": str(tmp_path)}) == expected


# Failing commands


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            "WARNING: Location 'file:///x' is ignored: it is neither a file nor a directory.\n"
            "WARNING: Retrying (Retry(total=0)) after 'NewConnectionError(...)'\n"
            "ERROR: Could not find a version that satisfies the requirement torch==2.13.0\n"
            "ERROR: No matching distribution found for torch==2.13.0\n",
            "the package index can not be reached",
        ),
        (
            "WARNING: Location 'file:///x' is ignored: it is neither a file nor a directory.\n"
            "ERROR: No matching distribution found for torch==2.13.0\n",
            "No matching distribution found for torch==2.13.0",
        ),
        (
            "ERROR: Could not find a version that satisfies x (from versions: none)\n"
            "ERROR: No matching distribution found for x\n",
            "No matching distribution found for x: "
            "no file for this Python and machine, or no package index in reach",
        ),
        (
            "WARNING: Retrying (Retry(total=4)) after 'NewConnectionError(...)'\n"
            "  src/a.cpp:3:1: error: 'foo' was not declared\n"
            "  error: subprocess-exited-with-error\n"
            "ERROR: Failed building wheel for warmtile\n",
            "src/a.cpp:3:1: error: 'foo' was not declared",
        ),
        (
            "      CMake Error at CMakeLists.txt:40 (message):\n"
            "        the headers are 1.2.0,\n"
            "        the installed aihwkit is 1.2.1\n"
            "\n"
            "      error: subprocess-exited-with-error\n"
            "ERROR: Failed to build installable wheels\n",
            "the headers are 1.2.0, the installed aihwkit is 1.2.1",
        ),
        ("", "it gave no reason"),
    ],
)
def test_the_reason_is_found_in_the_output_of_pip(log: str, reason: str) -> None:
    assert failure_reason(log) == reason


def test_a_step_that_fails_names_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "step.log"
    with pytest.raises(
        SetupError, match=r"fetching failed: disk full \(log: .*step\.log\)"
    ) as error:
        run_step("fetching", ["sh", "-c", "echo ERROR: disk full; exit 3"], log, os.environ)
    assert error.value.status == 1
    assert log.read_text() == "ERROR: disk full\n"


def test_an_ended_set_up_ends_what_it_started(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY / 'scripts')!r})\n"
        "import os; from pathlib import Path; from setup import cli; from setup.console import *\n"
        "work = ['sh', '-c', 'sleep 600 & echo $!; wait']\n"
        f"log = Path({str(tmp_path / 'log')!r})\n"
        "cli.set_up = lambda *_: run_step('working', work, log, os.environ)\n"
        "sys.exit(cli.run([]))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        deadline = time.monotonic() + 30
        while not (pid := (tmp_path / "log").exists() and (tmp_path / "log").read_text().strip()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.terminate()
        errors = child.communicate(timeout=30)[1]
    assert child.returncode == 130
    assert errors == "set-up: interrupted; run it again to go on\n"
    while Path(f"/proc/{pid}").exists() and "Z" not in state(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def state(pid: str) -> str:
    """The one letter of a process's state; Z for one that has ended and was not asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


# The cache


def test_the_cache_is_where_the_variables_say() -> None:
    assert cache.cache_root({"WARMTILE_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert cache.cache_root({"XDG_CACHE_HOME": "/b"}) == Path("/b/warmtile")
    assert cache.cache_root({}) == Path.home() / ".cache" / "warmtile"


@pytest.mark.parametrize(
    "change",
    [
        {"aihwkit": "1.2.1"},
        {"torch": "2.13.0"},
        {"soabi": "cpython-312-x86_64-linux-gnu"},
        {"soabi": "cpython-311-aarch64-linux-gnu"},
        {"cuda": "13.0"},
        {"cxx11_abi": False},
        {"pybind11": "3.1.0"},
        {"libc": "glibc2.41"},
    ],
)
def test_whatever_the_binary_depends_on_is_in_the_key(change: dict[str, object]) -> None:
    assert str(dataclasses.replace(KEY, **change)) != str(KEY)  # type: ignore[arg-type]


def test_the_key_is_a_plain_folder_name() -> None:
    assert "/" not in str(dataclasses.replace(KEY, torch="2.13.0/../x y"))


def test_a_stored_wheel_is_found_and_replaced(tmp_path: Path) -> None:
    wheel = tmp_path / "aihwkit-1.2.0-cp311-cp311-linux_x86_64.whl"
    for content in (b"one", b"two"):
        wheel.write_bytes(content)
        stored = cache.store_wheel(tmp_path / "cache", KEY, wheel)
        assert stored == cache.find_wheel(tmp_path / "cache", KEY)
        assert stored.read_bytes() == content
    assert [path.name for path in stored.parent.iterdir()] == [wheel.name]
    assert cache.find_wheel(tmp_path / "cache", dataclasses.replace(KEY, cuda="13.0")) is None


def test_a_wheel_that_can_not_be_read_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cache.store_wheel(tmp_path, KEY, tmp_path / "aihwkit-none.whl")
    assert cache.find_wheel(tmp_path, KEY) is None
    assert list((tmp_path / "wheels" / str(KEY)).iterdir()) == []


def archive(path: Path, members: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


def test_a_source_is_unpacked_under_its_version(tmp_path: Path) -> None:
    tar = archive(tmp_path / "a.tar.gz", {"aihwkit-1.2.0/src/aihwkit/VERSION.txt": "1.2.0\n"})
    cache.store_source(tmp_path, tar, "1.2.0")
    folder = cache.store_source(tmp_path, tar, "1.2.0")
    assert folder == tmp_path / "src" / "aihwkit-1.2.0"
    assert cache.source_version(folder) == "1.2.0"
    assert [path.name for path in folder.parent.iterdir()] == ["aihwkit-1.2.0"]


def test_a_source_of_another_version_is_refused(tmp_path: Path) -> None:
    tar = archive(tmp_path / "a.tar.gz", {"aihwkit-1.2.0/src/aihwkit/VERSION.txt": "1.1.0\n"})
    with pytest.raises(SetupError, match=r"not the source of aihwkit 1\.2\.0"):
        cache.store_source(tmp_path, tar, "1.2.0")
    assert not cache.source_folder(tmp_path, "1.2.0").exists()


def test_an_archive_does_not_write_outside_its_folder(tmp_path: Path) -> None:
    tar = archive(tmp_path / "a.tar.gz", {"../../evil.txt": "x"})
    with pytest.raises(SetupError, match="evil"):
        cache.store_source(tmp_path / "cache", tar, "1.2.0")
    assert not list(tmp_path.rglob("evil.txt"))


def test_a_dead_process_holds_no_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY / 'scripts')!r})\n"
        "from pathlib import Path; from setup import cache\n"
        f"with cache.locked(Path({str(tmp_path)!r}), 'x'):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        # While it lives another name is free; this one is not.
        with cache.locked(tmp_path, "y"):
            pass
        assert capsys.readouterr().out == ""
        waiter = subprocess.Popen(
            [sys.executable, "-c", code.replace("sys.stdin.read()", "pass")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert waiter.stdout is not None
        assert "waiting for another set-up" in waiter.stdout.readline()
        holder.send_signal(signal.SIGKILL)
        assert waiter.communicate(timeout=30)[0] == "held\n"
        assert waiter.returncode == 0


# The stamp


def finished(checkout: Path) -> environment.Environment:
    """Make the checkout look as after a set-up: packages in a site folder, and the stamp."""
    own = environment.choose({}, checkout)
    site = own.prefix / "site"
    own.python.parent.mkdir(parents=True)
    own.python.touch()
    packages = {}
    for name in cli.TRACKED:
        (site / f"{name}-1.0.dist-info").mkdir(parents=True)
        packages[name] = ["1.0", str(site)]
    stamp.write(own.prefix, {**stamp.inputs(checkout), "packages": packages})
    return own


def test_an_unchanged_checkout_is_up_to_date(checkout: Path) -> None:
    own = finished(checkout)
    assert cli.up_to_date(checkout, own)
    done = run_script(checkout, PATH="/nonexistent")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_fresh_checkout_is_not(checkout: Path) -> None:
    assert not cli.up_to_date(checkout, environment.choose({}, checkout))


@pytest.mark.parametrize(
    ("file", "hashed"),
    [
        ("device_ext/src/device.cpp", "native"),
        ("device_ext/src/new/kernel.h", "native"),
        ("device_ext/CMakeLists.txt", "native"),
        ("device_ext/cmake/installed.py", "native"),
        ("pyproject.toml", "project"),
        ("scripts/setup_env.py", "project"),
        ("scripts/setup/constraints.txt", "project"),
    ],
)
def test_a_change_that_matters_is_seen(checkout: Path, file: str, hashed: str) -> None:
    own, before = finished(checkout), stamp.inputs(checkout)
    (checkout / file).parent.mkdir(exist_ok=True)
    with (checkout / file).open("a") as out:
        out.write("\n# changed\n")
    after = stamp.inputs(checkout)
    assert {key for key in after if after[key] != before[key]} == {hashed}
    assert not cli.up_to_date(checkout, own)


def test_a_change_of_python_code_alone_needs_no_set_up(checkout: Path) -> None:
    own = finished(checkout)
    (checkout / "device_ext" / "tile.py").write_text("x = 1\n")
    assert cli.up_to_date(checkout, own)


@pytest.mark.parametrize("name", cli.TRACKED)
def test_a_package_that_was_replaced_is_seen(checkout: Path, name: str) -> None:
    own = finished(checkout)
    site = own.prefix / "site"
    (site / f"{name}-1.0.dist-info").rename(site / f"{name}-1.1.dist-info")
    assert not cli.up_to_date(checkout, own)


def test_a_stamp_that_is_no_json_counts_as_none(checkout: Path) -> None:
    own = finished(checkout)
    (own.prefix / stamp.FILE_NAME).write_text("{")
    assert stamp.read(own.prefix) == {}
    assert not cli.up_to_date(checkout, own)


def test_a_stamp_is_plain_json(checkout: Path) -> None:
    own = finished(checkout)
    content = json.loads((own.prefix / stamp.FILE_NAME).read_text())
    assert content["repository"] == str(checkout)
