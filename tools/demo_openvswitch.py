"""The end of the demonstration: Debian's Open vSwitch, as it is, on the device.

Two network namespaces are two hosts; their wires end in a third one, which has the daemon,
ovs-vswitchd and a bridge. No interface of the machine's own takes part, and all is gone at the end.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.namespaces import Namespace, fresh_namespaces
from tests.openvswitch.stack import Stack, running_stack
from tests.openvswitch.traffic.ping import Pinger

BRIDGE = "br0"
HOSTS = ("10.0.0.1", "10.0.0.2")
PINGS, PING_SIZE = 3, 56
LIMIT_S = 60.0


def demonstrate(say: Callable[[str], None]) -> None:
    """Show it; say: prints a heading. Raises ProgramError where a program fails.

    Without root there is only a line that says so.
    """
    if os.geteuid():
        say("Open vSwitch on the device: left out, for network namespaces take root")
        return
    kind = "cuse" if Path("/dev/cuse").exists() else "fuse"
    with fresh_namespaces() as new_namespace:
        hosts = [new_namespace() for _address in HOSTS]
        say("Start Debian's ovsdb-server and ovs-vswitchd on a daemon of their own")
        with running_stack(kind, new_namespace) as stack:
            ports = [
                connect(stack, host, address) for host, address in zip(hosts, HOSTS, strict=True)
            ]
            say("A bridge of ovs-vswitchd; its datapath is the device's")
            command = ["add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=system"]
            for port in ports:
                command += ["--", "add-port", BRIDGE, port]
            show(("ovs-vsctl", *command), stack.vsctl(*command))
            say("A ping through it, from one namespace to the other")
            ping(hosts[0])
            say("Its flows, as Open vSwitch's own program shows them, and as ours does")
            for command in (["exec", "--", "ovs-dpctl", "dump-flows"], ["flow-show", "ovs-system"]):
                show(("ovsdp-cuse", *command), ours(stack, *command))
            say("Stop all of them")
            stack.clear()


def connect(stack: Stack, host: Namespace, address: str) -> str:
    """Give a host its wire and address; the name of the wire's other end, where the switch is."""
    port = f"to-{address.replace('.', '-')}"
    stack.namespace.add_veth(port, "eth0", host)
    host.add_address("eth0", address, 24)
    return port


def ours(stack: Stack, *command: str) -> str:
    """What ovsdp-cuse prints, with the stack's device."""
    assert stack.daemon is not None
    device = f"OVSDP_DEVICE={stack.daemon.path}"
    return stack.programs.run("env", device, sys.executable, "-m", "ovsdp_cuse", *command).output


def ping(host: Namespace) -> None:
    """Ping the second host from the first one, and print how long each answer takes."""
    near, far = HOSTS
    with Pinger(host, far) as pinger:
        for number in range(1, PINGS + 1):
            start = time.monotonic()
            if not pinger.replied(pinger.send(), PING_SIZE, LIMIT_S):
                raise TimeoutError(f"{far} does not answer {near}")
            elapsed_ms = (time.monotonic() - start) * 1000
            print(f"  {far} answers {near}: ping {number}, {elapsed_ms:.2f} ms")


def show(command: tuple[str, ...], output: str) -> None:
    """Print a command line, and what it printed."""
    print(f"$ {shlex.join(command)}")
    for line in output.splitlines():
        print(f"  {line}")
    sys.stdout.flush()
