/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs here share: each is run with the name of one of its
 * scenarios, and ends with 0, or says what was not so.
 */
#ifndef TESTING_H
#define TESTING_H 1

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s (errno %d, %s)\n", __FILE__, __LINE__, \
				#condition, errno, strerror(errno)); \
			exit(1); \
		} \
	} while (0)

/* That a call fails, and how. */
#define CHECK_FAILS(call, error) \
	do { \
		errno = 0; \
		CHECK((call) == -1); \
		CHECK(errno == (error)); \
	} while (0)

struct scenario {
	const char *name;
	void (*run)(void);
};

#define MAIN(scenarios) \
	int main(int argc, char **argv) \
	{ \
		for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) { \
			if (argc > 1 && !strcmp(argv[1], scenarios[i].name)) { \
				scenarios[i].run(); \
				return 0; \
			} \
		} \
		for (size_t i = 0; argc == 1 && i < sizeof scenarios / sizeof *scenarios; i++) \
			puts(scenarios[i].name); \
		return argc == 1 ? 0 : 2; \
	}

struct message {
	struct nlmsghdr head;
	struct genlmsghdr generic;
	_Alignas(4) uint8_t rest[4096 - 20];
};

static inline int open_socket(int flags)
{
	int made = socket(AF_NETLINK, SOCK_RAW | flags, NETLINK_GENERIC);

	CHECK(made >= 0);
	return made;
}

static inline void add_attribute(struct message *message, uint16_t type, const void *payload,
				 size_t size)
{
	struct nlattr attribute = {.nla_len = (uint16_t) (NLA_HDRLEN + size), .nla_type = type};
	uint8_t *end = (uint8_t *) message + message->head.nlmsg_len;

	memset(end, 0, NLA_HDRLEN + NLA_ALIGN(size));
	memcpy(end, &attribute, sizeof attribute);
	memcpy(end + NLA_HDRLEN, payload, size);
	message->head.nlmsg_len += NLA_HDRLEN + NLA_ALIGN(size);
}

static inline struct message new_request(uint16_t family, uint8_t command, uint32_t sequence)
{
	struct message request = {
		.head = {.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN,
			 .nlmsg_type = family,
			 .nlmsg_flags = NLM_F_REQUEST,
			 .nlmsg_seq = sequence},
		.generic = {.cmd = command, .version = 2},
	};

	return request;
}

/* GETFAMILY by name; "nlctrl" is a family that every generic netlink has. */
static inline struct message new_look_up(const char *family, uint32_t sequence)
{
	struct message request = new_request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, sequence);

	add_attribute(&request, CTRL_ATTR_FAMILY_NAME, family, strlen(family) + 1);
	return request;
}

static inline void send_request(int descriptor, const struct message *request)
{
	CHECK(send(descriptor, request, request->head.nlmsg_len, 0) ==
	      (ssize_t) request->head.nlmsg_len);
}

static inline void ask(int descriptor, uint32_t sequence)
{
	struct message request = new_look_up("nlctrl", sequence);

	send_request(descriptor, &request);
}

/* The payload of the first attribute of a type, or NULL. */
static inline const uint8_t *find_attribute(const struct message *message, uint16_t type)
{
	size_t offset = NLMSG_HDRLEN + GENL_HDRLEN;
	struct nlattr attribute;

	while (offset + NLA_HDRLEN <= message->head.nlmsg_len) {
		memcpy(&attribute, (const uint8_t *) message + offset, sizeof attribute);
		if (attribute.nla_len < NLA_HDRLEN)
			break;
		if ((attribute.nla_type & NLA_TYPE_MASK) == type)
			return (const uint8_t *) message + offset + NLA_HDRLEN;
		offset += NLA_ALIGN(attribute.nla_len);
	}
	return NULL;
}

static inline void check_answer(const struct message *reply, ssize_t length, uint32_t sequence)
{
	CHECK(length == (ssize_t) reply->head.nlmsg_len);
	CHECK(reply->head.nlmsg_type == GENL_ID_CTRL);
	CHECK(reply->head.nlmsg_seq == sequence);
	CHECK(!strcmp((const char *) find_attribute(reply, CTRL_ATTR_FAMILY_NAME), "nlctrl"));
}

/* Ask, and read the answer. */
static inline void check_works(int descriptor, uint32_t sequence)
{
	struct message reply;

	ask(descriptor, sequence);
	check_answer(&reply, recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), sequence);
}

static inline int events_of(int descriptor, int timeout_ms)
{
	struct pollfd file = {.fd = descriptor, .events = POLLIN};

	CHECK(poll(&file, 1, timeout_ms) >= 0);
	return file.revents;
}

/* A set that waits for one descriptor. */
static inline int new_set(int descriptor, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u32 = (uint32_t) descriptor};
	int set = epoll_create1(EPOLL_CLOEXEC);

	CHECK(set >= 0);
	CHECK(!epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event));
	return set;
}

/* The events of the one descriptor that a set waits for. */
static inline uint32_t events_of_set(int set, uint32_t data, int timeout_ms)
{
	struct epoll_event event;
	int ready = epoll_wait(set, &event, 1, timeout_ms);

	CHECK(ready >= 0);
	CHECK(!ready || event.data.u32 == data);
	return ready ? event.events : 0;
}

/* The length of the next datagram, which stays. */
static inline ssize_t waiting(int descriptor)
{
	return recv(descriptor, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
}

#endif
