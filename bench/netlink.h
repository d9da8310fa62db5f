/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client for two peers: the device's stream door and AF_NETLINK take the same
 * messages by the same write(2) and read(2). The includer defines _GNU_SOURCE.
 */
#ifndef BENCH_NETLINK_H
#define BENCH_NETLINK_H 1

#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* An open peer: its families' numbers, and the PID that upcalls are sent to. */
struct peer {
	int fd;
	uint32_t pid;
	uint16_t datapath, vport, flow, packet;
	uint32_t dp_ifindex;
};

static unsigned char datagram[31 * 4096] __attribute__((aligned(8)));

static inline void fail(const char *why)
{
	fprintf(stderr, "bench: %s\n", why);
	exit(1);
}

/* The next datagram: its length; or 0 at once where none waits. */
static inline size_t receive(const struct peer *p)
{
	const ssize_t length = read(p->fd, datagram, sizeof datagram);

	if (length < 0 && errno != EAGAIN)
		die("read");
	return length < 0 ? 0 : (size_t)length;
}

/* The next datagram; waits for it, ten seconds at most. */
static inline size_t await_datagram(const struct peer *p)
{
	struct pollfd wanted = { p->fd, POLLIN, 0 };
	size_t length;

	while (!(length = receive(p)))
		if (poll(&wanted, 1, 10000) == 0)
			fail("no answer in ten seconds");
	return length;
}

static inline void send_bytes(const struct peer *p, const void *bytes, size_t length)
{
	if (write(p->fd, bytes, length) != (ssize_t)length)
		die("write");
}

/* Begins a request to a family, with the peer's datapath in its header. */
static inline void begin(const struct peer *p, union message *m, uint16_t family, uint8_t cmd,
			 uint16_t flags)
{
	memset(&m->head, 0, sizeof m->head);
	m->head.nlmsg.nlmsg_len = sizeof m->head;
	m->head.nlmsg.nlmsg_type = family;
	m->head.nlmsg.nlmsg_flags = NLM_F_REQUEST | flags;
	m->head.genlmsg.cmd = cmd;
	m->head.genlmsg.version = 1;
	m->head.ovs.dp_ifindex = (int)p->dp_ifindex;
}

static inline void put_u32(union message *m, uint16_t type, uint32_t value)
{
	put(m, type, &value, sizeof value);
}

/* Begins a nested attribute; `end_nest` gives it its length. */
static inline uint32_t begin_nest(union message *m, uint16_t type)
{
	const uint32_t at = m->head.nlmsg.nlmsg_len;

	put(m, type, "", 0);
	return at;
}

static inline void end_nest(union message *m, uint32_t at)
{
	const uint16_t length = (uint16_t)(m->head.nlmsg.nlmsg_len - at);

	memcpy(m->bytes + at, &length, sizeof length);
}

/* The payload of an attribute of the message in `datagram`, or NULL. */
static inline const void *find(size_t headers, int type, uint16_t *length)
{
	const unsigned char *at = datagram + headers;
	const unsigned char *end = datagram + ((const struct nlmsghdr *)(const void *)datagram)->nlmsg_len;
	struct nlattr header;

	for (; end - at >= NLA_HDRLEN; at += NLA_ALIGN(header.nla_len)) {
		memcpy(&header, at, sizeof header);
		if (header.nla_len < NLA_HDRLEN || header.nla_len > end - at)
			return NULL;
		if ((header.nla_type & NLA_TYPE_MASK) == type) {
			*length = (uint16_t)(header.nla_len - NLA_HDRLEN);
			return at + NLA_HDRLEN;
		}
	}
	return NULL;
}

/* Sends a request and waits for its answer, in `datagram`; an error is fatal. */
static inline void transact(const struct peer *p, const union message *m, const char *what)
{
	const struct nlmsghdr *got = (const void *)datagram;
	const struct nlmsgerr *error = NLMSG_DATA(got);

	send_bytes(p, m->bytes, m->head.nlmsg.nlmsg_len);
	await_datagram(p);
	if (got->nlmsg_type == NLMSG_ERROR && error->error) {
		errno = -error->error;
		die(what);
	}
}

static inline uint16_t family_id(const struct peer *p, const char *name)
{
	union message m;
	const void *found;
	uint16_t length, id;

	begin(p, &m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	m.head.nlmsg.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN); /* the controller has no ovs_header */
	put(&m, CTRL_ATTR_FAMILY_NAME, name, strlen(name) + 1);
	transact(p, &m, name);
	found = find(NLMSG_LENGTH(GENL_HDRLEN), CTRL_ATTR_FAMILY_ID, &length);
	if (!found)
		fail("a family without a number");
	memcpy(&id, found, sizeof id);
	return id;
}

/* Opens the device of this path, or AF_NETLINK by the name "netlink". */
static inline struct peer open_peer(const char *path)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct sockaddr_nl own;
	socklen_t size = sizeof own;
	const int room = 16 << 20;
	struct peer p = { -1, 0, 0, 0, 0, 0, 0 };

	if (!strcmp(path, "netlink")) {
		p.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_GENERIC);
		if (p.fd < 0 || connect(p.fd, (const void *)&kernel, sizeof kernel) < 0 ||
		    getsockname(p.fd, (void *)&own, &size) < 0)
			die("netlink socket");
		setsockopt(p.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
		p.pid = own.nl_pid;
	} else {
		p.fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (p.fd < 0 || ioctl(p.fd, OVS_IOCTL_GET_PID, &p.pid) < 0)
			die(path);
	}
	p.datapath = family_id(&p, OVS_DATAPATH_FAMILY);
	p.vport = family_id(&p, OVS_VPORT_FAMILY);
	p.flow = family_id(&p, OVS_FLOW_FAMILY);
	p.packet = family_id(&p, OVS_PACKET_FAMILY);
	return p;
}

/* Makes a datapath, which later requests then name. */
static inline void make_datapath(struct peer *p, const char *name)
{
	union message m;

	begin(p, &m, p->datapath, OVS_DP_CMD_NEW, NLM_F_ECHO);
	m.head.genlmsg.version = OVS_DATAPATH_VERSION;
	put(&m, OVS_DP_ATTR_NAME, name, strlen(name) + 1);
	put_u32(&m, OVS_DP_ATTR_UPCALL_PID, 0);
	put_u32(&m, OVS_DP_ATTR_USER_FEATURES, OVS_DP_F_UNALIGNED);
	transact(p, &m, "OVS_DP_CMD_NEW");
	p->dp_ifindex = (uint32_t)((const struct ovs_message *)(const void *)datagram)->ovs.dp_ifindex;
}

static inline void delete_datapath(struct peer *p)
{
	union message m;

	begin(p, &m, p->datapath, OVS_DP_CMD_DEL, NLM_F_ACK);
	m.head.genlmsg.version = OVS_DATAPATH_VERSION;
	transact(p, &m, "OVS_DP_CMD_DEL");
}

/* Makes a port of an interface; `upcall_pid` gets what matches no flow. */
static inline void make_port(const struct peer *p, uint32_t number, const char *interface,
			     uint32_t upcall_pid)
{
	union message m;

	begin(p, &m, p->vport, OVS_VPORT_CMD_NEW, NLM_F_ECHO);
	put_u32(&m, OVS_VPORT_ATTR_PORT_NO, number);
	put_u32(&m, OVS_VPORT_ATTR_TYPE, OVS_VPORT_TYPE_NETDEV);
	put(&m, OVS_VPORT_ATTR_NAME, interface, strlen(interface) + 1);
	put_u32(&m, OVS_VPORT_ATTR_UPCALL_PID, upcall_pid);
	transact(p, &m, interface);
}

#endif
