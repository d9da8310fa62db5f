/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Families of the device and of the kernel on one socket. What the kernel has is
 * found out by a raw system call, which no library stands in front of.
 */
#include "testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openvswitch.h>
#include <pthread.h>
#include <sys/syscall.h>

#define FAMILIES 0x400
#define GROUPS 0x10000

/* A family that the kernel has and the device has not, with a group. */
static struct {
	char name[GENL_NAMSIZ];
	uint16_t id;
	uint32_t group;
} theirs;

static uint32_t first_group(const struct message *family)
{
	const uint8_t *groups = find_attribute(family, CTRL_ATTR_MCAST_GROUPS);
	struct nlattr group, part;
	uint32_t number = 0;

	if (!groups)
		return 0;
	memcpy(&group, groups, sizeof group);
	for (size_t offset = NLA_HDRLEN; offset + NLA_HDRLEN < group.nla_len;
	     offset += NLA_ALIGN(part.nla_len)) {
		memcpy(&part, groups + offset, sizeof part);
		CHECK(part.nla_len >= NLA_HDRLEN);
		if (part.nla_type == CTRL_ATTR_MCAST_GRP_ID)
			memcpy(&number, groups + offset + NLA_HDRLEN, sizeof number);
	}
	return number;
}

static uint16_t id_of(const struct message *family)
{
	const uint8_t *id = find_attribute(family, CTRL_ATTR_FAMILY_ID);
	uint16_t number;

	CHECK(id);
	memcpy(&number, id, sizeof number);
	return number;
}

static const char *name_of(const struct message *family)
{
	return (const char *) find_attribute(family, CTRL_ATTR_FAMILY_NAME);
}

static void find_theirs(void)
{
	struct message request = new_request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1), family;
	static uint8_t part[65536];
	int raw = (int) syscall(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	bool is_done = false;

	CHECK(raw >= 0);
	request.head.nlmsg_flags |= NLM_F_DUMP;
	CHECK(syscall(SYS_write, raw, &request, (size_t) request.head.nlmsg_len) > 0);
	while (!is_done) {
		long length = syscall(SYS_read, raw, part, sizeof part);
		struct nlmsghdr head;

		CHECK(length > 0);
		for (long offset = 0; offset < length && !is_done;
		     offset += NLMSG_ALIGN(head.nlmsg_len)) {
			memcpy(&head, part + offset, sizeof head);
			is_done = head.nlmsg_type == NLMSG_DONE;
			if (is_done || head.nlmsg_len > sizeof family)
				continue;
			memcpy(&family, part + offset, head.nlmsg_len);
			if (id_of(&family) == GENL_ID_CTRL ||
			    !strncmp(name_of(&family), "ovs_", 4) || !first_group(&family))
				continue;
			strcpy(theirs.name, name_of(&family));
			theirs.id = id_of(&family);
			theirs.group = first_group(&family);
		}
	}
	CHECK(!syscall(SYS_close, raw));
	CHECK(theirs.id);
}

static struct message look_up(int descriptor, const char *family, uint32_t sequence)
{
	struct message request = new_look_up(family, sequence), reply;
	ssize_t length;

	send_request(descriptor, &request);
	CHECK(events_of(descriptor, 1000) == POLLIN);
	length = recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT);
	CHECK(length == (ssize_t) reply.head.nlmsg_len && reply.head.nlmsg_seq == sequence);
	return reply;
}

static void look_ups(void)
{
	struct sockaddr_nl name;
	socklen_t length = sizeof name;
	int descriptor = open_socket(0);
	struct message family = look_up(descriptor, theirs.name, 1), request;
	uint16_t id = theirs.id + FAMILIES;

	CHECK(!getsockname(descriptor, (struct sockaddr *) &name, &length));
	CHECK(!strcmp(name_of(&family), theirs.name));
	CHECK(id_of(&family) == id);
	CHECK(first_group(&family) == theirs.group + GROUPS);
	CHECK(family.head.nlmsg_pid == name.nl_pid);
	/* By the number that it is shown with, which nlctrl echoes in errors too. */
	request = new_request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 2);
	add_attribute(&request, CTRL_ATTR_FAMILY_ID, &id, sizeof id);
	send_request(descriptor, &request);
	CHECK(recv(descriptor, &family, sizeof family, 0) > 0);
	CHECK(!strcmp(name_of(&family), theirs.name) && id_of(&family) == id);
	/* One that nobody has. */
	family = look_up(descriptor, "no_such_family", 3);
	CHECK(family.head.nlmsg_type == NLMSG_ERROR);
	/* And those of the device. */
	family = look_up(descriptor, OVS_DATAPATH_FAMILY, 4);
	CHECK(id_of(&family) == 0x12 && family.head.nlmsg_pid == name.nl_pid);
	check_works(descriptor, 5);
	CHECK(!close(descriptor));
}

static void requests(void)
{
	int descriptor = open_socket(0);
	struct message request = new_request(theirs.id + FAMILIES, 250, 6);
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
	} answer;

	send_request(descriptor, &request);
	CHECK(waiting(descriptor) >= (ssize_t) sizeof answer);
	CHECK(recv(descriptor, &answer, sizeof answer, MSG_PEEK) == sizeof answer);
	memset(&answer, 0, sizeof answer);
	CHECK(recv(descriptor, &answer, sizeof answer, 0) == sizeof answer);
	CHECK(answer.head.nlmsg_type == NLMSG_ERROR && answer.error.error == -EOPNOTSUPP);
	CHECK(answer.error.msg.nlmsg_type == theirs.id + FAMILIES);
	CHECK(answer.error.msg.nlmsg_seq == 6);
	CHECK_FAILS(recv(descriptor, &answer, sizeof answer, MSG_DONTWAIT), EAGAIN);
	/* What the kernel has said is there still when the device is asked. */
	send_request(descriptor, &request);
	check_works(descriptor, 7);
	CHECK(recv(descriptor, &answer, sizeof answer, MSG_DONTWAIT) == sizeof answer);
	CHECK(answer.head.nlmsg_seq == 6);
	CHECK(!close(descriptor));
}

static void subscriptions(void)
{
	int descriptor = open_socket(0), group = (int) theirs.group + GROUPS, device = 102;

	CHECK(!setsockopt(descriptor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
	CHECK(!setsockopt(descriptor, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group));
	CHECK(!setsockopt(descriptor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &device,
			  sizeof device));
	device = 999;
	CHECK_FAILS(setsockopt(descriptor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &device,
			       sizeof device),
		    EINVAL);
	check_works(descriptor, 1);
	CHECK(!close(descriptor));
}

/* The descriptor becomes another file, and the sets that wait for it know. */
static void watches(void)
{
	int descriptor = open_socket(0), closed = new_set(descriptor, EPOLLIN);
	int set = new_set(descriptor, EPOLLIN), edges = new_set(descriptor, EPOLLIN | EPOLLET);
	struct message request = new_look_up(theirs.name, 1), reply;

	CHECK(!close(closed));
	for (int i = 0; i < 3; i++) {
		send_request(descriptor, &request);
		CHECK(events_of_set(set, (uint32_t) descriptor, 1000) == EPOLLIN);
		CHECK(events_of_set(edges, (uint32_t) descriptor, 1000) == EPOLLIN);
		CHECK(!events_of_set(edges, (uint32_t) descriptor, 0));
		CHECK(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT) > 0);
		CHECK(!events_of_set(set, (uint32_t) descriptor, 0));
		ask(descriptor, 2);
		CHECK(events_of_set(set, (uint32_t) descriptor, 1000) == EPOLLIN);
		CHECK(events_of_set(edges, (uint32_t) descriptor, 1000) == EPOLLIN);
		check_answer(&reply, recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), 2);
		CHECK(!events_of_set(set, (uint32_t) descriptor, 0));
	}
	CHECK(!epoll_ctl(set, EPOLL_CTL_DEL, descriptor, NULL));
	send_request(descriptor, &request);
	CHECK(!events_of_set(set, (uint32_t) descriptor, 0));
	CHECK(!close(descriptor));
	CHECK(!close(set));
	CHECK(!close(edges));
}

static int count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	CHECK(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void descriptors(void)
{
	int before = count_descriptors();
	int first = open_socket(SOCK_CLOEXEC), second = dup(first);
	struct message family;

	look_up(first, theirs.name, 1);
	CHECK(fcntl(first, F_GETFD) & FD_CLOEXEC);
	CHECK(!(fcntl(second, F_GETFD) & FD_CLOEXEC));
	family = look_up(second, theirs.name, 2);
	CHECK(!strcmp(name_of(&family), theirs.name));
	check_works(second, 3);
	CHECK(fcntl(first, F_GETFD) & FD_CLOEXEC);
	/* Nobody can close what nobody knows of. */
	for (int other = second + 1; other < 2048; other++)
		CHECK_FAILS(close(other), EBADF);
	CHECK(!close_range((unsigned int) second + 1, ~0u, 0));
	family = look_up(first, theirs.name, 4);
	CHECK(!strcmp(name_of(&family), theirs.name));
	check_works(first, 5);
	CHECK(!close(first));
	check_works(second, 6);
	CHECK(!close(second));
	CHECK(count_descriptors() == before);
}

static int shared;

static void *ask_the_kernel(void *unused)
{
	struct message request = new_look_up(theirs.name, 9);

	(void) unused;
	send_request(shared, &request);
	return NULL;
}

/* One thread waits for the device, and another one asks the kernel. */
static void waiters(void)
{
	struct message family;
	pthread_t thread;

	for (int i = 0; i < 20; i++) {
		shared = open_socket(0);
		CHECK(!pthread_create(&thread, NULL, ask_the_kernel, NULL));
		CHECK(recv(shared, &family, sizeof family, 0) > 0);
		CHECK(!strcmp(name_of(&family), theirs.name));
		CHECK(!pthread_join(thread, NULL));
		CHECK(!close(shared));
	}
}

/* A program may forget where the device is. */
static void environment(void)
{
	CHECK(!clearenv());
	check_works(open_socket(0), 1);
}

static const struct scenario scenarios[] = {
	{"look_ups", look_ups},
	{"requests", requests},
	{"subscriptions", subscriptions},
	{"watches", watches},
	{"descriptors", descriptors},
	{"waiters", waiters},
	{"environment", environment},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
		if (argc == 1)
			puts(scenarios[i].name);
		if (argc == 2 && !strcmp(argv[1], scenarios[i].name)) {
			find_theirs();
			scenarios[i].run();
			return 0;
		}
	}
	return argc == 1 ? 0 : 2;
}
