"""SLURM on one machine, as two nodes, without systemd: daemons that are children of this process, and end with it."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "srun", "scontrol", "scancel")
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SwitchType=switch/none
MpiDefault=none
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=4 RealMemory=4000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=low Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=120 PreemptMode=REQUEUE
PartitionName=high Nodes=n[1-2] MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing():
    """What SLURM cannot run without here; None if nothing is."""
    if os.geteuid() != 0:
        return "SLURM's daemons need root"
    absent = [name for name in (*DAEMONS, *COMMANDS) if shutil.which(name, path=PATH) is None]
    return f"no {', '.join(absent)}: make test-slurm installs Debian's packages where it can" if absent else None


class Cluster:
    """A context: two nodes of four processors, a partition `low` that is preempted, and one `high` that preempts."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons = []

    def __enter__(self):
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o400)
        controller, first, second = _free_ports(3)
        config = CONFIG.format(
            host=socket.gethostname().partition(".")[0], folder=self.folder,
            controller=controller, first=first, second=second,
        )  # fmt: skip
        (self.folder / "slurm.conf").write_text(config)
        munge = [f"--{name}={self.folder}/munge.{name.partition('-')[0]}"
                 for name in ("socket", "key-file", "pid-file", "log-file", "seed-file")]  # fmt: skip
        self._start("munged", "--foreground", "--force", *munge)
        self._wait_for(lambda: (self.folder / "munge.socket").exists())
        self._start("slurmctld", "-D", "-c")
        for node in ("n1", "n2"):
            self._start("slurmd", "-D", "-N", node)
        self._wait_for(lambda: self.run("sinfo", "-h", "-o", "%T", check=False).split() == ["idle"])
        return self

    def __exit__(self, *_):
        self.run("scancel", "--user=root", check=False)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(60)

    def run(self, *command, check=True):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, *arguments, folder):
        """sbatch; the number of the job."""
        done = self.run("sbatch", "--parsable", f"--chdir={folder}", f"--output={folder}/job-%j.log", *arguments)
        return done.strip()

    def state(self, job):
        """RUNNING, PENDING, COMPLETED, ... of a job."""
        shown = dict(field.partition("=")[::2] for field in self.run("scontrol", "show", "job", job).split())
        return shown["JobState"]

    def wait_for(self, job, state, seconds=600):
        """Until the job is in that state. One that waits after a requeue is told to begin at once."""
        ends = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "PREEMPTED")
        until = time.monotonic() + seconds
        while (now := self.state(job)) != state:
            assert now not in ends, f"job {job} is {now}, not {state}"
            assert time.monotonic() < until, f"job {job} is {now} after {seconds} s, not {state}"
            if now == "PENDING":
                self.run("scontrol", "update", f"jobid={job}", "starttime=now", check=False)
            time.sleep(0.5)

    def _start(self, *command):
        with (self.folder / f"{command[0]}.out").open("ab") as output:
            daemon = subprocess.Popen(command, env=self.environment, stdout=output, stderr=output)
        self._daemons.append(daemon)

    def _wait_for(self, condition, seconds=60):
        until = time.monotonic() + seconds
        while not condition():
            outputs = "\n".join(path.read_text()[-1500:] for path in self.folder.glob("*.out"))
            assert time.monotonic() < until, f"SLURM did not come up:\n{outputs}"
            time.sleep(0.2)


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
