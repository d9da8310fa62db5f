"""How deep actions go: what runs at once, what is deferred, and what is dropped.

The expected orders are worked out by hand from clone_execute(), process_deferred_actions() and
ovs_execute_actions() of net/openvswitch/actions.c.
"""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from ovsdp_cuse.switch.actions import Action, Clone, Layer, Output, Recirc, Set, Trunc, Userspace
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.execution import LEVELS
from ovsdp_cuse.switch.key import ETH_DST
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.program import compile_actions
from tests.switch.board import Board, packet_of

FRAME = bytes(Ether(dst="02:00:00:00:00:0b", src="02:00:00:00:00:0a") / IP() / UDP())
KEEP = Trunc(9999)
"""An action that does nothing, so that the one before is not the last."""
FAILS = Set(Layer.CONNTRACK, 0, 0)
LIMIT = DropReason.RECIRCULATION_LIMIT


def mark(number: int) -> Set:
    """An action that marks the frame, and changes the flow."""
    return Set(Layer.ETHERNET, ETH_DST.place(bytes((2, 0, 0, 0, 0, number))), ETH_DST.ones)


def board_with(flows: dict[int, tuple[Action, ...]]) -> Board:
    """A board with flows by recirculation id."""
    board = Board()
    board.flows = {number: compile_actions(actions, board) for number, actions in flows.items()}
    return board


def test_recirculation_runs_at_once_three_deep() -> None:
    """The fourth look-up waits until all of the packet's own actions are done."""
    flows: dict[int, tuple[Action, ...]] = {n: (Recirc(n + 1),) for n in range(1, 5)}
    board = board_with(flows | {5: (Output(1),)})
    board.run(packet_of(FRAME), Recirc(1), Output(2))
    assert board.order == [
        ("lookup", 1),
        ("lookup", 2),
        ("lookup", 3),
        ("sent", 2),
        ("lookup", 4),
        ("lookup", 5),
        ("sent", 1),
    ]


def test_a_loop_ends() -> None:
    """Three look-ups at once, and three for each of nine that can wait."""
    board = board_with({1: (Recirc(1),)})
    board.run(packet_of(FRAME), Recirc(1))
    assert board.order == [("lookup", 1)] * 30
    assert board.counts() == {LIMIT: 1}
    board.run(packet_of(FRAME), Recirc(1))
    assert len(board.order) == 60


def nest(depth: int, *actions: Action) -> tuple[Action, ...]:
    """Actions in clones that change the flow and are not the last of their lists."""
    for number in range(depth):
        actions = (Clone((mark(number), *actions)), KEEP)
    return actions


@pytest.mark.parametrize(
    ("depth", "order"),
    [
        (3, [("upcall", 1), ("upcall", 2)]),
        (4, [("upcall", 2), ("upcall", 1)]),
    ],
)
def test_copies_run_at_once_three_deep(depth: int, order: list[tuple[str, int]]) -> None:
    """A fourth list on a copy waits."""
    board = Board().run(packet_of(FRAME), *nest(depth, Userspace(1)), Userspace(2))
    assert board.order == order
    assert not board.counts()


def test_copies_wait_with_frame_and_key_of_then() -> None:
    """What comes after does not change them."""
    inner = (Clone((mark(8), Userspace(1))), mark(9), Userspace(2))
    board = Board().run(packet_of(FRAME), *nest(3, *inner), Userspace(3))
    assert board.order == [("upcall", 2), ("upcall", 3), ("upcall", 1)]
    assert [event.frame[5] for event in board.events] == [9, 0x0B, 8]
    assert [ETH_DST.get(event.key)[5] for event in board.events] == [9, 0x0B, 8]


@pytest.mark.parametrize("inner", [(Userspace(1), KEEP), (Output(1), Trunc(14))])
def test_lists_that_change_nothing_run_at_once_at_any_depth(inner: tuple[Action, ...]) -> None:
    """They need no flow key of their own."""
    board = Board().run(packet_of(FRAME), *nest(3, Clone(inner), Output(2)), Output(3))
    assert [where for _, where in board.order] == [1, 2, 3]


def test_last_lists_need_no_level() -> None:
    """They run in place."""
    actions: tuple[Action, ...] = (Userspace(1),)
    for number in range(10):
        actions = (mark(number), Clone(actions))
    board = Board().run(packet_of(FRAME), *actions)
    assert board.order == [("upcall", 1)]
    assert not board.counts()


def test_nine_can_wait() -> None:
    """In order; what is more is dropped, and the rest goes on."""
    many = tuple(Recirc(number) for number in range(1, 13))
    board = Board().run(packet_of(FRAME), *nest(3, *many, Output(1)), Output(2))
    assert board.order == [("sent", 1), ("sent", 2)] + [("lookup", n) for n in range(1, 10)]
    assert board.counts() == {LIMIT: 3}


def test_what_waits_may_defer_more() -> None:
    """Places are not free again before all is done."""
    board = board_with({1: nest(2, Recirc(2), KEEP)})
    board.run(packet_of(FRAME), *nest(3, *(Recirc(1),) * 5, KEEP))
    assert board.order == [("lookup", 1)] * 5 + [("lookup", 2)] * 4
    assert board.counts() == {LIMIT: 1}


def test_a_failure_of_what_waited_is_its_own() -> None:
    """The lists around it have ended long ago."""
    inner = (Clone((mark(8), FAILS)), Output(1))
    board = Board().run(packet_of(FRAME), *nest(3, *inner), Output(2))
    assert board.order == [("sent", 1), ("sent", 2)]
    assert board.counts() == {DropReason.ACTION_FAILED: 1}


def test_programs_inside_each_other() -> None:
    """A sixth is dropped."""
    board = Board()
    seen: list[int] = []

    def again(packet: Packet) -> None:
        seen.append(board.execution.level)
        board.execution.run(again, packet)

    board.execution.run(again, packet_of(FRAME))
    assert seen == list(range(1, LEVELS + 1))
    assert board.counts() == {LIMIT: 1}
    assert board.execution.level == 0


def test_the_level_is_right_after_an_error() -> None:
    """Nothing that waits is left for the next packet."""
    board = board_with({1: (Recirc(1),)})

    def fall(packet: Packet) -> None:
        board.execution.level = 4
        board.execution.descend(board.process, packet, 0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        board.execution.run(fall, packet_of(FRAME))
    assert board.execution.level == 0
    board.run(packet_of(FRAME), Recirc(2))
    assert board.order == [("lookup", 2)]
