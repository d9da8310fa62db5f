/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks ovs_datapath.h while it is compiled, against <linux/...> where both
 * have a fact and against the numbers of docs/protocol.md where only ours has
 * it; then prints every number and text of it, one `name value` a line, for
 * tests/test_header.py to hold against the Python side.
 *
 * Compiled as C99, C11 and (through header_check.cc) C++11. With
 * -DCHECK_ONLY there is no printing and no C library, so that the checks can
 * be compiled for a 32-bit target on a machine that has no 32-bit libc.
 */
#include "ovs_datapath.h" /* first, and alone: it must need nothing before it */

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stddef.h>

#if defined(__cplusplus)
#define CHECK(name, condition) static_assert(condition, #name)
#elif __STDC_VERSION__ >= 201112L
#define CHECK(name, condition) _Static_assert(condition, #name)
#else
#define CHECK(name, condition) typedef char check_##name[(condition) ? 1 : -1]
#endif

/* The message: the kernel's three headers with nothing between them. */
CHECK(message_size, sizeof(struct ovs_message) == 24);
CHECK(message_nlmsg, offsetof(struct ovs_message, nlmsg) == 0);
CHECK(message_genlmsg, offsetof(struct ovs_message, genlmsg) == NLMSG_HDRLEN);
CHECK(message_ovs, offsetof(struct ovs_message, ovs) == NLMSG_HDRLEN + GENL_HDRLEN);
CHECK(message_type, offsetof(struct ovs_message, nlmsg.nlmsg_type) == 4);
CHECK(message_flags, offsetof(struct ovs_message, nlmsg.nlmsg_flags) == 6);
CHECK(message_seq, offsetof(struct ovs_message, nlmsg.nlmsg_seq) == 8);
CHECK(message_pid, offsetof(struct ovs_message, nlmsg.nlmsg_pid) == 12);
CHECK(message_cmd, offsetof(struct ovs_message, genlmsg.cmd) == 16);
CHECK(message_version, offsetof(struct ovs_message, genlmsg.version) == 17);
CHECK(message_dp_ifindex, offsetof(struct ovs_message, ovs.dp_ifindex) == 20);
CHECK(ct_header, sizeof(struct nfgenmsg) == GENL_HDRLEN);

/* ioctl numbers: direction in bits 30-31, length in 16-29, type, number. */
CHECK(get_pid, OVS_IOCTL_GET_PID == 0x8004C800u);
CHECK(read_24, OVS_IOCTL_READ(24) == 0x8018C801u);
CHECK(read_event_24, OVS_IOCTL_READ_EVENT(24) == 0x8018C802u);
CHECK(read_packet_24, OVS_IOCTL_READ_PACKET(24) == 0x8018C803u);
CHECK(write_24, OVS_IOCTL_WRITE(24) == 0x4018C804u);
CHECK(transact_24, OVS_IOCTL_TRANSACT(24) == 0xC018C805u);
CHECK(transact_no_reply_24, OVS_IOCTL_TRANSACT_NO_REPLY(24) == 0x4018C805u);
CHECK(transact_4096, OVS_IOCTL_TRANSACT(4096) == 0xD000C805u);
CHECK(transact_max, OVS_IOCTL_TRANSACT(OVS_IOCTL_MAX_LENGTH) == 0xFFFFC805u);
CHECK(peek_0, OVS_IOCTL_PEEK(0) == 0x8000C806u);
CHECK(peek_24, OVS_IOCTL_PEEK(24) == 0x8018C806u);
CHECK(length_is_its_own, OVS_IOCTL_READ(1 + 23) == OVS_IOCTL_READ(24));
CHECK(max_length, OVS_IOCTL_MAX_LENGTH == _IOC_SIZEMASK);
CHECK(device_type, OVS_IOCTL_TYPE == (45000 & 0xFF));

/* Families and groups. */
CHECK(nlctrl, GENL_ID_CTRL == 0x10);
CHECK(family_ctrl, OVS_WIN_NL_CTRL_FAMILY_ID == 0x11);
CHECK(family_datapath, OVS_WIN_NL_DATAPATH_FAMILY_ID == 0x12);
CHECK(family_packet, OVS_WIN_NL_PACKET_FAMILY_ID == 0x13);
CHECK(family_vport, OVS_WIN_NL_VPORT_FAMILY_ID == 0x14);
CHECK(family_flow, OVS_WIN_NL_FLOW_FAMILY_ID == 0x15);
CHECK(family_netdev, OVS_WIN_NL_NETDEV_FAMILY_ID == 0x16);
CHECK(family_ct, OVS_WIN_NL_CT_FAMILY_ID == 0x17);
CHECK(family_ct_limit, OVS_WIN_NL_CTLIMIT_FAMILY_ID == 0x18);
CHECK(family_meter, OVS_WIN_NL_METER_FAMILY_ID == 0x19);
CHECK(ct_get, NFNL_TYPE_CT_GET == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET));
CHECK(ct_del, NFNL_TYPE_CT_DEL == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE));
CHECK(group_vport, OVS_WIN_NL_VPORT_MCGRP_ID == 101);
CHECK(group_datapath, OVS_WIN_NL_DATAPATH_MCGRP_ID == 102);
CHECK(group_flow, OVS_WIN_NL_FLOW_MCGRP_ID == 103);
CHECK(group_meter, OVS_WIN_NL_METER_MCGRP_ID == 104);
CHECK(group_ct_limit, OVS_WIN_NL_CTLIMIT_MCGRP_ID == 105);
CHECK(group_packet, OVS_WIN_NL_PACKET_MCGRP_ID == 106);

/* The versions that docs/protocol.md names are those of the kernel's header. */
CHECK(version_datapath, OVS_DATAPATH_VERSION == 2);
CHECK(version_packet, OVS_PACKET_VERSION == 1);
CHECK(version_vport, OVS_VPORT_VERSION == 1);
CHECK(version_flow, OVS_FLOW_VERSION == 1);
CHECK(version_ct_limit, OVS_CT_LIMIT_VERSION == 1);
CHECK(version_meter, OVS_METER_VERSION == 1);

/* The last attribute of each numbering is its MAX. */
CHECK(control_max, OVS_WIN_CONTROL_ATTR_MAX == OVS_NL_ATTR_PACKET_PID);
CHECK(sock_max, OVS_WIN_SOCK_ATTR_MAX == OVS_NL_ATTR_SOCK_BIND);
CHECK(netdev_max, OVS_WIN_NETDEV_ATTR_MAX == OVS_WIN_NETDEV_ATTR_IF_FLAGS);

#ifndef CHECK_ONLY
#include <stdio.h>

#define NUMBER(name) { #name, (long long)(name) }
#define TEXT(name) { #name, name }

static const struct {
	const char *name;
	long long value;
} numbers[] = {
	NUMBER(OVS_DATAPATH_EXT_VERSION),
	NUMBER(OVS_IOCTL_TYPE),
	NUMBER(OVS_IOCTL_NR_GET_PID),
	NUMBER(OVS_IOCTL_NR_READ),
	NUMBER(OVS_IOCTL_NR_READ_EVENT),
	NUMBER(OVS_IOCTL_NR_READ_PACKET),
	NUMBER(OVS_IOCTL_NR_WRITE),
	NUMBER(OVS_IOCTL_NR_TRANSACT),
	NUMBER(OVS_IOCTL_NR_PEEK),
	NUMBER(OVS_IOCTL_MAX_LENGTH),
	NUMBER(OVS_IOCTL_GET_PID),
	NUMBER(OVS_IOCTL_READ(24)),
	NUMBER(OVS_IOCTL_READ_EVENT(24)),
	NUMBER(OVS_IOCTL_READ_PACKET(24)),
	NUMBER(OVS_IOCTL_WRITE(24)),
	NUMBER(OVS_IOCTL_TRANSACT(24)),
	NUMBER(OVS_IOCTL_TRANSACT_NO_REPLY(24)),
	NUMBER(OVS_IOCTL_PEEK(24)),
	NUMBER(OVS_WIN_NL_INVALID_FAMILY_ID),
	NUMBER(OVS_WIN_NL_CTRL_FAMILY_ID),
	NUMBER(OVS_WIN_NL_DATAPATH_FAMILY_ID),
	NUMBER(OVS_WIN_NL_PACKET_FAMILY_ID),
	NUMBER(OVS_WIN_NL_VPORT_FAMILY_ID),
	NUMBER(OVS_WIN_NL_FLOW_FAMILY_ID),
	NUMBER(OVS_WIN_NL_NETDEV_FAMILY_ID),
	NUMBER(OVS_WIN_NL_CT_FAMILY_ID),
	NUMBER(OVS_WIN_NL_CTLIMIT_FAMILY_ID),
	NUMBER(OVS_WIN_NL_METER_FAMILY_ID),
	NUMBER(NFNL_TYPE_CT_GET),
	NUMBER(NFNL_TYPE_CT_DEL),
	NUMBER(OVS_WIN_NL_INVALID_MCGRP_ID),
	NUMBER(OVS_WIN_NL_MCGRP_START_ID),
	NUMBER(OVS_WIN_NL_VPORT_MCGRP_ID),
	NUMBER(OVS_WIN_NL_DATAPATH_MCGRP_ID),
	NUMBER(OVS_WIN_NL_FLOW_MCGRP_ID),
	NUMBER(OVS_WIN_NL_METER_MCGRP_ID),
	NUMBER(OVS_WIN_NL_CTLIMIT_MCGRP_ID),
	NUMBER(OVS_WIN_NL_PACKET_MCGRP_ID),
	NUMBER(OVS_WIN_CONTROL_VERSION),
	NUMBER(OVS_CTRL_CMD_WIN_GET_PID),
	NUMBER(OVS_CTRL_CMD_WIN_PEND_REQ),
	NUMBER(OVS_CTRL_CMD_WIN_PEND_PACKET_REQ),
	NUMBER(OVS_CTRL_CMD_MC_SUBSCRIBE_REQ),
	NUMBER(OVS_CTRL_CMD_PACKET_SUBSCRIBE_REQ),
	NUMBER(OVS_CTRL_CMD_EVENT_NOTIFY),
	NUMBER(OVS_CTRL_CMD_READ_NOTIFY),
	NUMBER(OVS_CTRL_CMD_SOCK_PROP),
	NUMBER(OVS_NL_ATTR_MCAST_GRP),
	NUMBER(OVS_NL_ATTR_MCAST_JOIN),
	NUMBER(OVS_NL_ATTR_PACKET_SUBSCRIBE),
	NUMBER(OVS_NL_ATTR_PACKET_PID),
	NUMBER(OVS_WIN_CONTROL_ATTR_MAX),
	NUMBER(OVS_NL_ATTR_SOCK_PROTO),
	NUMBER(OVS_NL_ATTR_SOCK_PID),
	NUMBER(OVS_NL_ATTR_SOCK_RCVBUF),
	NUMBER(OVS_NL_ATTR_SOCK_EXT_ACK),
	NUMBER(OVS_NL_ATTR_SOCK_CAP_ACK),
	NUMBER(OVS_NL_ATTR_SOCK_NO_ENOBUFS),
	NUMBER(OVS_NL_ATTR_SOCK_BIND),
	NUMBER(OVS_WIN_SOCK_ATTR_MAX),
	NUMBER(OVS_WIN_NETDEV_VERSION),
	NUMBER(OVS_WIN_NETDEV_CMD_UNSPEC),
	NUMBER(OVS_WIN_NETDEV_CMD_GET),
	NUMBER(OVS_WIN_NETDEV_ATTR_UNSPEC),
	NUMBER(OVS_WIN_NETDEV_ATTR_PORT_NO),
	NUMBER(OVS_WIN_NETDEV_ATTR_TYPE),
	NUMBER(OVS_WIN_NETDEV_ATTR_NAME),
	NUMBER(OVS_WIN_NETDEV_ATTR_MAC_ADDR),
	NUMBER(OVS_WIN_NETDEV_ATTR_MTU),
	NUMBER(OVS_WIN_NETDEV_ATTR_IF_FLAGS),
	NUMBER(OVS_WIN_NETDEV_ATTR_MAX),
	NUMBER(OVS_WIN_NETDEV_IFF_UP),
	NUMBER(OVS_WIN_NETDEV_IFF_PROMISC),
	/* not ours: the kernel's versions, printed for the same comparison */
	NUMBER(OVS_DATAPATH_VERSION),
	NUMBER(OVS_PACKET_VERSION),
	NUMBER(OVS_VPORT_VERSION),
	NUMBER(OVS_FLOW_VERSION),
	NUMBER(OVS_CT_LIMIT_VERSION),
	NUMBER(OVS_METER_VERSION)
};

static const struct {
	const char *name;
	const char *value;
} texts[] = {
	TEXT(OVS_DEVICE_NAME),
	TEXT(OVS_DEVICE_PATH),
	TEXT(OVS_WIN_CONTROL_FAMILY),
	TEXT(OVS_WIN_NETDEV_FAMILY)
};

int main(void)
{
	size_t i;

	for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		printf("%s %lld\n", numbers[i].name, numbers[i].value);
	for (i = 0; i < sizeof texts / sizeof texts[0]; i++)
		printf("%s %s\n", texts[i].name, texts[i].value);
	return 0;
}
#endif
