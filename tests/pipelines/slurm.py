"""A cluster of one computer: SLURM's own daemons, started for a test in a folder of their own."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from tests.node.servers import free_port, until
from tests.programs import need

WAIT = 300.0  # seconds: the computer may be busy
# more cores and memory than there are, so that tasks run side by side: they are small
_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/none
CredType=cred/none
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=12 RealMemory=32000
PartitionName=all Nodes={host} Default=YES State=UP
"""


class Cluster:
    """What a test does with it.

    Args:
        environment: in which SLURM's programs find it.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def ask(self, *words: str) -> str:
        """What a program of SLURM says."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout

    def field(self, task: str, name: str) -> str:
        """What SLURM knows of a task (JOB_NUMBER), as its ``JobState``."""
        told = self.ask("scontrol", "--oneliner", "show", "job", task)
        return dict(word.split("=", 1) for word in told.split() if "=" in word)[name]

    def process(self, number: int) -> psutil.Process | None:
        """The program of a task of the array, if it runs."""
        wanted = {"SLURM_CONF": self.environment["SLURM_CONF"], "SLURM_ARRAY_TASK_ID": str(number)}
        for process in psutil.process_iter():
            try:
                found = process.environ()
                if wanted.items() <= found.items() and "participant" in process.cmdline():
                    return process
            except (psutil.Error, OSError):
                continue
        return None

    def until_done(self) -> None:
        """Wait for all jobs."""
        until(lambda: not self.ask("squeue", "--noheader").strip(), WAIT, "the end of all jobs")


@contextmanager
def cluster(folder: Path, programs: Path) -> Iterator[Cluster]:
    """Run a controller and a node.

    Args:
        folder: for their files; it is made.
        programs: a folder that jobs have first on their search path.
    """
    controller, node = (need(name) for name in ("slurmctld", "slurmd"))
    for part in ("state", "spool"):
        (folder / part).mkdir(parents=True)
    configuration = folder / "slurm.conf"
    host = socket.gethostname().split(".")[0]
    configuration.write_text(
        _CONFIGURATION.format(
            host=host, user=getpass.getuser(), folder=folder, controller=free_port(), node=free_port()
        ),
        encoding="utf-8",
    )
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    started = Cluster({**os.environ, "PATH": path, "SLURM_CONF": str(configuration)})
    with ExitStack() as stack:
        for program in (controller, node):
            stack.enter_context(_daemon(program, folder, started.environment))
        until(lambda: _says(started, "sinfo", "--noheader", "--format=%T") == "idle", WAIT, "a node that waits")
        yield started
        stack.callback(lambda: _says(started, "scancel", "--user", getpass.getuser()))


@contextmanager
def _daemon(program: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    with open(folder / f"{Path(program).name}.log", "wb") as log:
        process = subprocess.Popen([program, "-D"], env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _says(started: Cluster, *words: str) -> str:
    done = subprocess.run(words, env=started.environment, capture_output=True, text=True, check=False)
    return done.stdout.strip()
