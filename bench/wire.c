/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a datapath a wire: what comes in by one port goes out by the other.
 *
 *   wire NODE|netlink DATAPATH INTERFACE INTERFACE
 *
 * The flows match what ovs-vswitchd would for "in_port=1,actions=output:2": port,
 * EtherType, and of IPv4 whether it is a fragment.
 */
#define _GNU_SOURCE
#include "netlink.h"

#include <arpa/inet.h>
#include <net/ethernet.h>

/* A key or a mask: the header behind Ethernet is ARP where `ipv4` is NULL. */
static void put_match(union message *m, uint16_t type, uint32_t in_port, uint16_t eth_type,
		      const struct ovs_key_ipv4 *ipv4)
{
	const struct ovs_key_ethernet any = { { 0 }, { 0 } };
	const struct ovs_key_arp any_arp = { 0 };
	const uint32_t at = begin_nest(m, type);

	put_u32(m, OVS_KEY_ATTR_RECIRC_ID, type == OVS_FLOW_ATTR_MASK ? UINT32_MAX : 0);
	put_u32(m, OVS_KEY_ATTR_IN_PORT, in_port);
	put(m, OVS_KEY_ATTR_ETHERNET, &any, sizeof any);
	put(m, OVS_KEY_ATTR_ETHERTYPE, &eth_type, sizeof eth_type);
	if (ipv4)
		put(m, OVS_KEY_ATTR_IPV4, ipv4, sizeof *ipv4);
	else
		put(m, OVS_KEY_ATTR_ARP, &any_arp, sizeof any_arp);
	end_nest(m, at);
}

static void put_flow(const struct peer *p, uint32_t in_port, uint32_t out_port, uint16_t eth_type)
{
	const struct ovs_key_ipv4 key = { .ipv4_frag = OVS_FRAG_TYPE_NONE };
	const struct ovs_key_ipv4 mask = { .ipv4_frag = 0xff };
	const int ip = eth_type == ETHERTYPE_IP;
	union message m;
	uint32_t at;

	begin(p, &m, p->flow, OVS_FLOW_CMD_NEW, NLM_F_CREATE | NLM_F_ACK);
	put_match(&m, OVS_FLOW_ATTR_KEY, in_port, htons(eth_type), ip ? &key : NULL);
	put_match(&m, OVS_FLOW_ATTR_MASK, UINT32_MAX, 0xffff, ip ? &mask : NULL);
	at = begin_nest(&m, OVS_FLOW_ATTR_ACTIONS);
	put_u32(&m, OVS_ACTION_ATTR_OUTPUT, out_port);
	end_nest(&m, at);
	transact(p, &m, "OVS_FLOW_CMD_NEW");
}

int main(int argc, char **argv)
{
	struct peer p;
	uint32_t port;

	if (argc != 5)
		fail("usage: wire NODE|netlink DATAPATH INTERFACE INTERFACE");
	p = open_peer(argv[1]);
	make_datapath(&p, argv[2]);
	for (port = 1; port <= 2; port++)
		make_port(&p, port, argv[2 + port], 0);
	for (port = 1; port <= 2; port++) {
		put_flow(&p, port, 3 - port, ETHERTYPE_IP);
		put_flow(&p, port, 3 - port, ETHERTYPE_ARP);
	}
	puts("{}");
	return 0;
}
