"""Keeps account of packets: none is processed without being sent, told or counted as dropped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from ovsdp_cuse.families.session import SessionTable
from ovsdp_cuse.ports.memory import MemoryPort
from ovsdp_cuse.switch.datapath import Datapath
from ovsdp_cuse.switch.drops import DropReason


class Account(NamedTuple):
    """What has become of packets: numbers since the datapath was made, of the ports it has now."""

    sent: int
    told: int
    dropped: int
    not_told: int
    lost: int
    lost_drops: int
    looked_up: int
    refused: int

    @classmethod
    def of(cls, datapath: Datapath) -> Account:
        """As it stands."""
        ports = datapath.ports.values()
        drops, counters = datapath.drops, datapath.counters
        return cls(
            sum(port.counts.tx_packets for port in ports),
            sum(port.upcall_successes for port in ports),
            sum(drops.values()),
            sum(port.upcall_failures for port in ports),
            counters.lost,
            drops[DropReason.UPCALL_LOST],
            counters.hit + counters.missed,
            drops[DropReason.MALFORMED] + drops[DropReason.FAILURE],
        )

    def since(self, before: Account) -> Account:
        """What has been added."""
        return Account._make(now - then for now, then in zip(self, before, strict=True))

    def check(self) -> None:
        """What holds for any number of packets."""
        assert min(self) >= 0
        assert self.not_told == self.lost == self.lost_drops, f"lost without being counted: {self}"


def check_rest(datapath: Datapath) -> None:
    """Between packets nothing waits."""
    assert datapath.execution.level == 0
    assert not datapath.execution._deferred
    assert not datapath._queued
    for port in datapath.ports.values():
        assert isinstance(port, MemoryPort)
        assert not port._queued, "a frame waits in a port that was not flushed"
        port.sent.clear()


def state_of(datapath: Datapath) -> tuple[object, ...]:
    """All that a packet may change of a datapath, and what looking at it might."""
    flows = datapath.flows
    return (
        Account.of(datapath),
        replace(datapath.counters),
        dict(datapath.drops),
        (flows.mask_hit, flows.cache_hits, tuple(map(id, flows._cache))),
        [(mask.bits, mask.hits, len(mask.flows)) for mask in flows.masks],
        [(id(flow), flow.packets, flow.bytes, flow.used_ms, flow.tcp_flags) for flow in flows],
        [
            (
                *(id(meter), meter.packets, meter.bytes, meter.used_ms),
                *((band.packets, band.bytes, band.bucket) for band in meter.bands),
            )
            for meter in datapath.meters
        ],
        [(number, replace(port.counts)) for number, port in datapath.ports.items()],
        [list(port.sent) for port in datapath.ports.values() if isinstance(port, MemoryPort)],
        (datapath.now_ms, datapath._microflows._count, len(datapath._compiled)),
        (len(datapath._uncounted), len(datapath._queued), datapath.random.getstate()),
    )


@contextmanager
def unchanged(datapath: Datapath, sessions: SessionTable) -> Iterator[None]:
    """What is done inside must change nothing of a datapath and queue nothing for any handle."""

    def all_of_it() -> tuple[object, ...]:
        queues = [(session.queue._number, session.queue.dropped) for session in sessions]
        return (*state_of(datapath), queues)

    before = all_of_it()
    yield
    for now, then in zip(all_of_it(), before, strict=True):
        assert now == then, f"changed by what should only look: {then} became {now}"


@contextmanager
def accounted(datapath: Datapath, looks_up: bool) -> Iterator[None]:
    """One packet is processed inside; it must become something, or AssertionError is raised.

    looks_up: whether the packet comes in through a port, so that a flow is looked for.
    """
    before = Account.of(datapath)
    yield
    result = Account.of(datapath).since(before)
    result.check()
    check_rest(datapath)
    assert result.sent + result.told + result.dropped, "a packet went nowhere, and is not counted"
    if looks_up:
        assert result.looked_up or result.refused == 1
