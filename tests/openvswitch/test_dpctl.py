"""ovs-dpctl, with every command of its manual: it prints what it does on the kernel's datapath."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.openvswitch.record import add_interfaces
from tests.openvswitch.sessions import DPCTL
from tests.openvswitch.stack import Stack, check_daemon
from tests.openvswitch.transcript import RECORDED, entries, transcribe

KERNEL = entries((RECORDED / "dpctl.txt").read_text())


@pytest.fixture(scope="module")
def ours(shared_stack: Stack) -> Iterator[dict[str, str]]:
    """What the same session prints here."""
    shared_stack.forget_logs()
    add_interfaces(shared_stack.namespace)
    yield entries(transcribe(shared_stack.programs, DPCTL))
    shared_stack.clear()
    check_daemon(shared_stack.daemon_log)


@pytest.mark.emulated
@pytest.mark.parametrize("command", KERNEL)
def test_it_prints_what_it_does_on_the_kernel_s_datapath(
    command: str, ours: dict[str, str]
) -> None:
    assert ours[command] == KERNEL[command]


def test_the_recording_is_of_these_commands() -> None:
    assert [command.partition(" ")[2] for command in KERNEL] == list(DPCTL)
