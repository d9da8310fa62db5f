/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ovs_datapath.h - what a C or C++ program needs to talk to an Open vSwitch
 * datapath through the device /dev/ovs-datapath.
 *
 * The header is self-contained: it defines what <linux/openvswitch.h> does
 * not have, and includes that header for all the rest. A client adds
 * <sys/ioctl.h>, <fcntl.h> and <unistd.h>, which declare the calls.
 *
 * Where the facts come from, and how the comments below name the source:
 *   [2014]  "datapath-windows: add infrastructure for supporting netlink", the
 *           patch on ovs-dev of 2014-08-14 that brought netlink to the device
 *   [v3.7]  Open vSwitch v3.7.1, datapath-windows/include/: the last release
 *           with that device (OvsDpInterfaceExt.h, OvsDpInterfaceCtExt.h)
 *   [linux] the kernel's own userspace headers
 *   [ours]  a decision of ovsdp-cuse, explained in docs/protocol.md
 */
#ifndef OVS_DATAPATH_H
#define OVS_DATAPATH_H 1

#include <linux/genetlink.h>
#include <linux/ioctl.h>
#include <linux/netlink.h>
#include <linux/openvswitch.h>
#include <linux/types.h>

/* The node. [ours] */
#define OVS_DEVICE_NAME "ovs-datapath"
#define OVS_DEVICE_PATH "/dev/" OVS_DEVICE_NAME

/* The edition of the control and netdev families and of the ioctls. [v3.7] */
#define OVS_DATAPATH_EXT_VERSION 1

/*
 * The device door: seven ioctls.
 *
 * An ioctl number carries the length of its argument, as EVIOCGNAME(len) and
 * HIDIOCGFEATURE(len) do, because the kernel copies exactly that many bytes
 * in, out, or both. The type is the low byte of the device type 45000
 * (0xAFC8) [v3.7], and each number is the function code there less 0x100.
 * [ours: the encoding, and PEEK; v3.7: which others exist, and their order]
 *
 * `len` is at most OVS_IOCTL_MAX_LENGTH: the size field has 14 bits [linux],
 * and a greater value would spill into the direction. What is longer goes
 * through read(2) and write(2) on the same descriptor.
 */
#define OVS_IOCTL_TYPE 0xC8
#define OVS_IOCTL_NR_GET_PID 0x00
#define OVS_IOCTL_NR_READ 0x01
#define OVS_IOCTL_NR_READ_EVENT 0x02
#define OVS_IOCTL_NR_READ_PACKET 0x03
#define OVS_IOCTL_NR_WRITE 0x04
#define OVS_IOCTL_NR_TRANSACT 0x05
#define OVS_IOCTL_NR_PEEK 0x06
#define OVS_IOCTL_MAX_LENGTH 16383

/* out: the PID of this handle, a __u32; returns 4 */
#define OVS_IOCTL_GET_PID _IOR(OVS_IOCTL_TYPE, OVS_IOCTL_NR_GET_PID, __u32)

/* out: the next part of the dump that OVS_IOCTL_WRITE began; returns its
 * length, or 0 when no dump is open */
#define OVS_IOCTL_READ(len) _IOC(_IOC_READ, OVS_IOCTL_TYPE, OVS_IOCTL_NR_READ, len)

/* out: the next event; returns its length, or 0 when none waits */
#define OVS_IOCTL_READ_EVENT(len) \
	_IOC(_IOC_READ, OVS_IOCTL_TYPE, OVS_IOCTL_NR_READ_EVENT, len)

/* out: the next packet sent up; returns its length, or 0 when none waits */
#define OVS_IOCTL_READ_PACKET(len) \
	_IOC(_IOC_READ, OVS_IOCTL_TYPE, OVS_IOCTL_NR_READ_PACKET, len)

/* in: one request; returns the bytes taken, or the handler's error */
#define OVS_IOCTL_WRITE(len) _IOC(_IOC_WRITE, OVS_IOCTL_TYPE, OVS_IOCTL_NR_WRITE, len)

/* in: one request, out: its reply in the same buffer; returns the length of
 * the reply, or 0 when the command has none */
#define OVS_IOCTL_TRANSACT(len) \
	_IOC(_IOC_READ | _IOC_WRITE, OVS_IOCTL_TYPE, OVS_IOCTL_NR_TRANSACT, len)

/* The same with no room for a reply: [2014] allows "no output buffer". */
#define OVS_IOCTL_TRANSACT_NO_REPLY(len) \
	_IOC(_IOC_WRITE, OVS_IOCTL_TYPE, OVS_IOCTL_NR_TRANSACT, len)

/* out: the first bytes of the datagram that read(2) would return next, which
 * stays; returns the length of all of it, or 0 when none waits. A `len` of 0
 * asks for the length alone. [ours: recvmsg(2) with MSG_PEEK | MSG_TRUNC] */
#define OVS_IOCTL_PEEK(len) _IOC(_IOC_READ, OVS_IOCTL_TYPE, OVS_IOCTL_NR_PEEK, len)

/*
 * How every message begins; attributes follow. [2014, v3.7: OVS_MESSAGE]
 * nlmsg.nlmsg_len is the length of the whole message, these 24 bytes included.
 */
struct ovs_message {
	struct nlmsghdr nlmsg;
	struct genlmsghdr genlmsg;
	struct ovs_header ovs;
};

/* A static assertion that C99, C11 and every C++ can read: an array type of
 * negative size does not compile. */
typedef char ovs_message_is_24_bytes[sizeof(struct ovs_message) == 24 ? 1 : -1];

/*
 * Families: nlmsg_type of a request. A device has no registrar that would
 * hand out numbers, so both sides know them. [v3.7]
 * The families' names, versions, commands and attributes are in
 * <linux/openvswitch.h>, save for the control and netdev families below.
 */
#define OVS_WIN_NL_INVALID_FAMILY_ID 0
#define OVS_WIN_NL_CTRL_FAMILY_ID (NLMSG_MIN_TYPE + 1)     /* 0x11 ovs_win_control */
#define OVS_WIN_NL_DATAPATH_FAMILY_ID (NLMSG_MIN_TYPE + 2) /* 0x12 ovs_datapath */
#define OVS_WIN_NL_PACKET_FAMILY_ID (NLMSG_MIN_TYPE + 3)   /* 0x13 ovs_packet */
#define OVS_WIN_NL_VPORT_FAMILY_ID (NLMSG_MIN_TYPE + 4)    /* 0x14 ovs_vport */
#define OVS_WIN_NL_FLOW_FAMILY_ID (NLMSG_MIN_TYPE + 5)     /* 0x15 ovs_flow */
#define OVS_WIN_NL_NETDEV_FAMILY_ID (NLMSG_MIN_TYPE + 6)   /* 0x16 ovs_win_netdev */
#define OVS_WIN_NL_CT_FAMILY_ID (NLMSG_MIN_TYPE + 7)       /* 0x17 conntrack, see below */
#define OVS_WIN_NL_CTLIMIT_FAMILY_ID (NLMSG_MIN_TYPE + 8)  /* 0x18 ovs_ct_limit */
#define OVS_WIN_NL_METER_FAMILY_ID (NLMSG_MIN_TYPE + 9)    /* 0x19 ovs_meter */

/*
 * 0x10, GENL_ID_CTRL [linux], is the generic netlink controller "nlctrl",
 * where CTRL_CMD_GETFAMILY lists all of these with their groups.
 *
 * Conntrack's requests are nfnetlink messages: nlmsg_type holds subsystem 1
 * (NFNL_SUBSYS_CTNETLINK) above the message number [linux], so 0x17 is never
 * sent. Their 4-byte nfgenmsg stands where the genlmsghdr does in others, and
 * an ovs_header follows here too. [v3.7]
 */
#define NFNL_TYPE_CT_GET 0x0101
#define NFNL_TYPE_CT_DEL 0x0102

/*
 * Multicast groups. 101 has its number from [v3.7], which has no other group;
 * the names of the kernel's module [linux] took the next ones. [ours]
 */
#define OVS_WIN_NL_INVALID_MCGRP_ID 0
#define OVS_WIN_NL_MCGRP_START_ID 100
#define OVS_WIN_NL_VPORT_MCGRP_ID (OVS_WIN_NL_MCGRP_START_ID + 1)
#define OVS_WIN_NL_DATAPATH_MCGRP_ID (OVS_WIN_NL_MCGRP_START_ID + 2)
#define OVS_WIN_NL_FLOW_MCGRP_ID (OVS_WIN_NL_MCGRP_START_ID + 3)
#define OVS_WIN_NL_METER_MCGRP_ID (OVS_WIN_NL_MCGRP_START_ID + 4)
#define OVS_WIN_NL_CTLIMIT_MCGRP_ID (OVS_WIN_NL_MCGRP_START_ID + 5)
#define OVS_WIN_NL_PACKET_MCGRP_ID (OVS_WIN_NL_MCGRP_START_ID + 6)

/* The control family: what a socket would do with bind, setsockopt and poll. */
#define OVS_WIN_CONTROL_FAMILY "ovs_win_control"
#define OVS_WIN_CONTROL_VERSION 1

/*
 * Its commands, each with the one ioctl that runs it. Number 0 is two
 * commands that no ioctl confuses: [2014] had only OVS_CTRL_CMD_WIN_GET_PID,
 * by TRANSACT; [v3.7] gave the number to OVS_CTRL_CMD_WIN_PEND_REQ, by WRITE.
 */
enum ovs_win_control_cmd {
	OVS_CTRL_CMD_WIN_GET_PID = 0,          /* TRANSACT: the reply's nlmsg_pid tells */
	OVS_CTRL_CMD_WIN_PEND_REQ = 0,         /* WRITE: returns once an event waits */
	OVS_CTRL_CMD_WIN_PEND_PACKET_REQ = 1,  /* WRITE: returns once a packet waits */
	OVS_CTRL_CMD_MC_SUBSCRIBE_REQ = 2,     /* WRITE: MCAST_GRP and MCAST_JOIN */
	OVS_CTRL_CMD_PACKET_SUBSCRIBE_REQ = 3, /* WRITE: PACKET_SUBSCRIBE and PACKET_PID */
	OVS_CTRL_CMD_EVENT_NOTIFY = 4,         /* what OVS_IOCTL_READ_EVENT runs */
	OVS_CTRL_CMD_READ_NOTIFY = 5,          /* what OVS_IOCTL_READ_PACKET runs */
	OVS_CTRL_CMD_SOCK_PROP = 6             /* TRANSACT: sets the SOCK_*, replies all */
};

/* Attributes of the two subscriptions; note that they start at 0. [v3.7] */
enum ovs_nl_mcast_attr {
	OVS_NL_ATTR_MCAST_GRP = 0,        /* __u32: a group's number */
	OVS_NL_ATTR_MCAST_JOIN = 1,       /* __u8: 1 joins, 0 leaves */
	OVS_NL_ATTR_PACKET_SUBSCRIBE = 2, /* __u8: 1 subscribes, 0 ends it */
	OVS_NL_ATTR_PACKET_PID = 3        /* __u32: the PID whose packets are wanted */
};
#define OVS_WIN_CONTROL_ATTR_MAX 3

/*
 * Attributes of OVS_CTRL_CMD_SOCK_PROP, in a numbering of their own. The first
 * two are [v3.7]; the others are [ours], each for the socket option of its name.
 */
enum ovs_nl_sock_attr {
	OVS_NL_ATTR_SOCK_PROTO = 0,     /* __u32: NETLINK_GENERIC or NETLINK_NETFILTER */
	OVS_NL_ATTR_SOCK_PID = 1,       /* __u32: the handle's PID */
	OVS_NL_ATTR_SOCK_RCVBUF = 2,    /* __u32: bytes that may wait; bounded, see the reply */
	OVS_NL_ATTR_SOCK_EXT_ACK = 3,   /* __u8: errors have text and offset; 1 at first */
	OVS_NL_ATTR_SOCK_CAP_ACK = 4,   /* __u8: errors echo the header only; 0 at first */
	OVS_NL_ATTR_SOCK_NO_ENOBUFS = 5, /* __u8: overruns are not told; 0 at first */
	OVS_NL_ATTR_SOCK_BIND = 6 /* __u32: the PID that the handle is to have */
};
#define OVS_WIN_SOCK_ATTR_MAX 6

/* The netdev family: what a client would ask a port's network device. [v3.7] */
#define OVS_WIN_NETDEV_FAMILY "ovs_win_netdev"
#define OVS_WIN_NETDEV_VERSION 1

enum ovs_win_netdev_cmd {
	OVS_WIN_NETDEV_CMD_UNSPEC = 0,
	OVS_WIN_NETDEV_CMD_GET = 1 /* TRANSACT: by OVS_WIN_NETDEV_ATTR_NAME */
};

enum ovs_win_netdev_attr {
	OVS_WIN_NETDEV_ATTR_UNSPEC = 0,
	OVS_WIN_NETDEV_ATTR_PORT_NO = 1,  /* __u32: the port's number in its datapath */
	OVS_WIN_NETDEV_ATTR_TYPE = 2,     /* __u32: an OVS_VPORT_TYPE_* */
	OVS_WIN_NETDEV_ATTR_NAME = 3,     /* string with its NUL, at most IFNAMSIZ bytes */
	OVS_WIN_NETDEV_ATTR_MAC_ADDR = 4, /* 6 bytes */
	OVS_WIN_NETDEV_ATTR_MTU = 5,      /* __u32: bytes */
	OVS_WIN_NETDEV_ATTR_IF_FLAGS = 6  /* __u32: OVS_WIN_NETDEV_IFF_* bits */
};
#define OVS_WIN_NETDEV_ATTR_MAX 6

#define OVS_WIN_NETDEV_IFF_UP (1 << 0)
#define OVS_WIN_NETDEV_IFF_PROMISC (1 << 1)

/*
 * The family of this daemon's own: what it is doing, and faults on demand; docs/protocol.md says
 * how its commands are used. [ours]
 */
#define OVSDP_CONTROL_FAMILY "ovsdp_control"
#define OVSDP_CONTROL_FAMILY_ID (NLMSG_MIN_TYPE + 10) /* 0x1A */
#define OVSDP_CONTROL_VERSION 1
#define OVSDP_TRACE_MCGRP "ovsdp_trace"
#define OVSDP_TRACE_MCGRP_ID (OVS_WIN_NL_MCGRP_START_ID + 10)

/* Its commands. */
enum ovsdp_control_cmd {
	OVSDP_CMD_UNSPEC = 0,
	OVSDP_CMD_INFO_GET = 1,
	OVSDP_CMD_HANDLE_GET = 2,
	OVSDP_CMD_DROPS_GET = 3,
	OVSDP_CMD_MASK_GET = 4,
	OVSDP_CMD_TRACE = 5,
	OVSDP_CMD_TRACE_FILTER = 6,
	OVSDP_CMD_EXPLAIN = 7,
	OVSDP_CMD_FAULT_NEW = 8,
	OVSDP_CMD_FAULT_DEL = 9,
	OVSDP_CMD_FAULT_GET = 10,
	OVSDP_CMD_FAULT_RELEASE = 11,
	/* A dump of a datapath's meters, with the attributes of ovs_meter, which has no dump */
	OVSDP_CMD_METER_GET = 12
};

/* Attributes of OVSDP_CMD_INFO_GET. */
enum ovsdp_info_attr {
	OVSDP_INFO_ATTR_UNSPEC = 0,
	OVSDP_INFO_ATTR_VERSION = 1, /* string: of the package, such as "0.1.0" */
	OVSDP_INFO_ATTR_NODE = 2, /* string: cuse, fuse or memory */
	OVSDP_INFO_ATTR_PATH = 3, /* string */
	/* __u32: permission bits of the node, as they were set when it was made */
	OVSDP_INFO_ATTR_MODE = 4,
	OVSDP_INFO_ATTR_UID = 5, /* __u32 */
	OVSDP_INFO_ATTR_GID = 6, /* __u32 */
	OVSDP_INFO_ATTR_PROCESS = 7, /* __u32: the daemon's process id */
	OVSDP_INFO_ATTR_UPTIME_MS = 8, /* __u64 */
	OVSDP_INFO_ATTR_INTERFACES = 9, /* string: host or memory */
	OVSDP_INFO_ATTR_HANDLE_LIMIT = 10, /* __u32 */
	OVSDP_INFO_ATTR_QUEUE_LIMIT = 11, /* __u32 */
	OVSDP_INFO_ATTR_QUEUE_MAXIMUM = 12, /* __u32 */
	OVSDP_INFO_ATTR_HANDLES = 13, /* __u32 */
	OVSDP_INFO_ATTR_DATAPATHS = 14, /* __u32 */
	/* __u64: upcalls that no handle took, since the daemon started */
	OVSDP_INFO_ATTR_LOST_UPCALLS = 15,
	/* string: where the file system of live state is; left out where there is none */
	OVSDP_INFO_ATTR_STATE = 16
};
#define OVSDP_INFO_ATTR_MAX 16

/* Attributes of OVSDP_CMD_HANDLE_GET. Counts are since the handle was opened. */
enum ovsdp_handle_attr {
	OVSDP_HANDLE_ATTR_UNSPEC = 0,
	/* __u32: the netlink PID; in a request, of the handle that is asked for */
	OVSDP_HANDLE_ATTR_PID = 1,
	/* __u32: the process id of who opened it, and its user and group */
	OVSDP_HANDLE_ATTR_PROCESS = 2,
	OVSDP_HANDLE_ATTR_UID = 3, /* __u32 */
	OVSDP_HANDLE_ATTR_GID = 4, /* __u32 */
	/* string: that process's command (proc_pid_comm(5)) when the handle was opened; "?"
	 * where unknown */
	OVSDP_HANDLE_ATTR_COMMAND = 5,
	OVSDP_HANDLE_ATTR_READABLE = 6, /* no payload */
	OVSDP_HANDLE_ATTR_WRITABLE = 7, /* no payload */
	OVSDP_HANDLE_ATTR_NONBLOCKING = 8, /* no payload */
	OVSDP_HANDLE_ATTR_PROTOCOL = 9, /* __u32: NETLINK_GENERIC (16) or NETLINK_NETFILTER (12) */
	/* any number of __u32: the multicast groups that it is a member of */
	OVSDP_HANDLE_ATTR_GROUPS = 10,
	OVSDP_HANDLE_ATTR_QUEUE_LIMIT = 11, /* __u32 */
	/* __u32: bytes that wait, with what they cost to keep */
	OVSDP_HANDLE_ATTR_QUEUE_BYTES = 12,
	OVSDP_HANDLE_ATTR_QUEUED_REPLIES = 13, /* __u32 */
	OVSDP_HANDLE_ATTR_QUEUED_EVENTS = 14, /* __u32 */
	OVSDP_HANDLE_ATTR_QUEUED_PACKETS = 15, /* __u32 */
	OVSDP_HANDLE_ATTR_DROPPED = 16, /* __u64: datagrams that found no room */
	/* no payload: whether the queue takes nothing until it has been read empty */
	OVSDP_HANDLE_ATTR_CONGESTED = 17,
	OVSDP_HANDLE_ATTR_DUMP = 18, /* string: the command whose dump is in progress */
	OVSDP_HANDLE_ATTR_REQUESTS = 19, /* __u64 */
	OVSDP_HANDLE_ATTR_REPLIES = 20, /* __u64 */
	/* __u64: requests that were refused, by an NLMSG_ERROR or a failed ioctl */
	OVSDP_HANDLE_ATTR_ERRORS = 21,
	OVSDP_HANDLE_ATTR_EVENTS = 22, /* __u64 */
	OVSDP_HANDLE_ATTR_UPCALLS = 23 /* __u64 */
};
#define OVSDP_HANDLE_ATTR_MAX 23

/* One reason for drops. */
enum ovsdp_drop_attr {
	OVSDP_DROP_ATTR_UNSPEC = 0,
	OVSDP_DROP_ATTR_REASON = 1, /* string */
	OVSDP_DROP_ATTR_PACKETS = 2 /* __u64 */
};
#define OVSDP_DROP_ATTR_MAX 2

/* Attributes of OVSDP_CMD_DROPS_GET. */
enum ovsdp_drops_attr {
	OVSDP_DROPS_ATTR_UNSPEC = 0,
	OVSDP_DROPS_ATTR_NAME = 1, /* string: the datapath's */
	/* array by index, of attributes: every reason there is, with 0 packets where nothing
	 * was dropped for it */
	OVSDP_DROPS_ATTR_REASONS = 2
};
#define OVSDP_DROPS_ATTR_MAX 2

/* Attributes of OVSDP_CMD_MASK_GET. */
enum ovsdp_mask_attr {
	OVSDP_MASK_ATTR_UNSPEC = 0,
	/* attributes of a flow key: as OVS_FLOW_ATTR_MASK of its flows has it */
	OVSDP_MASK_ATTR_MASK = 1,
	OVSDP_MASK_ATTR_FLOWS = 2, /* __u32 */
	/* __u64: look-ups that ended here since the masks were put in order, every four
	 * seconds */
	OVSDP_MASK_ATTR_HITS = 3
};
#define OVSDP_MASK_ATTR_MAX 3

/* What a trace tells of: OVSDP_TRACE_ATTR_KIND. */
enum ovsdp_trace_kind {
	OVSDP_TRACE_KIND_OPENED = 1,
	OVSDP_TRACE_KIND_CLOSED = 2,
	OVSDP_TRACE_KIND_REQUEST = 3,
	OVSDP_TRACE_KIND_REPLY = 4, /* A reply, an error, an acknowledgement, or a part of a dump */
	OVSDP_TRACE_KIND_NOTIFICATION = 5,
	OVSDP_TRACE_KIND_UPCALL = 6,
	/* What found no room in the handle's queue; TEXT is "reply", "notification" or
	 * "upcall" */
	OVSDP_TRACE_KIND_LOST = 7,
	OVSDP_TRACE_KIND_REFUSED = 8, /* An ioctl failed; ERRNO and TEXT say why */
	OVSDP_TRACE_KIND_PID_TOLD = 9, /* The ioctl GET_PID, which carries no message */
	/* A request was done that nothing answers, such as one by WRITE */
	OVSDP_TRACE_KIND_HANDLED = 10
};

/* Attributes of OVSDP_CMD_TRACE. */
enum ovsdp_trace_attr {
	OVSDP_TRACE_ATTR_UNSPEC = 0,
	OVSDP_TRACE_ATTR_KIND = 1, /* __u8 */
	OVSDP_TRACE_ATTR_TIME_NS = 2, /* __u64: nanoseconds of CLOCK_REALTIME */
	OVSDP_TRACE_ATTR_PID = 3, /* __u32: the handle's netlink PID */
	OVSDP_TRACE_ATTR_PROCESS = 4, /* __u32: the process id of who opened the handle */
	OVSDP_TRACE_ATTR_COMMAND = 5, /* string: that process's command when it did */
	/* string: how a request came: TRANSACT, WRITE, STREAM; or the ioctl that was refused */
	OVSDP_TRACE_ATTR_OPERATION = 6,
	/* bytes: the message, or the messages of a dump's part; at most MESSAGE_MAXIMUM bytes */
	OVSDP_TRACE_ATTR_MESSAGE = 7,
	/* __u32: all its bytes, where MESSAGE has not. A message may be left out: what there
	 * was no room for was perhaps never built */
	OVSDP_TRACE_ATTR_LENGTH = 8,
	/* __u64: of what answers a request: nanoseconds since it came; of a further part of a
	 * dump, since the read that it answers */
	OVSDP_TRACE_ATTR_LATENCY_NS = 9,
	/* __u32: of what was REFUSED or LOST, and of a REPLY that is an error */
	OVSDP_TRACE_ATTR_ERRNO = 10,
	/* string: of what was REFUSED, why; of LOST what; of OPENED how: "read-only",
	 * "O_NONBLOCK" */
	OVSDP_TRACE_ATTR_TEXT = 11,
	/* __u32: the number of the fault that did this, or let it wait */
	OVSDP_TRACE_ATTR_FAULT = 12,
	/* any number of __u32: of what was REFUSED: the numbers of the attributes that are to
	 * blame, outermost first */
	OVSDP_TRACE_ATTR_PATH = 13
};
#define OVSDP_TRACE_ATTR_MAX 13

/* Attributes of OVSDP_CMD_TRACE_FILTER; what is left out matches all. */
enum ovsdp_trace_filter_attr {
	OVSDP_TRACE_FILTER_ATTR_UNSPEC = 0,
	OVSDP_TRACE_FILTER_ATTR_PID = 1, /* __u32 */
	OVSDP_TRACE_FILTER_ATTR_PROCESS = 2, /* __u32 */
	OVSDP_TRACE_FILTER_ATTR_PROCESS_NAME = 3, /* string */
	OVSDP_TRACE_FILTER_ATTR_FAMILY = 4, /* string */
	OVSDP_TRACE_FILTER_ATTR_COMMAND = 5, /* string */
	OVSDP_TRACE_FILTER_ATTR_DATAPATH = 6, /* __u32: dp_ifindex */
	/* no payload: only what failed, with the request that did */
	OVSDP_TRACE_FILTER_ATTR_ERRORS = 7,
	/* __u64: only what was answered after more nanoseconds, with the request */
	OVSDP_TRACE_FILTER_ATTR_SLOWER_NS = 8
};
#define OVSDP_TRACE_FILTER_ATTR_MAX 8

/* What a step tells: OVSDP_EXPLAIN_ATTR_STEP. */
enum ovsdp_explain_step {
	OVSDP_EXPLAIN_STEP_EXTRACTED = 1, /* KEY: the packet's flow key */
	/* MASK, and in FLOWS how many flows have it: none of them matched. Where there are
	 * very many masks, the last of these has TEXT in the place of MASK, and tells of
	 * several */
	OVSDP_EXPLAIN_STEP_MASK_TRIED = 2,
	/* KEY, MASK, UFID where it has one, ACTIONS: the flow that matched. TEXT, where a
	 * cache knew it, so that no mask would be tried */
	OVSDP_EXPLAIN_STEP_HIT = 3,
	/* No flow matched; MISS is followed by UPCALL, or by DROPPED */
	OVSDP_EXPLAIN_STEP_MISS = 4,
	/* ACTIONS: one action. PACKET and KEY: the packet after it, where it changed */
	OVSDP_EXPLAIN_STEP_ACTION = 5,
	OVSDP_EXPLAIN_STEP_OUTPUT = 6, /* PORT and PORT_NAME: where PACKET would be sent */
	OVSDP_EXPLAIN_STEP_UPCALL = 7, /* PID: who would be told of PACKET */
	OVSDP_EXPLAIN_STEP_RECIRCULATED = 8, /* KEY: with which the packet is looked up again */
	OVSDP_EXPLAIN_STEP_DROPPED = 9, /* REASON, and TEXT where more is known */
	/* TEXT: what chance or a meter would decide, and what was taken to happen */
	OVSDP_EXPLAIN_STEP_DECIDED = 10,
	/* What the action does waits until the packet that came in has been done with: it is
	 * deep */
	OVSDP_EXPLAIN_STEP_DEFERRED = 11,
	OVSDP_EXPLAIN_STEP_ENDED = 12 /* TEXT: why the rest is not told. Nothing comes after it */
};

/* Attributes of OVSDP_CMD_EXPLAIN. */
enum ovsdp_explain_attr {
	OVSDP_EXPLAIN_ATTR_UNSPEC = 0,
	OVSDP_EXPLAIN_ATTR_IN_PORT = 1, /* __u32 */
	OVSDP_EXPLAIN_ATTR_PACKET = 2, /* bytes */
	OVSDP_EXPLAIN_ATTR_KEY = 3, /* attributes of a flow key */
	OVSDP_EXPLAIN_ATTR_STEP = 4, /* __u8 */
	/* __u32: how deep inside lists of actions and recirculations; 0 outside */
	OVSDP_EXPLAIN_ATTR_DEPTH = 5,
	OVSDP_EXPLAIN_ATTR_MASK = 6, /* attributes of a flow key */
	OVSDP_EXPLAIN_ATTR_FLOWS = 7, /* __u32 */
	OVSDP_EXPLAIN_ATTR_UFID = 8, /* bytes */
	OVSDP_EXPLAIN_ATTR_ACTIONS = 9, /* actions */
	OVSDP_EXPLAIN_ATTR_PORT = 10, /* __u32 */
	OVSDP_EXPLAIN_ATTR_PORT_NAME = 11, /* string */
	OVSDP_EXPLAIN_ATTR_PID = 12, /* __u32 */
	OVSDP_EXPLAIN_ATTR_REASON = 13, /* string */
	OVSDP_EXPLAIN_ATTR_TEXT = 14, /* string */
	/* no payload: samples that chance decides about are not taken; they are, without this */
	OVSDP_EXPLAIN_ATTR_NOT_SAMPLED = 15
};
#define OVSDP_EXPLAIN_ATTR_MAX 15

/* What a fault does: OVSDP_FAULT_ATTR_EFFECT. */
enum ovsdp_fault_effect {
	/* A request is refused with ERRNO and TEXT, and its handler does not run; a read fails */
	OVSDP_FAULT_EFFECT_FAIL = 1,
	/* A request is handled DELAY_MS after it came, and what the handle sends after it
	 * behind it */
	OVSDP_FAULT_EFFECT_DELAY = 2,
	/* A request waits until FAULT_RELEASE, or until the fault is removed */
	OVSDP_FAULT_EFFECT_HOLD = 3,
	/* A notification or upcall is not delivered, and nobody is told that it was lost */
	OVSDP_FAULT_EFFECT_DROP = 4,
	/* As if a notification or upcall had found no room in the queue: the next read is
	 * ENOBUFS */
	OVSDP_FAULT_EFFECT_OVERFLOW = 5,
	/* A dump ends after SIZE objects, with ERRNO in its NLMSG_DONE, or 0 */
	OVSDP_FAULT_EFFECT_CUT_DUMP = 6,
	/* A reply has SIZE bytes of what it would have; of a dump, its first part */
	OVSDP_FAULT_EFFECT_TRUNCATE = 7,
	/* The handle's queue is emptied, and takes nothing more; reads fail with ENOTCONN.
	 * Requests are handled all the same: TRANSACT is answered, and what write(2) is owed
	 * is lost */
	OVSDP_FAULT_EFFECT_CLOSE_QUEUE = 8,
	/* From this request on the handle is answered nothing for DELAY_MS; then all of it.
	 * What waited in its queue before can be read, and notifications and upcalls come */
	OVSDP_FAULT_EFFECT_STALL = 9
};

/* Attributes of OVSDP_CMD_FAULT_NEW, _DEL, _GET and _RELEASE. */
enum ovsdp_fault_attr {
	OVSDP_FAULT_ATTR_UNSPEC = 0,
	OVSDP_FAULT_ATTR_ID = 1, /* __u32 */
	OVSDP_FAULT_ATTR_FAMILY = 2, /* string */
	OVSDP_FAULT_ATTR_COMMAND = 3, /* string: A command's name, such as OVS_FLOW_CMD_NEW */
	/* string: one of OPERATIONS. Where it is left out, all of them but READS that EFFECT
	 * acts on */
	OVSDP_FAULT_ATTR_OPERATION = 4,
	OVSDP_FAULT_ATTR_PID = 5, /* __u32: the handle's netlink PID */
	OVSDP_FAULT_ATTR_PROCESS = 6, /* __u32: the process id of who opened the handle */
	/* string: that process's command (proc_pid_comm(5)) when it did */
	OVSDP_FAULT_ATTR_PROCESS_NAME = 7,
	/* __u32: dp_ifindex; of a request that names a datapath or a port, that one's */
	OVSDP_FAULT_ATTR_DATAPATH = 8,
	OVSDP_FAULT_ATTR_NTH = 9, /* __u32: only the n-th that matches all else, counted from 1 */
	OVSDP_FAULT_ATTR_EVERY = 10, /* __u32: only each n-th */
	OVSDP_FAULT_ATTR_TIMES = 11, /* __u32: at most so often */
	OVSDP_FAULT_ATTR_PROBABILITY = 12, /* __u32: of 2**32 - 1 */
	/* __u64: of the chance: with the same one the same happens again; NEW replies the one
	 * it chose */
	OVSDP_FAULT_ATTR_SEED = 13,
	OVSDP_FAULT_ATTR_EFFECT = 14, /* __u8 */
	OVSDP_FAULT_ATTR_ERRNO = 15, /* __u32 */
	OVSDP_FAULT_ATTR_TEXT = 16, /* string */
	OVSDP_FAULT_ATTR_DELAY_MS = 17, /* __u32 */
	OVSDP_FAULT_ATTR_SIZE = 18, /* __u32 */
	/* __u64: how often all but NTH, EVERY, TIMES and PROBABILITY matched */
	OVSDP_FAULT_ATTR_MATCHED = 19,
	OVSDP_FAULT_ATTR_APPLIED = 20, /* __u64 */
	/* __u32: requests that it lets wait now; those that only wait behind them do not count */
	OVSDP_FAULT_ATTR_HELD = 21
};
#define OVSDP_FAULT_ATTR_MAX 21

#endif /* OVS_DATAPATH_H */
