/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmark's clients share: requests to build, a clock, a way to die.
 * The includer defines _GNU_SOURCE. */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H 1

#include <ovs_datapath.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

union message {
	struct ovs_message head;
	unsigned char bytes[OVS_IOCTL_MAX_LENGTH];
};

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Orders nanoseconds, for qsort. */
static inline int ascending(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Appends one attribute, padded with zeros to a multiple of four bytes. */
static inline void put(union message *m, uint16_t type, const void *data, size_t length)
{
	const struct nlattr header = { (uint16_t)(NLA_HDRLEN + length), type };
	unsigned char *end = m->bytes + m->head.nlmsg.nlmsg_len;

	memset(end, 0, (size_t)NLA_ALIGN(header.nla_len));
	memcpy(end, &header, sizeof header);
	memcpy(end + NLA_HDRLEN, data, length);
	m->head.nlmsg.nlmsg_len += (uint32_t)NLA_ALIGN(header.nla_len);
}

/* A request to the datapath family: its headers, and the name unless it is NULL. */
static inline void datapath_request(union message *m, uint8_t cmd, uint16_t flags, const char *name)
{
	memset(&m->head, 0, sizeof m->head);
	m->head.nlmsg.nlmsg_len = sizeof m->head;
	m->head.nlmsg.nlmsg_type = OVS_WIN_NL_DATAPATH_FAMILY_ID;
	m->head.nlmsg.nlmsg_flags = NLM_F_REQUEST | flags;
	m->head.genlmsg.cmd = cmd;
	m->head.genlmsg.version = OVS_DATAPATH_VERSION;
	if (name)
		put(m, OVS_DP_ATTR_NAME, name, strlen(name) + 1);
}

#endif
