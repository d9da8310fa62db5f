"""Network namespaces for tests: interfaces that nobody else sees, and that go with the test.

A namespace is held by a descriptor alone: it has no name, and leaves nothing when the tests end,
however they do. Code runs in it `with namespace:`, and so do the programs that it starts.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from ovsdp_cuse.ports.interfaces import TCMSG
from ovsdp_cuse.ports.rtnetlink import (
    HEADER,
    IFF_UP,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    RTM_DELLINK,
    RTM_NEWLINK,
    RTM_SETLINK,
    Link,
    RouteSocket,
    attributes_in,
)

RTM_NEWADDR: Final = 20
RTM_GETQDISC: Final = 38
TCA_KIND: Final = 1
IFF_RUNNING: Final = 0x40
LIMIT_S: Final = 20.0
CLONE_NEWNET: Final = 0x40000000
NETWORK: Final = Path("/proc/thread-self/ns/net")
TUN: Final = Path("/dev/net/tun")
SETTINGS: Final = Path("/proc/sys/net/ipv6/conf")

_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A new network namespace. Its interfaces are changed from anywhere, by name."""

    def __init__(self) -> None:
        self._before: list[int] = []
        home = os.open(NETWORK, os.O_RDONLY)
        try:
            _check(_libc.unshare(CLONE_NEWNET))
            self._descriptor = os.open(NETWORK, os.O_RDONLY)
            self._route = RouteSocket()
            for name in ("all", "default"):  # no traffic but that of the test
                if SETTINGS.exists():
                    (SETTINGS / name / "disable_ipv6").write_text("1")
        finally:
            _check(_libc.setns(home, CLONE_NEWNET))
            os.close(home)

    def close(self) -> None:
        """Let it go, with all that is in it, once nobody is there any more."""
        self._route.close()
        os.close(self._descriptor)

    def __enter__(self) -> Namespace:
        """This thread is in the namespace until the block ends."""
        self._before.append(os.open(NETWORK, os.O_RDONLY))
        _check(_libc.setns(self._descriptor, CLONE_NEWNET))
        return self

    def __exit__(self, *error: object) -> None:
        home = self._before.pop()
        _check(_libc.setns(home, CLONE_NEWNET))
        os.close(home)

    def add_veth(self, name: str, peer: str, there: Namespace | None = None) -> None:
        """Make a pair of interfaces that are up, the second in another namespace if wanted."""
        attributes: list[tuple[str, Any]] = [("IFLA_IFNAME", peer)]
        if there is not None:
            attributes.append(("IFLA_NET_NS_FD", there._descriptor))
        peer_data = {"attrs": [("VETH_INFO_PEER", {"attrs": attributes})]}
        info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", peer_data)]}
        self._make(("IFLA_IFNAME", name), ("IFLA_LINKINFO", info))
        self.set_up(name)
        (there or self).set_up(peer)
        self.wait_running(name)
        (there or self).wait_running(peer)

    def add_link(self, name: str, kind: str) -> None:
        """Make an interface of a kind that needs nothing else, such as bridge or dummy."""
        info = {"attrs": [("IFLA_INFO_KIND", kind)]}
        self._make(("IFLA_IFNAME", name), ("IFLA_LINKINFO", info))

    def link(self, name: str) -> Link:
        """The interface with this name."""
        link = self._route.link(name)
        assert link is not None, f"there is no interface {name}"
        return link

    def has_link(self, name: str) -> bool:
        """Whether there is an interface with this name."""
        return self._route.link(name) is not None

    def link_names(self) -> list[str]:
        """The names of all interfaces, the loopback's first."""
        return [link.name for link in self._route.links()]

    def qdiscs(self, name: str) -> list[str]:
        """The kinds of the queueing disciplines of an interface: noqueue, ingress, ..."""
        ifindex = self.link(name).ifindex
        answers = self._route.send_message(RTM_GETQDISC, NLM_F_DUMP, tcmsg())
        own = (answer for answer in answers if TCMSG.unpack_from(answer, HEADER.size)[1] == ifindex)
        return [attributes_in(answer, TCMSG.size)[TCA_KIND][:-1].decode() for answer in own]

    def set_up(self, name: str, is_up: bool = True) -> None:
        """Switch an interface on, or off."""
        message = ifinfmsg()
        message["index"] = self.link(name).ifindex
        message["change"], message["flags"] = IFF_UP, IFF_UP if is_up else 0
        self._route.send_message(RTM_SETLINK, 0, message)

    def set_link(self, name: str, *attributes: tuple[str, Any]) -> None:
        """Change what pyroute2 calls IFLA_MTU, IFLA_IFNAME and so on."""
        self._route.set_link(self.link(name).ifindex, *attributes)

    def wait_running(self, name: str) -> None:
        """Return once an interface sends: what comes before the kernel has noticed its carrier,
        which a task of its own does, is dropped."""
        deadline = time.monotonic() + LIMIT_S
        while not self.link(name).flags & IFF_RUNNING:
            assert time.monotonic() < deadline, f"{name} has no carrier"

    def rename_link(self, name: str, new_name: str) -> None:
        """Give an interface another name; before Linux 6.2 it must be down for that."""
        is_up = bool(self.link(name).flags & IFF_UP)
        self.set_up(name, False)
        self.set_link(name, ("IFLA_IFNAME", new_name))
        self.set_up(new_name, is_up)

    def move_link(self, name: str, there: Namespace) -> None:
        """Give an interface to another namespace."""
        self.set_link(name, ("IFLA_NET_NS_FD", there._descriptor))

    def delete_link(self, name: str) -> None:
        """Delete an interface."""
        message = ifinfmsg()
        message["index"] = self.link(name).ifindex
        self._route.send_message(RTM_DELLINK, 0, message)

    def add_address(self, name: str, address: str, prefix: int) -> None:
        """Give an interface an IPv4 address."""
        message = ifaddrmsg()
        message["family"], message["prefixlen"] = socket.AF_INET, prefix
        message["index"] = self.link(name).ifindex
        message["attrs"] = [("IFA_LOCAL", address), ("IFA_ADDRESS", address)]
        self._route.send_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, message)

    def _make(self, *attributes: tuple[str, Any]) -> None:
        message = ifinfmsg()
        message["attrs"] = list(attributes)
        self._route.send_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, message)


def _check(result: int) -> None:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


@contextmanager
def fresh_namespaces() -> Iterator[Callable[[], Namespace]]:
    """Makes namespaces, which are let go at the end; for a fixture. Skips where that takes root."""
    if os.geteuid():
        pytest.skip("making network namespaces takes root")
    if not TUN.exists():  # a module of Debian's kernel
        subprocess.run(["modprobe", "tun"], check=True)
    with ExitStack() as made:

        def make() -> Namespace:
            namespace = Namespace()
            made.callback(namespace.close)
            return namespace

        yield make
