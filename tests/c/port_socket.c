/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L

#include "port_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Messages ----------------------------------------------------------------- */

/* Begins a request: the three headers, and no attribute yet. */
void begin(union message *m, __u16 family, __u16 flags, __u8 cmd, __u8 version, int dp_ifindex)
{
	memset(&m->head, 0, sizeof m->head);
	m->head.nlmsg.nlmsg_len = sizeof m->head;
	m->head.nlmsg.nlmsg_type = family;
	m->head.nlmsg.nlmsg_flags = flags;
	m->head.genlmsg.cmd = cmd;
	m->head.genlmsg.version = version;
	m->head.ovs.dp_ifindex = dp_ifindex;
}

/* Appends an attribute, padded to a multiple of four bytes. */
void put(union message *m, __u16 type, const void *data, size_t length)
{
	const struct nlattr header = { (__u16)(NLA_HDRLEN + length), type };
	char *end = m->bytes + m->head.nlmsg.nlmsg_len;

	memcpy(end, &header, sizeof header);
	if (length)
		memcpy(end + NLA_HDRLEN, data, length);
	memset(end + header.nla_len, 0, NLA_ALIGN(header.nla_len) - header.nla_len);
	m->head.nlmsg.nlmsg_len += (__u32)NLA_ALIGN(header.nla_len);
}

void put_u8(union message *m, __u16 type, __u8 value)
{
	put(m, type, &value, sizeof value);
}

void put_u32(union message *m, __u16 type, __u32 value)
{
	put(m, type, &value, sizeof value);
}

void put_string(union message *m, __u16 type, const char *value)
{
	put(m, type, value, strlen(value) + 1);
}

/* What is put until end_nested() is in this attribute. */
size_t begin_nested(union message *m, __u16 type)
{
	size_t start = m->head.nlmsg.nlmsg_len;

	put(m, type, NULL, 0);
	return start;
}

void end_nested(union message *m, size_t start)
{
	const __u16 length = (__u16)(m->head.nlmsg.nlmsg_len - start);

	memcpy(m->bytes + start, &length, sizeof length);
}

/* The payload of an attribute between two ends, at least `least` bytes of it; or
 * NULL. Every length is a claim, checked before it is used. */
static const char *find_between(const char *at, const char *end, __u16 type, size_t least)
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

const char *find(const struct nlmsghdr *m, __u16 type, size_t least)
{
	const char *start = (const char *)m;

	return find_between(start + sizeof(struct ovs_message), start + m->nlmsg_len, type, least);
}

/* Why a request failed: the text of its NLMSG_ERROR, behind what it echoes. */
const char *explanation(const union message *m)
{
	const struct nlmsghdr *head = &m->head.nlmsg;
	const struct nlmsgerr *error = NLMSG_DATA(head);
	size_t echoed = head->nlmsg_flags & NLM_F_CAPPED ? NLMSG_HDRLEN : error->msg.nlmsg_len;
	const char *text = NULL;

	if (head->nlmsg_type == NLMSG_ERROR && head->nlmsg_flags & NLM_F_ACK_TLVS)
		text = find_between((const char *)&error->msg + NLMSG_ALIGN(echoed),
				    m->bytes + head->nlmsg_len, NLMSGERR_ATTR_MSG, 1);
	return text ? text : "no explanation";
}

/* Sockets ------------------------------------------------------------------ */

int sock_create(struct sock *s, const char *path)
{
	memset(s, 0, sizeof *s);
	s->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (s->fd < 0)
		return errno;
	if (ioctl(s->fd, OVS_IOCTL_GET_PID, &s->pid) < 0) {
		int error = errno;

		close(s->fd);
		return error;
	}
	return 0;
}

int sock_is_lost(const struct sock *s)
{
	__u32 pid;

	return ioctl(s->fd, OVS_IOCTL_GET_PID, &pid) < 0 && errno != EBUSY;
}

static void address(struct sock *s, union message *m)
{
	m->head.nlmsg.nlmsg_seq = ++s->sequence;
	m->head.nlmsg.nlmsg_pid = s->pid;
}

static size_t at_most(size_t length)
{
	return length < OVS_IOCTL_MAX_LENGTH ? length : OVS_IOCTL_MAX_LENGTH;
}

int sock_send(struct sock *s, union message *m)
{
	const size_t length = m->head.nlmsg.nlmsg_len;

	address(s, m);
	if (length > OVS_IOCTL_MAX_LENGTH)
		return EMSGSIZE;
	return ioctl(s->fd, OVS_IOCTL_WRITE(length), m->bytes) < 0 ? errno : 0;
}

int sock_set_properties(struct sock *s, __u32 protocol, __u32 receive_buffer)
{
	union message m;
	const char *in_force;
	int error;

	begin(&m, OVS_WIN_NL_CTRL_FAMILY_ID, 0, OVS_CTRL_CMD_SOCK_PROP,
	      OVS_WIN_CONTROL_VERSION, 0);
	put_u32(&m, OVS_NL_ATTR_SOCK_PROTO, protocol);
	put_u32(&m, OVS_NL_ATTR_SOCK_PID, s->pid);
	put_u32(&m, OVS_NL_ATTR_SOCK_RCVBUF, receive_buffer);
	error = sock_transact(s, &m);
	if (error)
		return error;
	in_force = find(&m.head.nlmsg, OVS_NL_ATTR_SOCK_PROTO, sizeof protocol);
	if (!in_force || memcmp(in_force, &protocol, sizeof protocol))
		return EPROTO;
	in_force = find(&m.head.nlmsg, OVS_NL_ATTR_SOCK_PID, sizeof s->pid);
	return in_force && !memcmp(in_force, &s->pid, sizeof s->pid) ? 0 : EPROTO;
}

int sock_join(struct sock *s, __u32 group, int join)
{
	union message m;
	int error;

	begin(&m, OVS_WIN_NL_CTRL_FAMILY_ID, 0, OVS_CTRL_CMD_MC_SUBSCRIBE_REQ,
	      OVS_WIN_CONTROL_VERSION, 0);
	put_u32(&m, OVS_NL_ATTR_MCAST_GRP, group);
	put_u8(&m, OVS_NL_ATTR_MCAST_JOIN, !!join);
	error = sock_send(s, &m);
	if (!error)
		s->reads = join ? EVENTS : REPLIES;
	return error;
}

int sock_subscribe_packets(struct sock *s, int subscribe)
{
	union message m;
	int error;

	begin(&m, OVS_WIN_NL_CTRL_FAMILY_ID, 0, OVS_CTRL_CMD_PACKET_SUBSCRIBE_REQ,
	      OVS_WIN_CONTROL_VERSION, 0);
	put_u8(&m, OVS_NL_ATTR_PACKET_SUBSCRIBE, !!subscribe);
	put_u32(&m, OVS_NL_ATTR_PACKET_PID, s->pid);
	error = sock_send(s, &m);
	if (!error)
		s->reads = subscribe ? PACKETS : REPLIES;
	return error;
}

int sock_receive(struct sock *s, union message *m, size_t *length)
{
	const size_t room = at_most(sizeof m->bytes);
	const unsigned long read_ioctl[] = {
		[REPLIES] = OVS_IOCTL_READ(room),
		[EVENTS] = OVS_IOCTL_READ_EVENT(room),
		[PACKETS] = OVS_IOCTL_READ_PACKET(room),
	};
	ssize_t taken = ioctl(s->fd, read_ioctl[s->reads], m->bytes);

	if (taken < 0 && errno == EMSGSIZE) /* it is longer than an ioctl carries, and stays */
		taken = read(s->fd, m->bytes, sizeof m->bytes);
	if (taken < 0)
		return errno;
	*length = (size_t)taken;
	return taken ? 0 : EAGAIN;
}

int sock_pend(struct sock *s)
{
	const __u8 cmd = s->reads == PACKETS ? OVS_CTRL_CMD_WIN_PEND_PACKET_REQ
					     : OVS_CTRL_CMD_WIN_PEND_REQ;
	union message m;

	begin(&m, OVS_WIN_NL_CTRL_FAMILY_ID, 0, cmd, OVS_WIN_CONTROL_VERSION, 0);
	return sock_send(s, &m);
}

int sock_wait(struct sock *s, int timeout_ms)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	int ready = poll(&p, 1, timeout_ms);

	return ready < 0 ? errno : ready ? 0 : ETIMEDOUT;
}

static int error_in(const union message *m)
{
	const struct nlmsgerr *error = NLMSG_DATA(&m->head.nlmsg);

	return m->head.nlmsg.nlmsg_type == NLMSG_ERROR ? -error->error : 0;
}

int sock_transact(struct sock *s, union message *m)
{
	const size_t room = at_most(sizeof m->bytes);
	ssize_t length;

	if (m->head.nlmsg.nlmsg_len > room)
		return sock_transact_long(s, m);
	address(s, m);
	length = ioctl(s->fd, OVS_IOCTL_TRANSACT(room), m->bytes);
	if (length < 0 && errno == EMSGSIZE) /* the reply was kept for the next read */
		length = read(s->fd, m->bytes, sizeof m->bytes);
	if (length < 0)
		return errno;
	return length ? error_in(m) : 0; /* a command may have no reply */
}

int sock_transact_long(struct sock *s, union message *m)
{
	ssize_t length = m->head.nlmsg.nlmsg_len;

	address(s, m);
	m->head.nlmsg.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	if (write(s->fd, m->bytes, (size_t)length) < 0)
		return errno;
	length = read(s->fd, m->bytes, sizeof m->bytes); /* it was queued before write returned */
	return length < 0 ? errno : error_in(m);
}

/* Dumps -------------------------------------------------------------------- */

/* Shows the messages of a part: 0 while there is more to come, ENODATA at the
 * end, or what NLMSG_DONE or NLMSG_ERROR says. */
static int walk(const union message *m, size_t length, visitor *visit, void *data)
{
	const char *at = m->bytes, *end = m->bytes + length;
	struct nlmsghdr head;
	int error;

	for (; end - at >= NLMSG_HDRLEN; at += NLMSG_ALIGN(head.nlmsg_len)) {
		memcpy(&head, at, sizeof head);
		if (head.nlmsg_len < NLMSG_HDRLEN || head.nlmsg_len > (size_t)(end - at))
			return EPROTO;
		if (head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR) {
			memcpy(&error, at + NLMSG_HDRLEN, sizeof error);
			return error ? -error : ENODATA;
		}
		visit((const struct nlmsghdr *)(const void *)at, data);
	}
	return 0;
}

int dump_by_ioctl(struct sock *s, union message *m, visitor *visit, void *data)
{
	const size_t room = at_most(sizeof m->bytes);
	int error;

	m->head.nlmsg.nlmsg_flags |= NLM_F_DUMP | NLM_F_ACK;
	error = sock_send(s, m);
	while (!error) {
		int length = ioctl(s->fd, OVS_IOCTL_READ(room), m->bytes);

		error = length < 0 ? errno : length ? walk(m, (size_t)length, visit, data) : ENODATA;
	}
	return error == ENODATA ? 0 : error; /* EMSGSIZE: an object is longer than an ioctl carries */
}

int dump_by_read(struct sock *s, union message *m, visitor *visit, void *data)
{
	int error = 0;

	address(s, m);
	m->head.nlmsg.nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
	if (write(s->fd, m->bytes, m->head.nlmsg.nlmsg_len) < 0)
		return errno;
	while (!error) {
		ssize_t length = read(s->fd, m->bytes, sizeof m->bytes);

		error = length < 0 ? errno : walk(m, (size_t)length, visit, data);
	}
	return error == ENODATA ? 0 : error;
}
