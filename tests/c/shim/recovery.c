/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon that ends, and another one. The test says by lines when it has done
 * its part; what is printed says that ours is done.
 */
#include "testing.h"

#include <linux/openvswitch.h>
#include <sys/resource.h>

#define DATAPATHS 0x12
#define DATAPATH_GROUP 102

static struct message reply;

static void part_done(const char *what)
{
	puts(what);
	CHECK(!fflush(stdout));
}

static void wait_for_test(void)
{
	char line[16];

	CHECK(fgets(line, sizeof line, stdin));
}

static uint32_t port_of(int descriptor)
{
	struct sockaddr_nl name;
	socklen_t length = sizeof name;

	CHECK(!getsockname(descriptor, (struct sockaddr *) &name, &length));
	return name.nl_pid;
}

static int open_member(void)
{
	int descriptor = open_socket(0), group = DATAPATH_GROUP, on = 1;

	CHECK(!setsockopt(descriptor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
	CHECK(!setsockopt(descriptor, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on));
	return descriptor;
}

/* Something that all members are told. */
static void make_datapath(void)
{
	struct message request = new_request(DATAPATHS, OVS_DP_CMD_NEW, 9);
	uint32_t zero = 0;
	int descriptor = open_socket(0);
	struct ovs_header head = {0};

	memcpy((uint8_t *) &request + request.head.nlmsg_len, &head, sizeof head);
	request.head.nlmsg_len += sizeof head;
	add_attribute(&request, OVS_DP_ATTR_NAME, "dp0", 4);
	add_attribute(&request, OVS_DP_ATTR_UPCALL_PID, &zero, sizeof zero);
	send_request(descriptor, &request);
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), EAGAIN);
	CHECK(!close(descriptor));
}

/* All that was set is set again. */
static void check_same(int descriptor, uint32_t port)
{
	struct message request = new_request(0x3ff, 1, 2);

	check_works(descriptor, 1);
	CHECK(port_of(descriptor) == port);
	add_attribute(&request, 1, &port, sizeof port);
	send_request(descriptor, &request);
	CHECK(recv(descriptor, &reply, sizeof reply, 0) == 36); /* the request is not echoed */
	make_datapath();
	CHECK(events_of(descriptor, 5000) == POLLIN);
	CHECK(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT) > 0);
	CHECK(reply.head.nlmsg_type == DATAPATHS && reply.head.nlmsg_seq == 9);
}

/* The device is there again when something is sent; the loss is told before the answer. */
static void send_and_be_back(int descriptor, uint32_t port)
{
	ask(descriptor, 2);
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), ENOBUFS);
	check_answer(&reply, recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), 2);
	check_same(descriptor, port);
	part_done("back");
}

/* A program that waits by poll(). */
static void polls(void)
{
	int descriptor = open_member(), times = 0;
	struct message request = new_look_up("nlctrl", 1);
	uint32_t port;

	check_works(descriptor, 1);
	port = port_of(descriptor);
	part_done("ready");
	wait_for_test();

	CHECK(events_of(descriptor, 5000));
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), ENODEV);
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), EAGAIN);
	CHECK_FAILS(send(descriptor, &request, request.head.nlmsg_len, 0), ENODEV);
	CHECK(socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC) == -1);
	/* It is woken now and then, and not for ever. */
	for (int i = 0; i < 3; i++) {
		CHECK(events_of(descriptor, 5000));
		CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), EAGAIN);
		CHECK(!events_of(descriptor, 0));
	}
	part_done("gone");
	wait_for_test();

	do {
		CHECK(events_of(descriptor, 5000));
		errno = 0;
		CHECK(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT) == -1);
		CHECK(++times < 30);
	} while (errno == EAGAIN);
	CHECK(errno == ENOBUFS);
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), EAGAIN);
	check_same(descriptor, port);
	part_done("back");
}

/* One that waits by epoll_wait(). */
static void watches(void)
{
	int descriptor = open_member(), set = new_set(descriptor, EPOLLIN), times = 0;
	uint32_t port;

	check_works(descriptor, 1);
	port = port_of(descriptor);
	part_done("ready");
	wait_for_test();
	CHECK(events_of_set(set, (uint32_t) descriptor, 5000));
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), ENODEV);
	CHECK(!events_of_set(set, (uint32_t) descriptor, 0));
	part_done("gone");
	wait_for_test();
	do {
		CHECK(events_of_set(set, (uint32_t) descriptor, 5000));
		errno = 0;
		CHECK(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT) == -1);
		CHECK(++times < 30);
	} while (errno == EAGAIN);
	CHECK(errno == ENOBUFS);
	CHECK(!events_of_set(set, (uint32_t) descriptor, 0));
	check_same(descriptor, port);
	ask(descriptor, 3);
	CHECK(events_of_set(set, (uint32_t) descriptor, 1000) == EPOLLIN);
	part_done("back");
}

/* One that waits in recv(). */
static void waits(void)
{
	int descriptor = open_member();
	uint32_t port;

	check_works(descriptor, 1);
	port = port_of(descriptor);
	part_done("ready");
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, 0), ENODEV);
	part_done("gone");
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, 0), ENOBUFS);
	check_same(descriptor, port);
	part_done("back");
}

/* One that sends. */
static void sends(void)
{
	int descriptor = open_member();
	struct message request = new_look_up("nlctrl", 1);
	uint32_t port;

	check_works(descriptor, 1);
	port = port_of(descriptor);
	part_done("ready");
	wait_for_test();
	CHECK_FAILS(send(descriptor, &request, request.head.nlmsg_len, 0), ENODEV);
	part_done("gone");
	wait_for_test();
	send_and_be_back(descriptor, port);
}

/* One that wants no overruns told: none is, also where all may have been lost. */
static void sends_and_hears_no_overrun(void)
{
	int descriptor = open_member(), on = 1;
	struct message request = new_look_up("nlctrl", 1);
	uint32_t port;

	CHECK(!setsockopt(descriptor, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on));
	check_works(descriptor, 1);
	port = port_of(descriptor);
	part_done("ready");
	wait_for_test();
	CHECK_FAILS(send(descriptor, &request, request.head.nlmsg_len, 0), ENODEV);
	part_done("gone");
	wait_for_test();
	check_works(descriptor, 2);
	check_same(descriptor, port);
	part_done("back");
}

/* One that notices it when it binds. */
static void binds(void)
{
	struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_pid = 12345};
	int descriptor = open_socket(0);

	part_done("ready");
	wait_for_test();
	CHECK_FAILS(bind(descriptor, (struct sockaddr *) &name, sizeof name), ENODEV);
	part_done("gone");
	wait_for_test();
	CHECK(!bind(descriptor, (struct sockaddr *) &name, sizeof name));
	CHECK(port_of(descriptor) == 12345);
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), ENOBUFS);
	check_works(descriptor, 1);
	part_done("back");
}

/* One that asks the kernel meanwhile. */
static void asks_the_kernel(void)
{
	struct message request = new_look_up("nobody", 5);
	int descriptor = open_member();
	uint32_t port;

	check_works(descriptor, 1);
	port = port_of(descriptor);
	part_done("ready");
	wait_for_test();
	CHECK(events_of(descriptor, 5000));
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), ENODEV);
	send_request(descriptor, &request);
	CHECK(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT) > 0);
	CHECK(reply.head.nlmsg_type == NLMSG_ERROR && reply.head.nlmsg_seq == 5);
	part_done("gone");
	wait_for_test();
	send_and_be_back(descriptor, port);
}

/* One that has no descriptor free when it happens, and has some later. */
static void has_no_descriptor_free(void)
{
	int descriptor = open_member();
	struct rlimit limit, before;
	uint32_t port;

	check_works(descriptor, 1);
	port = port_of(descriptor);
	part_done("ready");
	wait_for_test();
	CHECK(!getrlimit(RLIMIT_NOFILE, &before));
	limit = before;
	limit.rlim_cur = 32;
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	while (dup(STDIN_FILENO) >= 0)
		continue;
	CHECK(errno == EMFILE);
	CHECK(events_of(descriptor, 5000));
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), ENODEV);
	CHECK(!setrlimit(RLIMIT_NOFILE, &before));
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), EAGAIN);
	CHECK(!events_of(descriptor, 0)); /* so it does not spin */
	part_done("gone");
	wait_for_test();
	send_and_be_back(descriptor, port);
}

static const struct scenario scenarios[] = {
	{"polls", polls},
	{"watches", watches},
	{"waits", waits},
	{"sends", sends},
	{"sends_and_hears_no_overrun", sends_and_hears_no_overrun},
	{"binds", binds},
	{"asks_the_kernel", asks_the_kernel},
	{"has_no_descriptor_free", has_no_descriptor_free},
};

MAIN(scenarios)
