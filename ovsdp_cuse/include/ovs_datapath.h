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

#endif /* OVS_DATAPATH_H */
