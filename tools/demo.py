"""The demonstration: python -m tools.demo, or make demo

Starts the daemon on the best node that the machine has, compiles and runs the C example, runs the
Python example, and shows what crosses the device, message by message. Then it stops the daemon and
looks whether anything was left behind. Last comes Open vSwitch on the device: demo_openvswitch.py.
The exit status tells whether all went well.
"""

import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ovsdp_cuse.testing.process import DaemonError
from tests.openvswitch.programs import ProgramError
from tools import demo_openvswitch

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "examples"
START_S = 60.0
STOP_S = 30.0
QUIET_S = 0.3
"""When the daemon has printed nothing for so long, it has printed what belongs to a client."""


class DemoError(Exception):
    """The demonstration cannot go on; the text says why."""


FAILURES = (
    *(DemoError, DaemonError, ProgramError, AssertionError),
    *(subprocess.SubprocessError, TimeoutError),
)
"""What a part of the demonstration that fails raises; the text says why."""


def say(text: str) -> None:
    """A heading of the demonstration's own."""
    bold = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold[0]}== {text}{bold[1]}", flush=True)


class Relay:
    """Prints what a program prints, with its name in front, as it comes."""

    def __init__(self, name: str, stream: IO[str]) -> None:
        self._name = name
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for line in self._stream:
            print(f"{self._name:>10} | {line.rstrip()}", flush=True)
            self._lines.put(line)

    def wait_for(self, start: str, timeout_s: float) -> str | None:
        """The next line that begins with `start`; None where none comes in time."""
        try:
            while True:
                line = self._lines.get(timeout=timeout_s)
                if line.startswith(start):
                    return line
        except queue.Empty:
            return None

    def wait_until_quiet(self) -> None:
        """Return when nothing has come for a moment."""
        while self.wait_for("", QUIET_S) is not None:
            continue

    def join(self) -> None:
        """Return when the program has closed its output."""
        self._thread.join(STOP_S)


def load_cuse() -> None:
    """Give the kernel the chance of a CUSE node; the daemon says why where there is none."""
    modprobe = shutil.which("modprobe")
    if os.geteuid() == 0 and modprobe is not None and not Path("/dev/cuse").exists():
        subprocess.run([modprobe, "-q", "cuse"], check=False, capture_output=True)


@contextmanager
def daemon() -> Iterator[tuple[Path, Relay]]:
    """The daemon with --trace; yields its node and what it prints. SIGTERM ends it."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "ovsdp_cuse",
            "serve",
            "--trace",
            "--state",
            "off",
            "--interfaces",
            "memory",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    relay = Relay("daemon", process.stdout)
    try:
        line = relay.wait_for("serving ", START_S)
        if line is None:
            raise DemoError("the daemon has not begun to serve; the lines above say why")
        node = Path(line.split()[1])
        relay.wait_until_quiet()
        yield node, relay
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        relay.join()
    if status != 0:
        raise DemoError(f"the daemon ended with status {status}")
    if node.exists():
        raise DemoError(f"{node} was left behind")


def run(name: str, command: Sequence[str]) -> None:
    """Run a client to its end, printing what it prints; DemoError where it fails."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        Relay(name, process.stdout).join()
    if process.returncode != 0:
        raise DemoError(f"{name} ended with status {process.returncode}")


def compile_example(directory: Path) -> Path:
    """Compile the C example with the header of the installed package."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise DemoError("there is no C compiler: install the package gcc")
    flags = subprocess.run(
        [sys.executable, "-m", "ovsdp_cuse", "--cflags"], check=True, capture_output=True, text=True
    ).stdout.split()
    program = directory / "client"
    command = [compiler, "-std=c99", "-Wall", *flags, str(EXAMPLES / "client.c"), "-o"]
    print(" ".join([*command, "client"]))
    subprocess.run([*command, str(program)], check=True)
    return program


def demonstrate(directory: Path) -> None:
    """The whole demonstration; DemoError where a part of it fails."""
    say("Compile the C example")
    program = compile_example(directory)
    say("Start the daemon")
    load_cuse()
    with daemon() as (node, relay):
        say(f"The C example talks to {node}")
        print("(> a request, < its answer, as the daemon decodes them)")
        run("client.c", [str(program), str(node)])
        relay.wait_until_quiet()
        say(f"The Python example talks to {node}")
        run("client.py", [sys.executable, str(EXAMPLES / "client.py"), str(node)])
        relay.wait_until_quiet()
        say("Stop the daemon")
    demo_openvswitch.demonstrate(say)
    say("All went well; the devices are gone, and nothing else was left behind.")


def main() -> int:
    """Returns the exit status."""
    try:
        with tempfile.TemporaryDirectory(prefix="ovsdp-demo-") as directory:
            demonstrate(Path(directory))
    except FAILURES as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
