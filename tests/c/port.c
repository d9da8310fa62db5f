/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a switch does that has a netlink socket over the device (port_socket.c),
 * in the order of Open vSwitch's Windows code. One line is printed per step:
 *
 *   port DEVICE DATAPATH [WAIT]    the status is 0 only if all steps went well
 *
 * It makes DATAPATH and deletes it again. With WAIT it then waits until the
 * device is lost; a line on standard input lets it open the device anew.
 */
#include "port_socket.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	LONG_FRAME = 20000, /* and so is its upcall longer than an ioctl carries */
	MANY_ACTIONS = 3000, /* and so is the flow with them */
	PATIENCE_MS = 60000,
	RECEIVE_BUFFER = 2 * 4 * 1024 * 1024 /* 4 MiB, which the kernel doubles for a socket */
};

static const __u8 frame[14] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5 };
static int failures;

static int step(int ok, const char *format, ...)
{
	va_list args;

	printf("%-4s ", ok ? "ok" : "FAIL");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	failures += !ok;
	return ok;
}

static int create(struct sock *s, const char *path, const char *what)
{
	int error = sock_create(s, path);

	if (!step(!error && s->pid, "create %s: PID %u: %s", what, s->pid, strerror(error)))
		return 0;
	error = sock_set_properties(s, NETLINK_GENERIC, RECEIVE_BUFFER);
	return step(!error, "SOCK_PROP of %s: %s", what, strerror(error));
}

static __u32 number(const struct nlmsghdr *m, __u16 type)
{
	const char *payload = find(m, type, sizeof(__u32));
	__u32 value = 0xFFFFFFFF;

	if (payload)
		memcpy(&value, payload, sizeof value);
	return value;
}

static int is_string(const struct nlmsghdr *m, __u16 type, const char *value)
{
	const char *payload = find(m, type, strlen(value) + 1);

	return payload && !memcmp(payload, value, strlen(value) + 1);
}

/* The ids are fixed; nlctrl says the same. Its messages have no struct ovs_header. */
static void look_up_family(struct sock *s)
{
	union message m;
	__u16 id = 0;
	const char *payload;
	int error;

	begin(&m, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, 2, 0);
	m.head.nlmsg.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN;
	put_string(&m, CTRL_ATTR_FAMILY_NAME, OVS_VPORT_FAMILY);
	error = sock_transact(s, &m);
	payload = m.bytes + NLMSG_HDRLEN + GENL_HDRLEN + NLA_HDRLEN;
	if (!error) /* the name comes first, then the id */
		memcpy(&id, payload + NLA_ALIGN(sizeof OVS_VPORT_FAMILY) + NLA_HDRLEN, sizeof id);
	step(!error && id == OVS_WIN_NL_VPORT_FAMILY_ID, "family %s is %#x", OVS_VPORT_FAMILY, id);
}

static int new_datapath(struct sock *s, const char *name, __u32 upcall_pid)
{
	union message m;
	int error;

	begin(&m, OVS_WIN_NL_DATAPATH_FAMILY_ID, NLM_F_REQUEST | NLM_F_ECHO, OVS_DP_CMD_NEW,
	      OVS_DATAPATH_VERSION, 0);
	put_string(&m, OVS_DP_ATTR_NAME, name);
	put_u32(&m, OVS_DP_ATTR_UPCALL_PID, upcall_pid);
	error = sock_transact(s, &m);
	step(!error, "transact: new datapath %s: %s", name,
	     error == 0 ? "made" : m.head.nlmsg.nlmsg_type == NLMSG_ERROR ? explanation(&m)
									  : strerror(error));
	return error ? 0 : m.head.ovs.dp_ifindex;
}

static int new_port(struct sock *s, int dp_ifindex, const char *name, __u32 upcall_pid)
{
	union message m;

	begin(&m, OVS_WIN_NL_VPORT_FAMILY_ID, NLM_F_REQUEST | NLM_F_ECHO, OVS_VPORT_CMD_NEW,
	      OVS_VPORT_VERSION, dp_ifindex);
	put_string(&m, OVS_VPORT_ATTR_NAME, name);
	put_u32(&m, OVS_VPORT_ATTR_TYPE, OVS_VPORT_TYPE_INTERNAL);
	put_u32(&m, OVS_VPORT_ATTR_UPCALL_PID, upcall_pid);
	return sock_transact(s, &m);
}

/* Executes a packet that goes to userspace by an action and, with no flow for
 * it, as a miss. */
static int execute(struct sock *s, int dp_ifindex, size_t length, __u32 upcall_pid)
{
	char packet[LONG_FRAME] = { 0 };
	union message m;
	size_t nested, inner;

	memcpy(packet, frame, sizeof frame);
	begin(&m, OVS_WIN_NL_PACKET_FAMILY_ID, NLM_F_REQUEST, OVS_PACKET_CMD_EXECUTE,
	      OVS_PACKET_VERSION, dp_ifindex);
	put(&m, OVS_PACKET_ATTR_PACKET, packet, length);
	nested = begin_nested(&m, OVS_PACKET_ATTR_KEY);
	put_u32(&m, OVS_KEY_ATTR_IN_PORT, 0);
	end_nested(&m, nested);
	nested = begin_nested(&m, OVS_PACKET_ATTR_ACTIONS);
	inner = begin_nested(&m, OVS_ACTION_ATTR_USERSPACE);
	put_u32(&m, OVS_USERSPACE_ATTR_PID, upcall_pid);
	end_nested(&m, inner);
	put_u32(&m, OVS_ACTION_ATTR_RECIRC, 1);
	end_nested(&m, nested);
	return sock_transact(s, &m);
}

/* The upcall that comes next is this command, with a packet of that length. */
static void read_packet(struct sock *s, __u8 cmd, size_t packet_length)
{
	union message m;
	size_t length = 0;
	int error = sock_receive(s, &m, &length);
	const char *packet = error ? NULL : find(&m.head.nlmsg, OVS_PACKET_ATTR_PACKET,
						 packet_length);

	step(packet && m.head.nlmsg.nlmsg_type == OVS_WIN_NL_PACKET_FAMILY_ID &&
		     m.head.genlmsg.cmd == cmd && !memcmp(packet, frame, sizeof frame),
	     "read packet: %s of %zu bytes, in a message of %s",
	     cmd == OVS_PACKET_CMD_MISS ? "miss" : "action", packet_length,
	     length > OVS_IOCTL_MAX_LENGTH ? "more than an ioctl carries" : "less");
}

static void wait_for(struct sock *s, const char *what)
{
	int error = sock_wait(s, PATIENCE_MS);

	step(!error, "wait: %s: %s", what, strerror(error));
}

/* A request that is refused, by its handler or before. */
static void fail(struct sock *s, int dp_ifindex)
{
	union message m;
	int error;

	begin(&m, OVS_WIN_NL_VPORT_FAMILY_ID, NLM_F_REQUEST | NLM_F_ECHO, OVS_VPORT_CMD_GET,
	      OVS_VPORT_VERSION, dp_ifindex);
	put_string(&m, OVS_VPORT_ATTR_NAME, "nobody");
	error = sock_transact(s, &m);
	step(error == ENODEV && !sock_is_lost(s), "transact: no such port: %s: %s",
	     strerror(error), explanation(&m));

	begin(&m, OVS_WIN_NL_VPORT_FAMILY_ID, NLM_F_REQUEST | NLM_F_ECHO, 99, OVS_VPORT_VERSION,
	      dp_ifindex);
	error = sock_transact(s, &m);
	step(error == EINVAL, "transact: no such command: the ioctl says %s", strerror(error));
}

/* A flow with so many actions that an ioctl carries neither it nor its reply. */
static int put_long_flow(struct sock *s, int dp_ifindex)
{
	union message m;
	size_t nested;
	int i;

	begin(&m, OVS_WIN_NL_FLOW_FAMILY_ID, NLM_F_CREATE, OVS_FLOW_CMD_NEW, OVS_FLOW_VERSION,
	      dp_ifindex);
	nested = begin_nested(&m, OVS_FLOW_ATTR_KEY);
	put_u32(&m, OVS_KEY_ATTR_IN_PORT, 0);
	put(&m, OVS_KEY_ATTR_ETHERNET, frame, 12);
	put(&m, OVS_KEY_ATTR_ETHERTYPE, frame + 12, 2);
	end_nested(&m, nested);
	nested = begin_nested(&m, OVS_FLOW_ATTR_ACTIONS);
	for (i = 0; i < MANY_ACTIONS; i++)
		put_u32(&m, OVS_ACTION_ATTR_OUTPUT, 1);
	end_nested(&m, nested);
	return sock_transact(s, &m);
}

struct count {
	__u16 family;
	int objects;
	size_t longest;
};

static void count(const struct nlmsghdr *m, void *data)
{
	struct count *c = data;

	c->objects += m->nlmsg_type == c->family;
	if (m->nlmsg_len > c->longest)
		c->longest = m->nlmsg_len;
}

static int dump(struct sock *s, __u16 family, __u8 version, int dp_ifindex, struct count *c,
		int (*how)(struct sock *, union message *, visitor *, void *))
{
	union message m;

	*c = (struct count){ .family = family };
	begin(&m, family, 0, OVS_DP_CMD_GET, version, dp_ifindex); /* GET is 3 in each family */
	return how(s, &m, count, c);
}

static void dump_all(struct sock *s, int dp_ifindex)
{
	const __u16 ports = OVS_WIN_NL_VPORT_FAMILY_ID, flows = OVS_WIN_NL_FLOW_FAMILY_ID;
	struct count c;
	int error;

	error = dump(s, ports, OVS_VPORT_VERSION, dp_ifindex, &c, dump_by_ioctl);
	step(!error && c.objects == 2, "dump by ioctl: %d ports: %s", c.objects, strerror(error));
	error = dump(s, ports, OVS_VPORT_VERSION, dp_ifindex, &c, dump_by_read);
	step(!error && c.objects == 2, "dump by read: %d ports: %s", c.objects, strerror(error));

	error = put_long_flow(s, dp_ifindex);
	step(!error, "transact: a flow that no ioctl carries: %s", strerror(error));
	error = dump(s, flows, OVS_FLOW_VERSION, dp_ifindex, &c, dump_by_ioctl);
	step(error == EMSGSIZE, "dump by ioctl: %d flows: %s", c.objects, strerror(error));
	error = dump(s, flows, OVS_FLOW_VERSION, dp_ifindex, &c, dump_by_read);
	step(!error && c.objects == 1 && c.longest > OVS_IOCTL_MAX_LENGTH,
	     "dump by read: %d flows: %s", c.objects, strerror(error));
}

static void delete_datapath(struct sock *s, int dp_ifindex)
{
	union message m;
	int error;

	begin(&m, OVS_WIN_NL_DATAPATH_FAMILY_ID, NLM_F_REQUEST, OVS_DP_CMD_DEL,
	      OVS_DATAPATH_VERSION, dp_ifindex);
	error = sock_transact(s, &m);
	step(!error, "transact: delete the datapath: %s", strerror(error));
}

static void use_datapath(struct sock *requests, struct sock *events, struct sock *packets,
			 int dp_ifindex)
{
	union message m;
	size_t length;
	int error;

	error = new_port(requests, dp_ifindex, "port1", packets->pid);
	step(!error, "transact: new port: %s", strerror(error));
	wait_for(events, "an event");
	error = sock_pend(events);
	step(!error, "pend again: an event waits: %s", strerror(error));
	error = sock_receive(events, &m, &length);
	step(!error && m.head.genlmsg.cmd == OVS_VPORT_CMD_NEW &&
		     m.head.ovs.dp_ifindex == dp_ifindex &&
		     is_string(&m.head.nlmsg, OVS_VPORT_ATTR_NAME, "port1") &&
		     number(&m.head.nlmsg, OVS_VPORT_ATTR_PORT_NO) == 1,
	     "read event: port1 is new: %s", strerror(error));
	step(sock_receive(events, &m, &length) == EAGAIN, "read event: that was all");

	error = execute(requests, dp_ifindex, sizeof frame, packets->pid);
	step(!error, "transact: execute a packet: %s", strerror(error));
	wait_for(packets, "a packet");
	read_packet(packets, OVS_PACKET_CMD_ACTION, sizeof frame);
	read_packet(packets, OVS_PACKET_CMD_MISS, sizeof frame);
	error = execute(requests, dp_ifindex, LONG_FRAME, packets->pid);
	step(!error, "transact: execute a long packet: %s", strerror(error));
	wait_for(packets, "a long packet");
	read_packet(packets, OVS_PACKET_CMD_ACTION, LONG_FRAME);
	read_packet(packets, OVS_PACKET_CMD_MISS, LONG_FRAME);
	step(sock_receive(packets, &m, &length) == EAGAIN, "read packet: that was all");

	fail(requests, dp_ifindex);
	dump_all(requests, dp_ifindex);
}

/* The device goes and comes again: nothing of before is there then. */
static void lose_and_find(const char *path)
{
	struct sock s;
	union message m;
	size_t length;
	int error;

	if (!create(&s, path, "a socket to lose"))
		return;
	step(!sock_join(&s, OVS_WIN_NL_VPORT_MCGRP_ID, 1), "subscribe to ports");
	step(sock_pend(&s) == EAGAIN, "pend until the device is lost");
	error = sock_wait(&s, PATIENCE_MS);
	step(!error && sock_is_lost(&s), "wait: the device is lost: %s", strerror(error));
	error = sock_receive(&s, &m, &length);
	step(error == ENODEV || error == ENOTCONN || error == ECONNABORTED, "read event: it fails");
	close(s.fd);
	getchar();
	if (create(&s, path, "a socket anew"))
		step(!sock_join(&s, OVS_WIN_NL_VPORT_MCGRP_ID, 1) && !close(s.fd),
		     "subscribe to ports");
}

int main(int argc, char *argv[])
{
	struct sock requests, events, packets;
	const char *path = argv[1];
	int dp_ifindex;

	if (argc < 3)
		return 2;
	if (!create(&requests, path, "a socket for requests") ||
	    !create(&events, path, "a socket for events") ||
	    !create(&packets, path, "a socket for packets"))
		return 1;
	step(requests.pid != events.pid && events.pid != packets.pid, "each has a PID of its own");
	look_up_family(&requests);
	step(!sock_join(&events, OVS_WIN_NL_VPORT_MCGRP_ID, 1), "subscribe to ports");
	step(!sock_subscribe_packets(&packets, 1), "subscribe to packets");
	step(sock_pend(&events) == EAGAIN, "pend for an event");
	step(sock_pend(&packets) == EAGAIN, "pend for a packet");

	dp_ifindex = new_datapath(&requests, argv[2], packets.pid);
	if (dp_ifindex) {
		use_datapath(&requests, &events, &packets, dp_ifindex);
		delete_datapath(&requests, dp_ifindex);
	}
	step(!sock_subscribe_packets(&packets, 0), "unsubscribe from packets");
	step(!sock_join(&events, OVS_WIN_NL_VPORT_MCGRP_ID, 0), "unsubscribe from ports");
	step(!close(requests.fd) && !close(events.fd) && !close(packets.fd), "close");
	if (argc > 3)
		lose_and_find(path);
	return failures ? 1 : 0;
}
