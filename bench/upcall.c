/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame that misses, and the answer to it: how long from the one to the other end.
 *
 *   upcall NODE|netlink DATAPATH PORT FAR-END PORT FAR-END COUNT
 *
 * PORT and FAR-END are the two ends of a veth pair. A frame goes in by the first, the
 * datapath sends it up, EXECUTE sends it out by the second: all in this one thread, so
 * there is no other program whose waking would be measured. Printed as JSON, in
 * nanoseconds: the way up, the way from there to the far end, and both together.
 */
#define _GNU_SOURCE
#include "netlink.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>

enum { FRAME = 64, ETHERTYPE_EXPERIMENT = 0x88b5 /* IEEE 802, local experiment 1 */ };

static int open_far_end(const char *interface)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETHERTYPE_EXPERIMENT) };
	const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	address.sll_ifindex = (int)if_nametoindex(interface);
	if (fd < 0 || !address.sll_ifindex ||
	    bind(fd, (const void *)&address, sizeof address) < 0)
		die(interface);
	return fd;
}

/* Answers the upcall in `datagram`, as ovs-vswitchd does: its packet, the key's metadata. */
static void execute(const struct peer *p, uint32_t in_port, uint32_t out_port)
{
	union message m;
	uint16_t length;
	uint32_t at;
	const void *packet = find(sizeof m.head, OVS_PACKET_ATTR_PACKET, &length);

	if (!packet)
		fail("an upcall without a packet");
	begin(p, &m, p->packet, OVS_PACKET_CMD_EXECUTE, 0);
	put(&m, OVS_PACKET_ATTR_PACKET, packet, length);
	at = begin_nest(&m, OVS_PACKET_ATTR_KEY);
	put_u32(&m, OVS_KEY_ATTR_PRIORITY, 0);
	put_u32(&m, OVS_KEY_ATTR_SKB_MARK, 0);
	put_u32(&m, OVS_KEY_ATTR_IN_PORT, in_port);
	end_nest(&m, at);
	at = begin_nest(&m, OVS_PACKET_ATTR_ACTIONS);
	put_u32(&m, OVS_ACTION_ATTR_OUTPUT, out_port);
	end_nest(&m, at);
	send_bytes(p, m.bytes, m.head.nlmsg.nlmsg_len);
}

/* Waits for an upcall and reads it, as a handler of ovs-vswitchd does: poll first. */
static void await_upcall(const struct peer *p)
{
	struct pollfd wanted = { p->fd, POLLIN, 0 };

	if (poll(&wanted, 1, 10000) <= 0 || !receive(p))
		fail("no upcall in ten seconds");
}

static void await_frame(int fd, const unsigned char *expected)
{
	struct pollfd wanted = { fd, POLLIN, 0 };
	unsigned char frame[FRAME + 1];

	if (poll(&wanted, 1, 10000) <= 0)
		fail("no frame in ten seconds");
	if (recv(fd, frame, sizeof frame, MSG_TRUNC) != FRAME || memcmp(frame, expected, FRAME))
		fail("another frame than was sent");
}

static void print(const char *name, uint64_t *ns, size_t count, const char *after)
{
	qsort(ns, count, sizeof *ns, ascending);
	printf("\"%s\": {\"p50_ns\": %ju, \"p99_ns\": %ju}%s", name, (uintmax_t)ns[count / 2],
	       (uintmax_t)ns[count * 99 / 100], after);
}

int main(int argc, char **argv)
{
	static unsigned char frame[FRAME] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };
	uint64_t *up, *down, *round;
	struct peer p;
	size_t count, warm, i;
	int in, out;

	if (argc != 8 || !(count = strtoul(argv[7], NULL, 0)))
		fail("usage: upcall NODE|netlink DATAPATH PORT FAR-END PORT FAR-END COUNT");
	up = calloc(3 * count, sizeof *up);
	if (!up)
		die("calloc");
	down = up + count;
	round = down + count;
	p = open_peer(argv[1]);
	in = open_far_end(argv[4]);
	out = open_far_end(argv[6]);
	make_datapath(&p, argv[2]);
	make_port(&p, 1, argv[3], p.pid);
	make_port(&p, 2, argv[5], p.pid);
	warm = count / 10;
	for (i = 0; i < warm + count; i++) {
		uint64_t begin_ns, up_ns, end_ns;

		memcpy(frame + 14, &i, sizeof i);
		begin_ns = now_ns();
		if (send(in, frame, FRAME, 0) != FRAME)
			die("send");
		await_upcall(&p);
		up_ns = now_ns();
		execute(&p, 1, 2);
		await_frame(out, frame);
		end_ns = now_ns();
		if (i >= warm) {
			up[i - warm] = up_ns - begin_ns;
			down[i - warm] = end_ns - up_ns;
			round[i - warm] = end_ns - begin_ns;
		}
	}
	if (receive(&p))
		fail("EXECUTE was refused");
	delete_datapath(&p);
	printf("{\"count\": %zu, ", count);
	print("upcall", up, count, ", ");
	print("execute", down, count, ", ");
	print("round", round, count, "}\n");
	free(up);
	return 0;
}
