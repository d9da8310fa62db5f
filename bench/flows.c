/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts COUNT flows, one to a write and fifty to a write, dumps them, deletes them.
 *
 *   flows NODE|netlink DATAPATH COUNT
 *
 * The flows are what ovs-vswitchd puts for TCP connections, and it is told as little
 * as ovs-vswitchd asks for: a flow that could be put has no answer, so the read after
 * a write finds nothing. Printed as JSON, in nanoseconds a flow.
 */
#define _GNU_SOURCE
#include "netlink.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>

enum { BATCH = 50 };

/* Every attribute that ovs-vswitchd sends for such a flow. */
struct match {
	struct ovs_key_ethernet ethernet;
	struct ovs_key_ipv4 ipv4;
	struct ovs_key_tcp tcp;
	uint32_t recirc_id, in_port;
	uint16_t eth_type;
};

static void put_match(union message *m, uint16_t type, const struct match *match)
{
	static const unsigned char labels[16];
	const uint16_t any_flags = 0, any_zone = 0;
	const uint32_t at = begin_nest(m, type);

	put_u32(m, OVS_KEY_ATTR_PRIORITY, 0);
	put_u32(m, OVS_KEY_ATTR_SKB_MARK, 0);
	put_u32(m, OVS_KEY_ATTR_CT_STATE, 0);
	put(m, OVS_KEY_ATTR_CT_ZONE, &any_zone, sizeof any_zone);
	put_u32(m, OVS_KEY_ATTR_CT_MARK, 0);
	put(m, OVS_KEY_ATTR_CT_LABELS, labels, sizeof labels);
	put_u32(m, OVS_KEY_ATTR_RECIRC_ID, match->recirc_id);
	put_u32(m, OVS_KEY_ATTR_DP_HASH, 0);
	put_u32(m, OVS_KEY_ATTR_IN_PORT, match->in_port);
	put(m, OVS_KEY_ATTR_ETHERNET, &match->ethernet, sizeof match->ethernet);
	put(m, OVS_KEY_ATTR_ETHERTYPE, &match->eth_type, sizeof match->eth_type);
	put(m, OVS_KEY_ATTR_IPV4, &match->ipv4, sizeof match->ipv4);
	put(m, OVS_KEY_ATTR_TCP, &match->tcp, sizeof match->tcp);
	put(m, OVS_KEY_ATTR_TCP_FLAGS, &any_flags, sizeof any_flags);
	end_nest(m, at);
}

/* Flow number i of the table: its addresses and ports hold the number. */
static void flow_request(const struct peer *p, union message *m, uint32_t i)
{
	const struct match key = {
		.ethernet = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } },
		.ipv4 = { .ipv4_src = htonl(0x0a000000 | i),
			  .ipv4_dst = htonl(0x0b000000 | i),
			  .ipv4_proto = IPPROTO_TCP,
			  .ipv4_ttl = 64 },
		.tcp = { htons((uint16_t)(1024 + i % 60000)), htons(443) },
		.in_port = 1,
		.eth_type = htons(ETHERTYPE_IP),
	};
	struct match mask;
	const uint32_t ufid[4] = { i, ~i, 0x62656e63, 0x68 };
	uint32_t at;

	memset(&mask, 0xff, sizeof mask);
	mask.ipv4.ipv4_tos = mask.ipv4.ipv4_ttl = 0;
	begin(p, m, p->flow, OVS_FLOW_CMD_NEW, NLM_F_CREATE);
	put(m, OVS_FLOW_ATTR_UFID, ufid, sizeof ufid);
	put_match(m, OVS_FLOW_ATTR_KEY, &key);
	put_match(m, OVS_FLOW_ATTR_MASK, &mask);
	at = begin_nest(m, OVS_FLOW_ATTR_ACTIONS);
	put_u32(m, OVS_ACTION_ATTR_OUTPUT, 2);
	end_nest(m, at);
}

/* Puts all flows, `each` to a write; returns the time. Building is part of it, as for anyone. */
static uint64_t put_flows(const struct peer *p, uint32_t count, uint32_t each)
{
	static unsigned char batch[BATCH * 1024];
	union message m;
	const uint64_t start = now_ns();
	uint32_t i = 0;

	while (i < count) {
		const uint32_t stop = i + each < count ? i + each : count;
		size_t length = 0;

		for (; i < stop; i++) {
			flow_request(p, &m, i);
			memcpy(batch + length, m.bytes, m.head.nlmsg.nlmsg_len);
			length += m.head.nlmsg.nlmsg_len;
		}
		send_bytes(p, batch, length);
		if (receive(p))
			fail("a flow was refused");
	}
	return now_ns() - start;
}

/* The flows in `datagram`; `done` says whether the dump ended there. */
static int count_flows(const struct peer *p, size_t size, int *done)
{
	const struct nlmsghdr *at = (const void *)datagram;
	int flows = 0, left = (int)size;

	for (; NLMSG_OK(at, left); at = NLMSG_NEXT(at, left))
		if (at->nlmsg_type == NLMSG_DONE)
			*done = 1;
		else if (at->nlmsg_type == p->flow)
			flows++;
		else
			fail("a message that is no flow");
	return flows;
}

static uint64_t dump_flows(const struct peer *p, uint32_t expected)
{
	union message m;
	uint64_t start;
	uint32_t flows = 0;
	int done = 0;

	begin(p, &m, p->flow, OVS_FLOW_CMD_GET, NLM_F_DUMP);
	start = now_ns();
	send_bytes(p, m.bytes, m.head.nlmsg.nlmsg_len);
	while (!done)
		flows += (uint32_t)count_flows(p, await_datagram(p), &done);
	if (flows != expected)
		fail("a dump that misses flows, or repeats them");
	return now_ns() - start;
}

static void delete_flows(const struct peer *p)
{
	union message m;

	begin(p, &m, p->flow, OVS_FLOW_CMD_DEL, NLM_F_ACK);
	transact(p, &m, "OVS_FLOW_CMD_DEL");
}

int main(int argc, char **argv)
{
	uint64_t one, fifty, dump;
	struct peer p;
	uint32_t count;

	if (argc != 4 || !(count = (uint32_t)strtoul(argv[3], NULL, 0)))
		fail("usage: flows NODE|netlink DATAPATH COUNT");
	p = open_peer(argv[1]);
	make_datapath(&p, argv[2]);
	one = put_flows(&p, count, 1);
	delete_flows(&p);
	fifty = put_flows(&p, count, BATCH);
	dump = dump_flows(&p, count);
	delete_flows(&p);
	delete_datapath(&p);
	printf("{\"put_ns\": %ju, \"put_batched_ns\": %ju, \"dump_ns\": %ju}\n",
	       (uintmax_t)(one / count), (uintmax_t)(fifty / count), (uintmax_t)(dump / count));
	return 0;
}
