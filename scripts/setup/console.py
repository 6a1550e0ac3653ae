"""What the user sees: one line for an error, one line for each step while it runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_CLEAR = "\r\033[K"
_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|ConnectTimeout"
    r"|ReadTimeout|ProxyError|Network is unreachable|Max retries exceeded"
)
_COMPILER = re.compile(r"\berror:|Killed signal")
_PIP_ERROR = re.compile(r"^\s*ERROR: (.+)$", re.MULTILINE)


class SetupError(Exception):
    """One line for the user.

    ``status`` is the exit status: 2 where the machine or a setting has to change first, 1 where a
    step failed.
    """

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status


def failure_reason(log: str) -> str:
    """Return the sentence of ``log``, the output of pip, that says why the command failed."""
    errors = _PIP_ERROR.findall(log)
    # Where a build fails, pip's own error only names the package; the cause stands further up.
    if any("build" in e.lower() or "metadata" in e.lower() for e in errors):
        lines = [line.strip() for line in log.splitlines()]
        for number, line in enumerate(lines):
            if line.startswith("CMake Error"):
                rest = lines[number + 1 :]
                end = rest.index("") if "" in rest else len(rest)
                return " ".join(rest[:end])[:300] or line
            if _COMPILER.search(line) and "subprocess-exited-with-error" not in line:
                return line[:300]
    elif _NETWORK.search(log):
        return "the package index can not be reached"
    elif errors and "(from versions: none)" in log:
        return f"{errors[-1]}: no file for this Python and machine, or no package index in reach"
    return errors[-1][:300] if errors else "it gave no reason"


def say(line: str) -> None:
    """Print one line of progress."""
    print(f"set-up: {line}", flush=True)


def run_step(label: str, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
    """Run ``command`` with its output in ``log`` and one line with the elapsed seconds on screen.

    Raises
    ------
    SetupError
        With the reason and the path of the log, where the command fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    live = sys.stdout.isatty()
    start = time.monotonic()
    if not live:
        say(f"{label} ...")
    with log.open("wb") as out:
        # A session of its own: an interrupt then ends the compilers too, and not only pip.
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
        try:
            _wait(child, label, start, live)
        except BaseException:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait()
            if live:
                print(_CLEAR, end="", flush=True)
            raise
    if child.returncode:
        if live:
            print(_CLEAR, end="", flush=True)
        reason = failure_reason(log.read_text(errors="replace"))
        raise SetupError(f"{label} failed: {reason} (log: {log})", status=1)
    if live:
        print(_CLEAR, end="")
    say(f"{label}: {time.monotonic() - start:.0f} s")


def _wait(child: subprocess.Popen[bytes], label: str, start: float, live: bool) -> None:
    """Wait for ``child``, and show on a terminal every second, else every minute, that it runs."""
    shown, beat = start, 1.0 if live else 60.0
    while child.poll() is None:
        time.sleep(0.1)
        now = time.monotonic()
        if now - shown < beat:
            continue
        shown = now
        if live:
            print(f"{_CLEAR}set-up: {label} ... {now - start:.0f} s", end="", flush=True)
        else:
            say(f"{label} ... {now - start:.0f} s")
