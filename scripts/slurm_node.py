"""A Slurm of one node on the loopback, for tests and for trying things out; no systemd needed.

    python scripts/slurm_node.py start     # prints the line that points Slurm's commands to it
    python scripts/slurm_node.py status
    python scripts/slurm_node.py stop      # cancels its jobs and ends its daemons

munged, slurmctld and slurmd of Debian's ``slurm-wlm`` and ``munge`` run as root, with all their
state in one folder (``--folder``, default ``build/slurm``) and on free ports. There is no
accounting, as on many small clusters. The partition ``urgent`` preempts jobs of ``batch``, the
default one, by requeueing them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
_START_S = 60.0
_STOP_S = 20.0

_CONF = """\
ClusterName=warmtile
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
AuthType=auth/munge
CredType=cred/munge
# A requeued job waits for so many seconds until it starts again; below 5 it would be 120.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=30
OverTimeLimit=0
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=batch Nodes={host} Default=YES MaxTime=INFINITE PriorityTier=1
PartitionName=urgent Nodes={host} MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""


class SlurmError(Exception):
    """The node does not start; one line says why."""


def missing() -> str | None:
    """What keeps a node from starting on this machine; None if nothing does."""
    absent = [name for name in DAEMONS if shutil.which(name, path=_path()) is None]
    if absent:
        return f"there is no {', '.join(absent)}: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "Slurm's daemons have to run as root"
    return None


class SlurmNode:
    """One node; a context that starts and stops it.

    Args:
        folder: for keys, sockets, logs and state; nothing is written elsewhere.
        cpus: processors that the node offers, whatever the machine has.
    """

    def __init__(self, folder: Path, cpus: int = 2) -> None:
        self.folder = folder.absolute()
        self._cpus = cpus
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def conf(self) -> Path:
        """The configuration, which ``SLURM_CONF`` names to Slurm's commands."""
        return self.folder / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        """Environment in which Slurm's commands reach this node and no other."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH"))}
        return inherited | {"SLURM_CONF": str(self.conf), "PATH": _path()}

    def __enter__(self) -> SlurmNode:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def command(self, *words: str) -> str:
        """Run one of Slurm's commands.

        Returns:
            its standard output.

        Raises:
            SlurmError: with what it said.
        """
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SlurmError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def start(self) -> None:
        """Start the three daemons and wait until the node takes jobs.

        Raises:
            SlurmError: software is missing, a node runs already, or it does not come up.
        """
        if why := missing():
            raise SlurmError(why)
        if self.pids():
            raise SlurmError(f"a node runs already in {self.folder}")
        for name in ("state", "spool", "logs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # munged refuses a socket in a folder that others may write to
        key = self.folder / "munge.key"
        if not key.exists():
            key.touch(mode=0o400)
            key.write_bytes(os.urandom(1024))
        self.conf.write_text(
            _CONF.format(
                host=socket.gethostname().split(".")[0],
                folder=self.folder,
                ports=_free_ports(2),
                cpus=self._cpus,
            ),
            encoding="utf-8",
        )
        self._spawn(
            "munged",
            "--foreground",
            "--force",  # whoever owns the folders above is no matter here
            f"--socket={self.folder / 'munge.socket'}",
            f"--key-file={key}",
            f"--pid-file={self.folder / 'munged.pid'}",
            f"--log-file={self.folder / 'logs' / 'munged.log'}",
            f"--seed-file={self.folder / 'munge.seed'}",
        )
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._spawn("slurmctld", "-D", "-i", "-f", str(self.conf))
        self._wait(lambda: self._answers("scontrol", "ping"), "slurmctld")
        self._spawn("slurmd", "-D", "-f", str(self.conf))
        self._wait(lambda: self._state() in ("idle", "mixed", "allocated"), "slurmd")

    def stop(self) -> None:
        """Cancel all jobs and end every process of the node; does nothing where none runs."""
        if "slurmctld" in self._started() and self._answers("scontrol", "ping"):
            for state in ("PENDING", "RUNNING", "SUSPENDED"):
                self._answers("scancel", "--state", state, "--me")
            self._until(lambda: not self._queue(), _STOP_S)
        for name in reversed(DAEMONS):
            pid = self._started().get(name)
            if pid is not None:
                _end([pid], signal.SIGTERM)
                self._until(lambda pid=pid: not _alive(pid), _STOP_S)
        # Steps and their programs have sessions of their own.
        _end(self.pids(), signal.SIGKILL)
        self._until(lambda: not self.pids(), _STOP_S)
        for process in self._children:
            process.wait()
        self._children.clear()
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "pids.json").unlink()

    def pids(self) -> list[int]:
        """Every process that belongs to the node: its daemons, and what its jobs have started."""
        mark = f"SLURM_CONF={self.conf}".encode()
        found = {pid for pid in self._started().values() if _alive(pid)}
        for process in Path("/proc").glob("[0-9]*"):
            pid = int(process.name)
            try:
                environment = (process / "environ").read_bytes().split(b"\0")
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            ours = mark in environment and any(e.startswith(b"SLURM_JOB_ID=") for e in environment)
            step = words[0].startswith(b"slurmstepd") and mark in environment
            if (ours or step) and pid != os.getpid() and _alive(pid):
                found.add(pid)
        return sorted(found)

    def _spawn(self, name: str, *arguments: str) -> None:
        program = shutil.which(name, path=_path())
        assert program is not None
        with (self.folder / "logs" / f"{name}.out").open("ab") as out:
            process = subprocess.Popen(
                [program, *arguments],
                env=self.env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._children.append(process)
        started = self._started() | {name: process.pid}
        (self.folder / "pids.json").write_text(json.dumps(started), encoding="utf-8")

    def _started(self) -> dict[str, int]:
        try:
            return json.loads((self.folder / "pids.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def _answers(self, *words: str) -> bool:
        done = subprocess.run(words, env=self.env, capture_output=True, check=False)
        return done.returncode == 0

    def _state(self) -> str:
        return self.command("sinfo", "--noheader", "--format=%T", "--partition=batch").strip()

    def _queue(self) -> str:
        try:
            return self.command("squeue", "--noheader").strip()
        except SlurmError:
            return ""

    def _wait(self, done, name: str) -> None:
        def dead() -> bool:
            return not _alive(self._started()[name])

        if not self._until(lambda: dead() or done(), _START_S) or dead():
            out = (self.folder / "logs" / f"{name}.out").read_text(errors="replace").strip()
            last = out.splitlines()[-1] if out else "it said nothing"
            raise SlurmError(f"{name} does not come up: {last} ({self.folder / 'logs'})")

    def _until(self, done, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if done():
                return True
            time.sleep(0.1)
        return False


def _path() -> str:
    """Debian keeps daemons where the path of a user does not lead."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _end(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def main(argv: list[str] | None = None) -> int:
    """The command.

    Returns:
        exit status: 0, or 1 where the node does not start or does not run.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("start", "stop", "status"))
    parser.add_argument("--folder", type=Path, default=Path("build/slurm"))
    parser.add_argument("--cpus", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args(argv)
    node = SlurmNode(args.folder, args.cpus)
    try:
        if args.what == "start":
            node.start()
            print(f"export SLURM_CONF={node.conf}")
        elif args.what == "stop":
            node.stop()
        else:
            print(node.command("sinfo").strip())
            print(node.command("squeue").strip())
    except SlurmError as error:
        print(f"slurm_node: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
