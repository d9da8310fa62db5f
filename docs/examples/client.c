/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A first conversation with the datapath device, one line printed per step.
 *   cc $(ovsdp-cuse --cflags) -o client client.c && ./client [DEVICE [DATAPATH]]
 *
 * Everything said to the device is a message: a netlink header, a generic netlink
 * header and the datapath's index (24 bytes together), and then attributes, each
 * with its own length and type. An ioctl takes one message to the device and, for
 * TRANSACT, brings the answer. The status is 0 only if all steps went as expected.
 */
#include <ovs_datapath.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* One buffer for request and reply; its size becomes part of the ioctl number. */
union message {
	struct ovs_message head;
	char bytes[4096];
};

static int steps, failures;

/* Prints one step; a step that did not go as expected makes the program fail. */
static int step(int ok, const char *format, ...)
{
	va_list args;

	printf("%2d %-4s ", ++steps, ok ? "ok" : "FAIL");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	failures += !ok;
	return ok;
}

/* Begins a request: the three headers, and no attribute yet. */
static void begin(union message *m, __u16 family, __u16 flags, __u8 cmd, __u8 version)
{
	static __u32 sequence;

	memset(m, 0, sizeof *m);
	m->head.nlmsg.nlmsg_len = sizeof m->head;
	m->head.nlmsg.nlmsg_type = family;
	m->head.nlmsg.nlmsg_flags = NLM_F_REQUEST | flags;
	m->head.nlmsg.nlmsg_seq = ++sequence;
	m->head.genlmsg.cmd = cmd;
	m->head.genlmsg.version = version; /* and ovs.dp_ifindex stays 0: "by name" */
}

/* Appends one attribute, padded to a multiple of four bytes. */
static void put(union message *m, __u16 type, const void *data, size_t length)
{
	const struct nlattr header = { (__u16)(NLA_HDRLEN + length), type };
	char *end = m->bytes + m->head.nlmsg.nlmsg_len;

	memcpy(end, &header, sizeof header);
	memcpy(end + NLA_HDRLEN, data, length);
	m->head.nlmsg.nlmsg_len += (__u32)NLA_ALIGN(header.nla_len);
}

static void put_u32(union message *m, __u16 type, __u32 value)
{
	put(m, type, &value, sizeof value);
}

/* Finds an attribute's payload, at least `least` bytes of it, between two ends;
 * or NULL. Every length is a claim, checked before it is used. */
static const char *find(const char *at, const char *end, int type, int least)
{
	struct nlattr header;

	for (; end - at >= NLA_HDRLEN; at += NLA_ALIGN(header.nla_len)) {
		memcpy(&header, at, sizeof header);
		if (header.nla_len < NLA_HDRLEN || header.nla_len > end - at)
			return NULL;
		if ((header.nla_type & NLA_TYPE_MASK) == type)
			return header.nla_len >= NLA_HDRLEN + least ? at + NLA_HDRLEN : NULL;
	}
	return NULL;
}

static const char *attribute(const struct nlmsghdr *m, int type, int least)
{
	return find((const char *)m + sizeof(struct ovs_message),
		    (const char *)m + m->nlmsg_len, type, least);
}

static __u32 get_u32(const union message *m, int type)
{
	const char *payload = attribute(&m->head.nlmsg, type, sizeof(__u32));
	__u32 value = 0;

	if (payload)
		memcpy(&value, payload, sizeof value);
	return value;
}

/* Is this message about the datapath of that name? */
static int is_datapath(const struct nlmsghdr *m, const char *name)
{
	const char *found = attribute(m, OVS_DP_ATTR_NAME, (int)strlen(name) + 1);

	return m->nlmsg_type == OVS_WIN_NL_DATAPATH_FAMILY_ID && found && !strcmp(found, name);
}

/* Sends a request and puts the reply in its place: 0, or an errno. Where the
 * device refuses what is no proper request, the ioctl fails; what a family's
 * handler refuses comes back as an NLMSG_ERROR with a text that says why. */
static int transact(int fd, union message *m)
{
	const struct nlmsgerr *error = NLMSG_DATA(&m->head.nlmsg);

	if (ioctl(fd, OVS_IOCTL_TRANSACT(sizeof m->bytes), m->bytes) < 0)
		return errno;
	return m->head.nlmsg.nlmsg_type == NLMSG_ERROR ? -error->error : 0;
}

/* Why a request failed: the text of its NLMSG_ERROR (the "extended
 * acknowledgement"), which stands behind the copy of the request. */
static const char *explanation(const union message *m)
{
	const struct nlmsghdr *head = &m->head.nlmsg;
	const struct nlmsgerr *error = NLMSG_DATA(head);
	size_t copied = head->nlmsg_flags & NLM_F_CAPPED ? NLMSG_HDRLEN : error->msg.nlmsg_len;
	const char *text = find((const char *)&error->msg + NLMSG_ALIGN(copied),
				m->bytes + head->nlmsg_len, NLMSGERR_ATTR_MSG, 1);

	return head->nlmsg_type == NLMSG_ERROR && text ? text : "no explanation";
}

static void begin_control(union message *m, __u8 cmd)
{
	begin(m, OVS_WIN_NL_CTRL_FAMILY_ID, 0, cmd, OVS_WIN_CONTROL_VERSION);
}

static void begin_datapath(union message *m, __u16 flags, __u8 cmd, const char *name)
{
	begin(m, OVS_WIN_NL_DATAPATH_FAMILY_ID, flags, cmd, OVS_DATAPATH_VERSION);
	if (name)
		put(m, OVS_DP_ATTR_NAME, name, strlen(name) + 1);
}

static int new_datapath(int fd, union message *m, const char *name)
{
	begin_datapath(m, NLM_F_ECHO, OVS_DP_CMD_NEW, name);
	put_u32(m, OVS_DP_ATTR_UPCALL_PID, 0); /* no upcalls: packets that miss are dropped */
	put_u32(m, OVS_DP_ATTR_USER_FEATURES, OVS_DP_F_UNALIGNED);
	return transact(fd, m);
}

/* Counts the datapaths, or -1: WRITE asks, READ returns whole messages until DONE. */
static int dump(int fd, union message *m, const char *name)
{
	const struct nlmsghdr *at;
	int length, count = 0, seen = 0;

	begin_datapath(m, NLM_F_DUMP, OVS_DP_CMD_GET, NULL);
	if (ioctl(fd, OVS_IOCTL_WRITE(sizeof m->bytes), m->bytes) < 0)
		return -1;
	while ((length = ioctl(fd, OVS_IOCTL_READ(sizeof m->bytes), m->bytes)) > 0)
		for (at = &m->head.nlmsg; NLMSG_OK(at, length); at = NLMSG_NEXT(at, length)) {
			if (at->nlmsg_type == NLMSG_DONE)
				return seen ? count : -1;
			seen |= is_datapath(at, name);
			count++;
		}
	return -1;
}

static int readable(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, 30000 /* ms */) == 1 && p.revents & POLLIN;
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : OVS_DEVICE_PATH;
	const char *name = argc > 2 ? argv[2] : "example0";
	union message m;
	__u32 pid = 0;
	int error, length, watch, fd = open(path, O_RDWR);

	if (!step(fd >= 0, "open %s: %s", path, fd < 0 ? strerror(errno) : "done"))
		return 1;
	length = ioctl(fd, OVS_IOCTL_GET_PID, &pid);
	step(length == 4 && pid != 0, "GET_PID: this handle is %u", pid);

	begin_control(&m, OVS_CTRL_CMD_WIN_GET_PID);
	error = transact(fd, &m);
	length = (int)m.head.nlmsg.nlmsg_pid;
	step(!error && length == (int)pid, "WIN_GET_PID: the 2014 command says %d too", length);

	begin_control(&m, OVS_CTRL_CMD_SOCK_PROP);
	put_u32(&m, OVS_NL_ATTR_SOCK_PROTO, NETLINK_GENERIC);
	put_u32(&m, OVS_NL_ATTR_SOCK_PID, pid);
	error = transact(fd, &m);
	step(!error && get_u32(&m, OVS_NL_ATTR_SOCK_PID) == pid, "SOCK_PROP: protocol %u, PID %u",
	     get_u32(&m, OVS_NL_ATTR_SOCK_PROTO), get_u32(&m, OVS_NL_ATTR_SOCK_PID));

	/* A second handle watches, as a monitor does: each has its own PID and queue. */
	watch = open(path, O_RDWR);
	begin_control(&m, OVS_CTRL_CMD_MC_SUBSCRIBE_REQ);
	put_u32(&m, OVS_NL_ATTR_MCAST_GRP, OVS_WIN_NL_DATAPATH_MCGRP_ID);
	put(&m, OVS_NL_ATTR_MCAST_JOIN, &(__u8){ 1 }, sizeof(__u8));
	step(ioctl(watch, OVS_IOCTL_WRITE(sizeof m.bytes), m.bytes) >= 0,
	     "MC_SUBSCRIBE_REQ: a second handle joins group %d", OVS_WIN_NL_DATAPATH_MCGRP_ID);

	error = new_datapath(fd, &m, name);
	if (!step(!error, "DP_CMD_NEW: \"%s\": %s", name, error ? strerror(error) : "made"))
		return 1; /* perhaps it is somebody else's: leave it alone */

	begin_datapath(&m, 0, OVS_DP_CMD_GET, name);
	error = transact(fd, &m);
	step(!error && is_datapath(&m.head.nlmsg, name), "DP_CMD_GET: index %d, features 0x%x",
	     m.head.ovs.dp_ifindex, get_u32(&m, OVS_DP_ATTR_USER_FEATURES));

	length = dump(fd, &m, name);
	step(length > 0, "dump: %d datapath(s), \"%s\" among them", length, name);

	length = readable(watch) ? ioctl(watch, OVS_IOCTL_READ_EVENT(sizeof m.bytes), m.bytes) : -1;
	step(length >= (int)sizeof m.head && is_datapath(&m.head.nlmsg, name),
	     "poll, READ_EVENT: command %d on \"%s\", %d bytes", m.head.genlmsg.cmd, name, length);

	error = new_datapath(fd, &m, name); /* an error on purpose: the name is taken */
	step(error == EEXIST, "DP_CMD_NEW again: %s: %s", strerror(error), explanation(&m));

	/* The stream door: the same handle as if it were a netlink socket. */
	begin_datapath(&m, 0, OVS_DP_CMD_GET, name);
	length = (int)m.head.nlmsg.nlmsg_len;
	step(write(fd, m.bytes, (size_t)length) == length, "write: a GET of %d bytes", length);
	length = readable(fd) ? (int)read(fd, m.bytes, sizeof m.bytes) : -1;
	step(length > 0 && is_datapath(&m.head.nlmsg, name), "poll, read: %d bytes", length);

	begin_datapath(&m, 0, OVS_DP_CMD_DEL, name);
	error = transact(fd, &m);
	step(!error, "DP_CMD_DEL: \"%s\": %s", name, error ? strerror(error) : "deleted");

	step(close(watch) == 0 && close(fd) == 0, "close");
	return failures ? 1 : 0;
}
