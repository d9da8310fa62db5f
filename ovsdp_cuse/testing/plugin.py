"""The pytest plugin: fixtures for a device, its client, ports, faults and clock.

pytest loads this in each run on a machine that has the package, so it imports nothing of the
daemon: the fixtures do, when a test uses them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from ovsdp_cuse.client.device import Device
    from ovsdp_cuse.client.faults import Faults
    from ovsdp_cuse.testing.clock import VirtualClock
    from ovsdp_cuse.testing.daemon import LocalDaemon
    from ovsdp_cuse.testing.ports import Ports
    from ovsdp_cuse.testing.process import DaemonProcess

NODES: Final = ("memory", "fuse", "cuse", "auto")
MARKER: Final = "ovsdp"
MARKER_SETTINGS: Final = ("families", "handle_limit", "queue_limit", "queue_maximum")
MESSAGES_SHOWN: Final = 200


class _Daemons:
    """The daemons of one test, for what is done when it has run."""

    def __init__(self) -> None:
        self.local: list[LocalDaemon] = []
        self.processes: list[DaemonProcess] = []

    def check(self) -> None:
        """Raise DaemonFailure for what a daemon did wrong."""
        for daemon in self.local:
            daemon.check()

    def sections(self, shown: int) -> Iterator[tuple[str, str]]:
        """What the report of a failed test has to tell of them: titles and texts."""
        for number, daemon in enumerate(self.local, 1):
            which = f" {number}" if len(self.local) > 1 else ""
            for what, lines in (("messages", daemon.messages.lines()), ("log", daemon.log.lines())):
                if lines:
                    title = f"ovsdp{which}: {what}"
                    if len(lines) > shown:
                        title += f", the last {shown} of {len(lines)}"
                    yield title, "\n".join(lines[-shown:])
        for process in self.processes:
            lines = process.log.splitlines()
            yield f"ovsdp: {process.path} has printed", "\n".join(lines[-shown:])


_DAEMONS = pytest.StashKey[_Daemons]()


def _daemons(item: pytest.Item) -> _Daemons:
    return item.stash.setdefault(_DAEMONS, _Daemons())


# Hooks -----------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """--ovsdp-node and --ovsdp-messages."""
    group = parser.getgroup("ovsdp", "devices of ovsdp-cuse")
    group.addoption(
        "--ovsdp-node",
        choices=NODES,
        default="memory",
        help="what the device of a test is: in memory (the default), on a FUSE file, a CUSE device "
        "(both take root), or auto: CUSE where there can be one, else FUSE",
    )
    group.addoption(
        "--ovsdp-messages",
        type=int,
        default=MESSAGES_SHOWN,
        metavar="N",
        help="how many of the last messages are shown when a test fails, 0 for none "
        f"(default: {MESSAGES_SHOWN})",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}({', '.join(f'{name}=' for name in MARKER_SETTINGS)}): settings of this test's "
        "device",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test in which the daemon has done wrong."""
    yield
    if _DAEMONS in item.stash:
        item.stash[_DAEMONS].check()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what has crossed the device when a test fails."""
    report = yield
    shown: int = item.config.getoption("--ovsdp-messages")
    if report.failed and shown > 0 and _DAEMONS in item.stash:
        report.sections.extend(item.stash[_DAEMONS].sections(shown))
    return report


# Fixtures --------------------------------------------------------------------------------------


@pytest.fixture
def ovsdp_make(request: pytest.FixtureRequest) -> Iterator[Callable[..., LocalDaemon]]:
    """Makes further devices of a test: `ovsdp_make(queue_limit=8192)`.

    The settings are those of LocalDaemon; `node` is what --ovsdp-node says.
    """
    from ovsdp_cuse.device.node import NodeError
    from ovsdp_cuse.families.registry import RegistryError
    from ovsdp_cuse.testing.daemon import LocalDaemon

    daemons = _daemons(request.node)
    with ExitStack() as stack:

        def make(**settings: Any) -> LocalDaemon:
            settings.setdefault("node", request.config.getoption("--ovsdp-node"))
            try:
                daemon = stack.enter_context(LocalDaemon(**settings))
            except (NodeError, RegistryError) as error:
                pytest.fail(f"the device of this test cannot be made: {error}", pytrace=False)
            daemons.local.append(daemon)
            return daemon

        yield make


@pytest.fixture
def ovsdp(request: pytest.FixtureRequest, ovsdp_make: Callable[..., LocalDaemon]) -> LocalDaemon:
    """The device of this test, with its daemon in a thread of this process.

    The marker `ovsdp` has its settings. Its clock is virtual where the test asks for `ovsdp_clock`.
    """
    settings: dict[str, Any] = {"virtual_clock": "ovsdp_clock" in request.fixturenames}
    for marker in reversed(list(request.node.iter_markers(MARKER))):
        unknown = sorted(set(marker.kwargs) - set(MARKER_SETTINGS))
        if unknown or marker.args:
            given = ", ".join([*map(repr, marker.args), *unknown])
            known = ", ".join(MARKER_SETTINGS)
            pytest.fail(
                f"the marker {MARKER!r} does not take {given}; it takes {known}", pytrace=False
            )
        settings |= marker.kwargs
    return ovsdp_make(**settings)


@pytest.fixture
def ovsdp_client(ovsdp: LocalDaemon) -> Device:
    """A blocking client of the device, open for writing."""
    return ovsdp.open()


@pytest.fixture
def ovsdp_ports(ovsdp: LocalDaemon) -> Ports:
    """The device's interfaces, which are in memory whatever the node is."""
    return ovsdp.ports


@pytest.fixture
def ovsdp_faults(ovsdp: LocalDaemon) -> Iterator[Faults]:
    """The device's faults; all are removed at the end, and what they hold goes on."""
    faults = ovsdp.faults()
    yield faults
    if ovsdp.running:
        faults.delete()


@pytest.fixture
def ovsdp_clock(ovsdp: LocalDaemon) -> VirtualClock:
    """The device's clock, which is virtual for a test that asks for this."""
    return ovsdp.clock


@pytest.fixture
def ovsdp_serve(request: pytest.FixtureRequest) -> Iterator[Callable[..., DaemonProcess]]:
    """Starts a daemon as a process beside the test: `ovsdp_serve("--queue-limit", "8192")`.

    The node is what --ovsdp-node says, and where that is memory, FUSE: a process has a path. At
    the end it is stopped; a traceback in what it has printed fails the test.
    """
    from ovsdp_cuse.device.node import cuse_problem
    from ovsdp_cuse.testing.daemon import DaemonFailure
    from ovsdp_cuse.testing.process import DaemonError, DaemonProcess, unique_name

    daemons = _daemons(request.node)
    kind = request.config.getoption("--ovsdp-node")
    if kind in ("memory", "auto"):
        kind = "cuse" if kind == "auto" and cuse_problem() is None else "fuse"
    with ExitStack() as stack:
        directory = Path("/dev")
        if kind == "fuse":
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ovsdp-")))

        def serve(*options: str) -> DaemonProcess:
            daemon = DaemonProcess(kind, directory / unique_name("ovsdp"), "--trace", *options)
            try:
                stack.enter_context(daemon)
            except DaemonError as error:
                pytest.fail(f"the daemon of this test does not start: {error.log}", pytrace=False)
            daemons.processes.append(daemon)
            return daemon

        yield serve
    for daemon in daemons.processes:
        if "Traceback" in daemon.log:
            raise DaemonFailure(f"the daemon has printed a traceback:\n{daemon.log}")
