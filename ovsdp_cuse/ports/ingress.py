"""Takes received frames away from the host's stack, after packet sockets have seen them.

The kernel's datapath does so by an rx handler, which a program cannot have. A packet socket gets a
copy of each frame; what follows it is the ingress hook of traffic control. There a filter of one
instruction of classic BPF takes all frames: no map, no capability but CAP_NET_ADMIN, and it is in
every kernel that has cls_bpf and sch_ingress. It comes last, so the user's filters still run; one
that accepts a frame for good lets it through to the host.

The filter is in a qdisc of the kind ingress, unless there is a clsact. With clsact the interface
could not be policed by Open vSwitch, which removes an ingress qdisc and adds one of its own.

A filter stays when its daemon dies. The next one that opens the interface replaces it, and removes
it in the end with the qdisc that was made for it: the place of our filter (PRIORITY, HANDLE) is
fixed. Layouts: <linux/rtnetlink.h>, <linux/pkt_cls.h>, tc-bpf(8).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EEXIST, EINVAL, ENODEV, ENOENT
from typing import Final

from pyroute2.netlink import nla, nlmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from ovsdp_cuse.ports.rtnetlink import NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, RouteSocket

RTM_NEWQDISC: Final = 36
RTM_DELQDISC: Final = 37
RTM_NEWTFILTER: Final = 44
RTM_DELTFILTER: Final = 45
RTM_GETTFILTER: Final = 46

TC_H_INGRESS: Final = 0xFFFFFFF1
QDISC_HANDLE: Final = 0xFFFF0000
"""Of ingress, as of clsact: an interface has one of them."""
INGRESS: Final = 0xFFFFFFF2
"""The parent of filters of received frames, of clsact as of ingress."""
PRIORITY: Final = 0xFFFF
"""The last of all."""
HANDLE: Final = 1
INFO: Final = PRIORITY << 16 | socket.htons(0x0003)
"""tcm_info: the priority, and ETH_P_ALL."""

TC_ACT_STOLEN: Final = 4
TCA_BPF_FLAG_ACT_DIRECT: Final = 1
PROGRAM: Final = {"code": 0x06, "jt": 0, "jf": 0, "k": TC_ACT_STOLEN}
"""BPF_RET | BPF_K. Stolen: the frame is gone, but was not dropped."""
NAME: Final = "ovsdp-cuse"


class FilterMessage(nlmsg):
    """struct tcmsg with the attributes of cls_bpf, of which pyroute2 knows those of eBPF only.

    No subclass of tcmsg: pyroute2 keeps the attributes of a class that was used for its subclasses.
    """

    fields = tcmsg.fields
    nla_map = (
        ("TCA_UNSPEC", "none"),
        ("TCA_KIND", "asciiz"),
        ("TCA_OPTIONS", "bpf_options"),
    )

    class bpf_options(nla):
        """TCA_BPF_*."""

        nla_map = (
            ("TCA_BPF_UNSPEC", "none"),
            ("TCA_BPF_ACT", "hex"),
            ("TCA_BPF_POLICE", "hex"),
            ("TCA_BPF_CLASSID", "uint32"),
            ("TCA_BPF_OPS_LEN", "uint16"),
            ("TCA_BPF_OPS", "sock_filter"),
            ("TCA_BPF_FD", "uint32"),
            ("TCA_BPF_NAME", "asciiz"),
            ("TCA_BPF_FLAGS", "uint32"),
        )

        class sock_filter(nla):
            """struct sock_filter of <linux/filter.h>: a program of one instruction."""

            fields = (("code", "H"), ("jt", "B"), ("jf", "B"), ("k", "I"))


def take_frames(route: RouteSocket, ifindex: int) -> bool:
    """Take all frames that the interface receives; True where it has a new qdisc for that.

    Raises OSError, and leaves the interface as it was: EPERM, EOPNOTSUPP or ENOENT where the kernel
    lacks something.
    """
    is_new = True
    try:
        route.send_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, _qdisc(ifindex))
    except OSError as error:
        if error.errno != EEXIST:
            raise
        is_new = False
    try:
        add_filter(route, ifindex)
    except OSError:
        if is_new:
            with _may_be_gone():
                route.send_message(RTM_DELQDISC, 0, _qdisc(ifindex))
        raise
    return is_new


def add_filter(route: RouteSocket, ifindex: int) -> None:
    """Take all frames by a qdisc that is there; OSError EINVAL where there is none."""
    message = _filter(ifindex)
    message["attrs"] = [
        ("TCA_KIND", "bpf"),
        (
            "TCA_OPTIONS",
            {
                "attrs": [
                    ("TCA_BPF_OPS_LEN", 1),
                    ("TCA_BPF_OPS", PROGRAM),
                    ("TCA_BPF_NAME", NAME),
                    ("TCA_BPF_FLAGS", TCA_BPF_FLAG_ACT_DIRECT),
                ]
            },
        ),
    ]
    route.send_message(RTM_NEWTFILTER, NLM_F_CREATE, message)


def filters(route: RouteSocket, ifindex: int) -> list[bytes]:
    """The filters of received frames, as RTM_NEWTFILTER messages with their headers."""
    message = tcmsg()
    message["index"] = ifindex
    message["parent"] = INGRESS
    found: list[bytes] = []
    with _may_be_gone():
        found = route.send_message(RTM_GETTFILTER, NLM_F_DUMP, message)
    return found


def was_left(route: RouteSocket, ifindex: int) -> bool:
    """Whether a daemon that died has left its filter."""
    found: list[bytes] = []
    with _may_be_gone():
        found = route.send_message(RTM_GETTFILTER, 0, _filter(ifindex))
    return bool(found)


def leave_frames(route: RouteSocket, ifindex: int, remove_qdisc: bool) -> None:
    """Undo `take_frames`. `remove_qdisc`: it, or a daemon that died, has made the qdisc; filters
    of others keep it.
    """
    with _may_be_gone():
        route.send_message(RTM_DELTFILTER, 0, _filter(ifindex))
    if remove_qdisc and not filters(route, ifindex):
        with _may_be_gone():
            route.send_message(RTM_DELQDISC, 0, _qdisc(ifindex))


@contextmanager
def _may_be_gone() -> Iterator[None]:
    """For what somebody may have removed, the interface with it."""
    try:
        yield
    except OSError as error:
        if error.errno not in (ENOENT, EINVAL, ENODEV):
            raise


def _qdisc(ifindex: int) -> tcmsg:
    message = tcmsg()
    message["index"] = ifindex
    message["handle"] = QDISC_HANDLE
    message["parent"] = TC_H_INGRESS
    message["attrs"] = [("TCA_KIND", "ingress")]
    return message


def _filter(ifindex: int) -> FilterMessage:
    message = FilterMessage()
    message["index"] = ifindex
    message["handle"] = HANDLE
    message["parent"] = INGRESS
    message["info"] = INFO
    message["attrs"] = [("TCA_KIND", "bpf")]
    return message
