"""The family `ovs_win_control`: what a socket has and a device handle must ask for.

A PID, the netlink protocol, memberships, upcalls, and waiting. As in Open vSwitch v3.7.1's Windows
datapath (datapath-windows/ovsext/), and its 2014 patch. Its requests need not carry NLM_F_REQUEST.
"""

from __future__ import annotations

from errno import EINVAL, EOPNOTSUPP, EPERM

from ovsdp_cuse.errors import DatapathError, within
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.wire.control import (
    CONTROL,
    ControlCmd,
    McastAttr,
    PacketSubscribeAttr,
    SocketAttr,
)
from ovsdp_cuse.wire.netlink import (
    NETLINK_GENERIC,
    NETLINK_NETFILTER,
    OVS_HEADER_SIZE,
    OVS_MESSAGE_HEADER,
)

PROTOCOLS = (NETLINK_GENERIC, NETLINK_NETFILTER)


def _required(request: Request, attribute: int) -> int:
    value = request.attributes.get(attribute)
    if value is None:
        attributes = CONTROL.attributes_of(request.header.command)
        raise DatapathError(EINVAL, f"{attributes.name_of(attribute)} is missing")
    number: int = value
    return number


async def win_get_pid(request: Request) -> Answer:
    """WIN_GET_PID: a message of zeros but for nlmsg_pid; EINVAL without a buffer for it."""
    if request.out_size is not None and request.out_size < OVS_HEADER_SIZE:
        raise DatapathError(EINVAL, "the reply of WIN_GET_PID needs a buffer of 24 bytes")
    return Answer(OVS_MESSAGE_HEADER.pack(0, 0, 0, 0, request.session.pid, 0, 0, 0, 0))


async def sock_prop(request: Request) -> Answer:
    """SOCK_PROP: set what a socket has as options, and reply all of it as it is in force then.

    SOCK_RCVBUF is bounded, not refused. Raises EINVAL, with nothing set, for a protocol that the
    device does not speak, or a PID that is not the handle's; for SOCK_BIND EPERM on a handle for
    reading only, and what SessionTable.bind raises.
    """
    session = request.session
    attributes = request.attributes
    protocol = attributes.get(SocketAttr.SOCK_PROTO, session.protocol)
    if protocol not in PROTOCOLS:
        raise DatapathError(
            EINVAL,
            f"netlink protocol {protocol} is neither NETLINK_GENERIC (16) nor "
            "NETLINK_NETFILTER (12)",
            (SocketAttr.SOCK_PROTO,),
        )
    pid = attributes.get(SocketAttr.SOCK_PID, session.pid)
    if pid != session.pid:
        raise DatapathError(
            EINVAL, f"this handle's PID is {session.pid}, not {pid}", (SocketAttr.SOCK_PID,)
        )
    if SocketAttr.SOCK_BIND in attributes:
        # Upcalls for that PID come here then: frames, which are not for who may only look.
        if not session.writable:
            raise DatapathError(
                EPERM, "SOCK_BIND takes a handle opened for writing", (SocketAttr.SOCK_BIND,)
            )
        request.context.sessions.bind(session, attributes[SocketAttr.SOCK_BIND])
    session.protocol = protocol
    session.ext_ack = bool(attributes.get(SocketAttr.SOCK_EXT_ACK, session.ext_ack))
    session.cap_ack = bool(attributes.get(SocketAttr.SOCK_CAP_ACK, session.cap_ack))
    if SocketAttr.SOCK_RCVBUF in attributes:
        request.context.sessions.set_queue_limit(session, attributes[SocketAttr.SOCK_RCVBUF])
    if SocketAttr.SOCK_NO_ENOBUFS in attributes:
        session.queue.tells_overruns = not attributes[SocketAttr.SOCK_NO_ENOBUFS]
    return Answer(
        Body(
            ControlCmd.SOCK_PROP,
            {
                int(SocketAttr.SOCK_PROTO): session.protocol,
                int(SocketAttr.SOCK_PID): session.pid,
                int(SocketAttr.SOCK_RCVBUF): session.queue.limit,
                int(SocketAttr.SOCK_EXT_ACK): int(session.ext_ack),
                int(SocketAttr.SOCK_CAP_ACK): int(session.cap_ack),
                int(SocketAttr.SOCK_NO_ENOBUFS): int(not session.queue.tells_overruns),
            },
        )
    )


async def mc_subscribe_req(request: Request) -> Answer:
    """MC_SUBSCRIBE_REQ: join a multicast group, or leave it.

    EINVAL for one that is not there, EPERM as SessionTable.join.
    """
    group_id = _required(request, McastAttr.MCAST_GRP)
    join = _required(request, McastAttr.MCAST_JOIN)
    group = request.context.registry.lookup_group(group_id)
    if group is None:
        raise DatapathError(EINVAL, f"no multicast group {group_id}", (McastAttr.MCAST_GRP,))
    sessions = request.context.sessions
    if join:
        with within(McastAttr.MCAST_GRP):
            sessions.join(request.session, group)
    else:
        sessions.leave(request.session, group.id)
    return Answer()


async def packet_subscribe_req(request: Request) -> Answer:
    """PACKET_SUBSCRIBE_REQ: receive the upcalls for the handle's PID, or no longer.

    A handle receives them from the beginning, as a netlink socket does. EINVAL for a PID that is
    not the handle's.
    """
    session = request.session
    subscribe = _required(request, PacketSubscribeAttr.PACKET_SUBSCRIBE)
    pid = _required(request, PacketSubscribeAttr.PACKET_PID)
    if pid != session.pid:
        raise DatapathError(
            EINVAL,
            f"this handle's PID is {session.pid}, not {pid}",
            (PacketSubscribeAttr.PACKET_PID,),
        )
    session.receives_packets = bool(subscribe)
    return Answer()


async def win_pend_req(request: Request) -> Answer:
    """WIN_PEND_REQ: return when an event waits; EAGAIN, EBUSY as Session.wait_for says."""
    await request.session.wait_for(Kind.EVENT)
    return Answer()


async def win_pend_packet_req(request: Request) -> Answer:
    """WIN_PEND_PACKET_REQ: return when an upcall waits; EAGAIN, EBUSY as Session.wait_for says."""
    await request.session.wait_for(Kind.PACKET)
    return Answer()


async def _read_by_ioctl(request: Request) -> Answer:
    raise DatapathError(
        EOPNOTSUPP, f"{request.command.name} is what READ_EVENT and READ_PACKET run"
    )


_W, _R, _T = DeviceOperation.WRITE, DeviceOperation.READ, DeviceOperation.TRANSACT
_S = DeviceOperation.STREAM

FAMILY = Family(
    schema=CONTROL,
    summary="handles, subscriptions and waiting",
    commands=(
        Command(
            ControlCmd.WIN_GET_PID,
            "OVS_CTRL_CMD_WIN_GET_PID",
            _T,
            win_get_pid,
            summary="a zeroed message whose nlmsg_pid is the handle's PID",
        ),
        Command(
            ControlCmd.WIN_PEND_REQ,
            "OVS_CTRL_CMD_WIN_PEND_REQ",
            _W,
            win_pend_req,
            summary="return when an event waits",
        ),
        Command(
            ControlCmd.WIN_PEND_PACKET_REQ,
            "OVS_CTRL_CMD_WIN_PEND_PACKET_REQ",
            _W,
            win_pend_packet_req,
            summary="return when an upcall waits",
        ),
        Command(
            ControlCmd.MC_SUBSCRIBE_REQ,
            "OVS_CTRL_CMD_MC_SUBSCRIBE_REQ",
            _W | _S,
            mc_subscribe_req,
            summary="join or leave a multicast group",
        ),
        Command(
            ControlCmd.PACKET_SUBSCRIBE_REQ,
            "OVS_CTRL_CMD_PACKET_SUBSCRIBE_REQ",
            _W | _S,
            packet_subscribe_req,
            summary="receive the upcalls for a PID on this handle",
        ),
        Command(
            ControlCmd.EVENT_NOTIFY,
            "OVS_CTRL_CMD_EVENT_NOTIFY",
            _R,
            _read_by_ioctl,
            summary="what READ_EVENT runs; not to be sent",
        ),
        Command(
            ControlCmd.READ_NOTIFY,
            "OVS_CTRL_CMD_READ_NOTIFY",
            _R,
            _read_by_ioctl,
            summary="what READ_PACKET runs; not to be sent",
        ),
        Command(
            ControlCmd.SOCK_PROP,
            "OVS_CTRL_CMD_SOCK_PROP",
            _T,
            sock_prop,
            summary="set what a socket has as options; reply all of it",
        ),
    ),
)
