"""The daemon, its device and Open vSwitch on it, in one network namespace.

The kernel's own datapath takes the device's place where the two are compared.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ovsdp_cuse.shim import VARIABLE, library
from ovsdp_cuse.testing.process import mounted
from tests.namespaces import Namespace
from tests.nodes.daemon import Daemon
from tests.nodes.served import new_path
from tests.openvswitch.daemons import OpenVSwitch
from tests.openvswitch.programs import Programs

SLOWNESS = re.compile(r"\|(timeval|ovs_rcu|poll_loop)(\(\w+\))?\|")
"""Who warns that this machine is slow, and how it polls: emulated, or with others beside us."""
COMPLAINT = re.compile(r"\|(WARN|ERR|EMER)\||^ovs-vswitchd: |ovsdp-cuse")
"""What ovs-vswitchd logs, and the shim prints, where something is wrong."""


class Stack:
    """What one test, or many, have of Open vSwitch. Its programs are methods: see Programs.

    namespace: where the daemon's ports and ovs-vswitchd are. daemon: None with the kernel's own
    datapath. log: what ovs-vswitchd has logged.
    """

    def __init__(
        self,
        namespace: Namespace,
        openvswitch: OpenVSwitch,
        daemon: Daemon | None,
        start_daemon: Callable[[], Daemon],
    ) -> None:
        self.namespace = namespace
        self.openvswitch = openvswitch
        self.daemon = daemon
        self._start_daemon = start_daemon
        self.programs: Programs = openvswitch.programs
        self.directory = openvswitch.directory
        self.vsctl = self.programs.vsctl
        self.ofctl = self.programs.ofctl
        self.dpctl = self.programs.dpctl
        self.dpctl_fails = self.programs.dpctl_fails
        self.appctl = self.programs.appctl
        self.appctl_fails = self.programs.appctl_fails
        self._seen = (0, 0)

    @property
    def log(self) -> str:
        """What ovs-vswitchd has logged since `forget_logs`."""
        return self.openvswitch.log[self._seen[0] :]

    @property
    def daemon_log(self) -> str:
        """What our daemon has logged since `forget_logs`."""
        return self.daemon.log[self._seen[1] :] if self.daemon is not None else ""

    def forget_logs(self) -> None:
        """What was logged until now is of others."""
        self._seen = (len(self.openvswitch.log), len(self.daemon.log) if self.daemon else 0)

    def start_daemon(self) -> None:
        """Start another daemon, on the same node, in the place of one that has ended."""
        self.daemon = self._start_daemon()

    def complaints(self) -> list[str]:
        """The lines of the log that say that something is wrong, but that all is slow."""
        return [
            line
            for line in self.log.splitlines()
            if COMPLAINT.search(line) and not SLOWNESS.search(line)
        ]

    def add_bridge(self, name: str = "br0", *settings: str) -> None:
        """A bridge of the device, with settings of its record; it forwards as NORMAL does."""
        self.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=system", *settings)

    def clear(self) -> None:
        """Remove all that a test has added: bridges, datapaths, interfaces."""
        bridges = self.vsctl("list-br").split()
        settings = (
            "mirror",
            "qos",
            "queue",
            "sflow",
            "ipfix",
            "netflow",
            "flow_sample_collector_set",
        )
        commands: list[tuple[str, ...]] = [("del-br", bridge) for bridge in bridges]
        commands += [("--all", "destroy", table) for table in settings]
        self.vsctl(*(part for command in commands for part in ("--", *command)))
        for datapath in self.dpctl("dump-dps").split():
            if datapath != "system@ovs-system":
                self.dpctl("del-dp", datapath)
        for name in self.links():
            if self.namespace.has_link(name):  # veths go in pairs
                self.namespace.delete_link(name)

    def links(self) -> list[str]:
        """The names of the interfaces but for the loopback and what is Open vSwitch's own."""
        return [
            name
            for name in self.namespace.link_names()
            if name not in ("lo", "ovs-system", "ovs-netdev")
        ]


def check_daemon(log: str) -> None:
    """See that our daemon was well."""
    assert "Traceback" not in log, log
    assert "[error" not in log, log


@contextmanager
def running_stack(
    kind: str, new_namespace: Callable[[], Namespace], *options: str
) -> Iterator[Stack]:
    """A stack of its own; at the end it is stopped, and must leave nothing.

    kind: fuse or cuse, or `kernel` for the kernel's own datapath. options: of our daemon.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ovsdp-test-")))
        namespace = new_namespace()
        before = namespace.link_names()
        path = directory / "none"
        if kind != "kernel":
            path = new_path(kind, directory)

        def start_daemon() -> Daemon:
            with namespace:
                return stack.enter_context(Daemon(kind, path, *options, interfaces="host"))

        daemon = None if kind == "kernel" else start_daemon()
        environment = {} if daemon is None else device_environment(path)
        switch = stack.enter_context(OpenVSwitch(_directory(directory), namespace, environment))
        running = Stack(namespace, switch, daemon, start_daemon)
        yield running
        switch.__exit__(None, None, None)
        daemon = running.daemon
        if daemon is not None:
            if daemon.process.poll() is None:
                assert daemon.stop() == 0, daemon.log
            check_daemon(daemon.log)
            if daemon.process.returncode == 0:
                assert not mounted(path) and not path.exists(), "the node is left"
        assert namespace.link_names() == before, "interfaces are left"


def _directory(parent: Path) -> Path:
    made = parent / "ovs"
    made.mkdir()
    return made


def device_environment(path: Path) -> Mapping[str, str]:
    """What a program needs in its environment to use the device at `path`."""
    return {"LD_PRELOAD": str(library()), VARIABLE: str(path)}


def last_lines(text: str, count: int = 150) -> str:
    """The end of a log."""
    return "\n".join(text.splitlines()[-count:])


def sections(stacks: Sequence[Stack]) -> Iterator[tuple[str, str]]:
    """Title and text of the logs that tell why a test has failed."""
    for stack in stacks:
        yield "ovs-vswitchd", last_lines(stack.log)
        yield "ovsdb-server", last_lines(stack.openvswitch.database_log, 20)
        if stack.daemon is not None:
            yield "ovsdp-cuse", last_lines(stack.daemon_log)
