"""ovs-dpctl, with every command of its manual: it prints what it does on the kernel's datapath."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.openvswitch.programs import Programs
from tests.openvswitch.record import add_interfaces
from tests.openvswitch.sessions import DPCTL
from tests.openvswitch.stack import Stack, check_daemon
from tests.openvswitch.transcript import RECORDED, entries, transcribe

KERNEL = list(entries((RECORDED / "dpctl.txt").read_text()))
"""Command, and what it printed."""
EMULATED = 20
"""How many of the commands are asked under emulation, where each takes seconds."""


class Session:
    """The same session here, as far as it is asked for."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._printed: list[str] = []

    def printed(self, place: int) -> str:
        """What the command at this place printed, after all before it."""
        while len(self._printed) <= place:
            command = DPCTL[len(self._printed)]
            ((_, printed),) = entries(transcribe(self._programs, [command]))
            self._printed.append(printed)
        return self._printed[place]


@pytest.fixture(scope="module")
def session(shared_stack: Stack) -> Iterator[Session]:
    """A session that has not begun, with its interfaces."""
    shared_stack.forget_logs()
    add_interfaces(shared_stack.namespace)
    yield Session(shared_stack.programs)
    shared_stack.clear()
    check_daemon(shared_stack.daemon_log)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(
            place,
            id=f"{place:03} {command}",
            marks=[pytest.mark.emulated] if place < EMULATED else [],
        )
        for place, (command, _printed) in enumerate(KERNEL)
    ],
)
def test_it_prints_what_it_does_on_the_kernel_s_datapath(place: int, session: Session) -> None:
    assert session.printed(place) == KERNEL[place][1]


def test_the_recording_is_of_these_commands() -> None:
    assert [command for command, _printed in KERNEL] == list(DPCTL)
