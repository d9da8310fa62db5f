"""One boot: QEMU's command line, the command's output as it comes, its exit status.

The guest has two serial lines: the kernel's console goes to `console.log` in the results directory,
the command's output is passed on. The command finds the results directory under the same path as on
the host. An exit status is written there by the guest; a boot that leaves none has failed.
"""

import os
import re
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from . import initramfs, kernel

Accelerator = Literal["kvm", "tcg"]
Init = Literal["reaper", "systemd"]

GUEST = Path(__file__).parent / "guest"
KERNEL_COMPLAINT = re.compile(r"\] ((BUG:|WARNING:|Oops|Kernel panic|general protection).*)")
TIME_LIMIT_STATUS = 124  # as timeout(1)
FAILED_STATUS = 125

_QEMU = "qemu-system-x86_64"
# The kernel ends the machine itself (-no-reboot): by a panic, or by the command's last line.
_KERNEL_ARGUMENTS = "console=ttyS0 loglevel=5 panic=-1 nowatchdog systemd.show_status=error"
_TIME_FACTOR: dict[Accelerator, int] = {"kvm": 2, "tcg": 20}  # how much longer programs may take
_ACCELERATOR_OPTIONS: dict[Accelerator, tuple[tuple[str, ...], str]] = {
    "kvm": (("-accel", "kvm", "-cpu", "host"), ""),
    # Nehalem is x86-64-v2, which wheels may ask for. The clock of an emulated processor is the
    # host's and good; the kernel cannot know, and would read the slow HPET instead.
    "tcg": (
        ("-accel", "tcg,thread=multi", "-cpu", "Nehalem"),
        " mitigations=off clocksource=tsc tsc=reliable",
    ),
}
_PROBE_LIMIT_S = 15.0


class MachineError(Exception):
    """The machine cannot be started, or ended without an answer; the text says why."""


@dataclass(frozen=True)
class Job:
    """What to run, and how long.

    `environment` is all that the command gets from outside; `results` must exist.
    """

    command: Sequence[str]
    results: Path
    limit_s: float
    init: Init = "reaper"
    directory: Path = field(default_factory=Path.cwd)
    environment: Mapping[str, str] = field(default_factory=dict)


def run(job: Job, accelerator: Accelerator, output: IO[bytes] | None = None) -> int:
    """Boot, run the job's command as root, and return its exit status.

    124: the time limit was reached. 125: the command succeeded, but the guest's kernel complained.
    Raises MachineError, KernelError where nothing can be booted or no answer came.
    """
    booted = kernel.ensure()
    results = job.results.resolve()
    (results / "status").unlink(missing_ok=True)
    _write_command(results / "command", job, accelerator)
    with tempfile.NamedTemporaryFile(prefix="ovsdp-initramfs-") as archive:
        archive.write(
            initramfs.build(booted, _program("busybox"), GUEST / "init", _variables(booted, job))
        )
        archive.flush()
        arguments = _qemu_arguments(booted, Path(archive.name), results, accelerator)
        in_time = _boot(arguments, job.limit_s, output or sys.stdout.buffer, results / "qemu.log")
    if not in_time:
        _say(f"the time limit of {job.limit_s:.0f} s was reached")
        return TIME_LIMIT_STATUS
    return _verdict(results)


def _verdict(results: Path) -> int:
    console = _text(results / "console.log")
    found = KERNEL_COMPLAINT.search(console)
    complaint = f"the guest's kernel says: {found.group(1)}" if found else ""
    status = _text(results / "status").strip()
    if not status:
        qemu = _text(results / "qemu.log")
        tail = "\n".join(console.splitlines()[-20:])
        raise MachineError(f"ended without an answer; {complaint}\n{qemu}{tail}")
    if complaint:
        _say(f"{complaint} (see {results / 'console.log'})")
        return int(status) or FAILED_STATUS
    return int(status)


def choose_accelerator() -> Accelerator:
    """KVM where a machine really boots with it, else emulation; OVSDP_VM_ACCEL overrides.

    Some hosts have a /dev/kvm that opens, and guests that hang. So the first call after a boot of
    the host tries one, and the answer is kept.
    """
    forced = os.environ.get("OVSDP_VM_ACCEL", "auto")
    if forced in ("kvm", "tcg"):
        return "kvm" if forced == "kvm" else "tcg"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot_id = _text(Path("/proc/sys/kernel/random/boot_id")).strip()
    answer = kernel.cache_directory() / f"accelerator-{boot_id}"
    if not answer.exists():
        answer.parent.mkdir(parents=True, exist_ok=True)
        answer.write_text("kvm" if _kvm_boots() else "tcg")
        if answer.read_text() == "tcg":
            _say("no guest boots with this /dev/kvm; emulating, about ten times slower")
    return "kvm" if answer.read_text() == "kvm" else "tcg"


def _kvm_boots() -> bool:
    with tempfile.TemporaryDirectory(prefix="ovsdp-kvm-") as results, suppress(MachineError):
        job = Job(("true",), Path(results), _PROBE_LIMIT_S)
        return run(job, "kvm") == 0
    return False


def _boot(arguments: Sequence[str], limit_s: float, output: IO[bytes], log: Path) -> bool:
    """Run QEMU and pass its output on; False when it had to be killed at the limit."""
    deadline = time.monotonic() + limit_s
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        ) as qemu,
    ):
        assert qemu.stdout
        try:
            while select.select([qemu.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                chunk = os.read(qemu.stdout.fileno(), 65536)
                if not chunk:
                    return True
                output.write(chunk)
                output.flush()
            return False
        finally:
            qemu.kill()


def _qemu_arguments(
    booted: kernel.Kernel, archive: Path, results: Path, accelerator: Accelerator
) -> list[str]:
    options, kernel_arguments = _ACCELERATOR_OPTIONS[accelerator]
    return [
        # The machine ends with this process, however this process ends.
        *("setpriv", "--pdeathsig", "KILL", "--", str(_program(_QEMU))),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "q35", *options, "-smp", "2", "-m", "2G"),
        *("-kernel", str(booted.image), "-initrd", str(archive)),
        *("-append", _KERNEL_ARGUMENTS + kernel_arguments),
        *("-serial", f"file:{results / 'console.log'}", "-serial", "stdio"),
        *("-device", "virtio-rng-pci"),
        *_share("host", Path("/"), "readonly=on"),
        *_share("results", results, "readonly=off"),
    ]


def _share(tag: str, path: Path, access: str) -> tuple[str, ...]:
    return (
        *("-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap,{access}"),
        *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    )


def _variables(booted: kernel.Kernel, job: Job) -> str:
    values = {
        "KERNEL_MODULES": booted.modules,
        "RELEASE": booted.release,
        "RESULTS": job.results.resolve(),
        "GUEST": GUEST,
        "INIT": job.init,
    }
    return "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in values.items())


def _write_command(script: Path, job: Job, accelerator: Accelerator) -> None:
    """The guest's last program: the command with its streams, then its status, then the end."""
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "OVSDP_VM": accelerator,
        "OVSDP_TEST_TIME_FACTOR": str(_TIME_FACTOR[accelerator]),
        **job.environment,
    }
    exports = "\n".join(
        f"export {name}={shlex.quote(value)}" for name, value in environment.items()
    )
    script.write_text(
        f"""#!/bin/sh
stty -F /dev/ttyS1 raw -echo
exec </dev/null >/dev/ttyS1 2>&1
{exports}
cd {shlex.quote(str(job.directory))}
{shlex.join(job.command)}
echo $? >{shlex.quote(str(script.parent / "status"))}
stty -F /dev/ttyS1 raw  # returns when all output is sent
sync
echo b >/proc/sysrq-trigger
"""
    )
    script.chmod(0o755)


def _program(name: str) -> Path:
    found = shutil.which(name)
    if not found:
        raise MachineError(f"{name} is not installed; run: make setup")
    return Path(found)


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _say(text: str) -> None:
    print(f"vm: {text}", file=sys.stderr, flush=True)
