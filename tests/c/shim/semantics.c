/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program may rely on of a generic netlink socket. All of it is asked of
 * "nlctrl", which the kernel has too: these run on its sockets as well, which
 * shows that what they want is so.
 */
#include "testing.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

static void addresses(void)
{
	int descriptor = open_socket(0);
	struct sockaddr_nl address = {.nl_family = AF_NETLINK}, name;
	socklen_t length = sizeof name;
	struct message reply;

	CHECK(!getsockname(descriptor, (struct sockaddr *) &name, &length));
	CHECK(length == sizeof name && name.nl_family == AF_NETLINK && name.nl_pid == 0);
	CHECK(!bind(descriptor, (struct sockaddr *) &address, sizeof address));
	CHECK(!getsockname(descriptor, (struct sockaddr *) &name, &length));
	CHECK(name.nl_pid != 0 && name.nl_groups == 0);
	CHECK(!bind(descriptor, (struct sockaddr *) &name, sizeof name));
	CHECK(!connect(descriptor, (struct sockaddr *) &address, sizeof address));
	memset(&address, 0x55, sizeof address);
	CHECK(!getpeername(descriptor, (struct sockaddr *) &address, &length));
	CHECK(address.nl_family == AF_NETLINK && address.nl_pid == 0 && address.nl_groups == 0);

	ask(descriptor, 7);
	memset(&address, 0x55, sizeof address);
	length = sizeof address;
	check_answer(&reply,
		     recvfrom(descriptor, &reply, sizeof reply, 0, (struct sockaddr *) &address,
			      &length),
		     7);
	CHECK(reply.head.nlmsg_pid == name.nl_pid);
	CHECK(length == sizeof address && address.nl_family == AF_NETLINK);
	CHECK(address.nl_pid == 0 && address.nl_groups == 0);

	length = 4;
	CHECK(!getsockname(descriptor, (struct sockaddr *) &name, &length));
	CHECK(length == sizeof name);
	CHECK_FAILS(bind(descriptor, (struct sockaddr *) &address, 4), EINVAL);
	address.nl_family = AF_INET;
	CHECK_FAILS(bind(descriptor, (struct sockaddr *) &address, sizeof address), EINVAL);
	CHECK_FAILS(connect(descriptor, (struct sockaddr *) &address, sizeof address), EINVAL);
	CHECK_FAILS(listen(descriptor, 1), EOPNOTSUPP);
	CHECK_FAILS(accept(descriptor, NULL, NULL), EOPNOTSUPP);
	CHECK_FAILS(shutdown(descriptor, SHUT_RDWR), EOPNOTSUPP);
	CHECK(!close(descriptor));
}

static void nobody_there(void)
{
	int descriptor = open_socket(0);
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_pid = 0x7fffff01};
	struct message request = new_look_up("nlctrl", 1);

	CHECK_FAILS(sendto(descriptor, &request, request.head.nlmsg_len, 0,
			   (struct sockaddr *) &address, sizeof address),
		    ECONNREFUSED);
	CHECK(!connect(descriptor, (struct sockaddr *) &address, sizeof address));
	CHECK_FAILS(send(descriptor, &request, request.head.nlmsg_len, 0), ECONNREFUSED);
	address.nl_pid = 0;
	CHECK(!connect(descriptor, (struct sockaddr *) &address, sizeof address));
	CHECK(sendto(descriptor, &request, request.head.nlmsg_len, 0, (struct sockaddr *) &address,
		     sizeof address) > 0);
	CHECK(waiting(descriptor) > 0);
	CHECK_FAILS(send(descriptor, &request, request.head.nlmsg_len, MSG_OOB), EOPNOTSUPP);
	CHECK(!close(descriptor));
}

static void chosen_port(void)
{
	int first = open_socket(0), second = open_socket(0);
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_pid = 0x40000000u + getpid()};
	struct sockaddr_nl name;
	socklen_t length = sizeof name;
	struct message reply;

	CHECK(!bind(first, (struct sockaddr *) &address, sizeof address));
	CHECK(!getsockname(first, (struct sockaddr *) &name, &length));
	CHECK(name.nl_pid == address.nl_pid);
	ask(first, 1);
	check_answer(&reply, recv(first, &reply, sizeof reply, 0), 1);
	CHECK(reply.head.nlmsg_pid == address.nl_pid);
	CHECK_FAILS(bind(second, (struct sockaddr *) &address, sizeof address), EADDRINUSE);
	address.nl_pid++;
	CHECK_FAILS(bind(first, (struct sockaddr *) &address, sizeof address), EINVAL);
	CHECK(!bind(second, (struct sockaddr *) &address, sizeof address));
	CHECK(!close(first));
	CHECK(!close(second));
}

static void truncation(void)
{
	int descriptor = open_socket(0);
	struct message reply = {0};
	struct iovec vectors[] = {{&reply, 10}, {(char *) &reply + 10, 30}};
	struct msghdr message = {.msg_iov = vectors, .msg_iovlen = 2};
	ssize_t length;

	ask(descriptor, 1);
	ask(descriptor, 2);
	ask(descriptor, 3);
	ask(descriptor, 4);
	length = waiting(descriptor);
	CHECK(length > 40);
	/* Looking takes nothing. */
	CHECK(recv(descriptor, &reply, 20, MSG_PEEK) == 20);
	CHECK(reply.head.nlmsg_seq == 1 && reply.head.nlmsg_len == length);
	CHECK(recvmsg(descriptor, &message, MSG_PEEK) == 40);
	CHECK(message.msg_flags == MSG_TRUNC);
	check_answer(&reply, recv(descriptor, &reply, sizeof reply, MSG_PEEK), 1);
	/* What there is no room for is lost. */
	memset(&reply, 0, sizeof reply);
	message.msg_flags = 0x55;
	CHECK(recvmsg(descriptor, &message, 0) == 40);
	CHECK(message.msg_flags == MSG_TRUNC);
	CHECK(reply.head.nlmsg_seq == 1 && reply.head.nlmsg_len == length);
	CHECK(recv(descriptor, &reply, 20, MSG_TRUNC) == length);
	CHECK(reply.head.nlmsg_seq == 2);
	CHECK(recv(descriptor, NULL, 0, 0) == 0);
	/* The next has room. */
	vectors[1].iov_len = sizeof reply - 10;
	check_answer(&reply, recvmsg(descriptor, &message, 0), 4);
	CHECK(message.msg_flags == 0);
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), EAGAIN);
	CHECK_FAILS(waiting(descriptor), EAGAIN);
	CHECK(!close(descriptor));
}

static void batches(void)
{
	int descriptor = open_socket(0);
	struct message requests[3], replies[4];
	struct iovec in[3], out[4];
	struct mmsghdr sent[3], received[4];
	struct msghdr one = {.msg_iov = in, .msg_iovlen = 3};

	memset(sent, 0, sizeof sent);
	memset(received, 0, sizeof received);
	for (uint32_t i = 0; i < 4; i++) {
		out[i] = (struct iovec) {&replies[i], sizeof replies[i]};
		received[i].msg_hdr = (struct msghdr) {.msg_iov = &out[i], .msg_iovlen = 1};
		if (i == 3)
			break;
		requests[i] = new_look_up("nlctrl", i);
		in[i] = (struct iovec) {&requests[i], NLMSG_ALIGN(requests[i].head.nlmsg_len)};
		sent[i].msg_hdr = (struct msghdr) {.msg_iov = &in[i], .msg_iovlen = 1};
	}
	CHECK(sendmsg(descriptor, &one, 0) ==
	      (ssize_t) (in[0].iov_len + in[1].iov_len + in[2].iov_len));
	CHECK(recvmmsg(descriptor, received, 4, MSG_WAITFORONE, NULL) == 3);
	for (uint32_t i = 0; i < 3; i++)
		check_answer(&replies[i], received[i].msg_len, i);
	CHECK(sendmmsg(descriptor, sent, 3, 0) == 3);
	CHECK(sent[2].msg_len == in[2].iov_len);
	CHECK(recvmmsg(descriptor, received, 2, 0, NULL) == 2);
	check_answer(&replies[1], received[1].msg_len, 1);
	CHECK(recvmmsg(descriptor, received, 4, MSG_DONTWAIT, NULL) == 1);
	check_answer(&replies[0], received[0].msg_len, 2);
	CHECK_FAILS(recvmmsg(descriptor, received, 4, MSG_DONTWAIT, NULL), EAGAIN);
	CHECK(writev(descriptor, in, 2) == (ssize_t) (in[0].iov_len + in[1].iov_len));
	CHECK(readv(descriptor, out, 1) > 0);
	check_answer(&replies[0], read(descriptor, &replies[0], sizeof replies[0]), 1);
	CHECK(write(descriptor, &requests[2], requests[2].head.nlmsg_len) > 0);
	CHECK(read(descriptor, &replies[0], 20) == 20);
	CHECK_FAILS(recv(descriptor, &replies[0], 20, MSG_DONTWAIT), EAGAIN);
	CHECK(!close(descriptor));
}

static void many_buffers(void)
{
	int descriptor = open_socket(0);
	static const uint8_t ballast[1000];
	static struct message requests[40], reply;
	struct iovec in[40];
	struct msghdr one = {.msg_iov = in, .msg_iovlen = 40};

	for (uint32_t i = 0; i < 40; i++) {
		requests[i] = new_look_up("nlctrl", i);
		/* With much that nobody looks at, so that all of it is long. */
		add_attribute(&requests[i], 99, ballast, sizeof ballast);
		in[i] = (struct iovec) {&requests[i], NLMSG_ALIGN(requests[i].head.nlmsg_len)};
	}
	CHECK(sendmsg(descriptor, &one, 0) == (ssize_t) (40 * in[0].iov_len));
	for (uint32_t i = 0; i < 40; i++)
		check_answer(&reply, recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), i);
	CHECK(!close(descriptor));
}

static void polling(void)
{
	int descriptor = open_socket(0);
	struct pollfd file = {.fd = descriptor, .events = POLLIN | POLLOUT};
	struct message reply;

	CHECK(poll(&file, 1, 0) == 1 && file.revents == POLLOUT);
	ask(descriptor, 5);
	CHECK(poll(&file, 1, -1) == 1 && file.revents == (POLLIN | POLLOUT));
	check_answer(&reply, recv(descriptor, &reply, sizeof reply, 0), 5);
	CHECK(poll(&file, 1, 0) == 1 && file.revents == POLLOUT);
	CHECK(!close(descriptor));
}

static void watching(void)
{
	int descriptor = open_socket(0), set = new_set(descriptor, EPOLLIN);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = 1000};
	struct message reply;

	CHECK_FAILS(epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event), EEXIST);
	CHECK(!events_of_set(set, 0, 0));
	ask(descriptor, 1);
	CHECK(events_of_set(set, (uint32_t) descriptor, -1) == EPOLLIN);
	CHECK(events_of_set(set, (uint32_t) descriptor, -1) == EPOLLIN);
	CHECK(!epoll_ctl(set, EPOLL_CTL_MOD, descriptor, &event));
	CHECK(events_of_set(set, 1000, -1) == EPOLLIN);
	CHECK(!events_of_set(set, 1000, 0));
	check_answer(&reply, recv(descriptor, &reply, sizeof reply, 0), 1);
	ask(descriptor, 2);
	CHECK(events_of_set(set, 1000, -1) == EPOLLIN);
	CHECK(!epoll_ctl(set, EPOLL_CTL_DEL, descriptor, &event));
	CHECK_FAILS(epoll_ctl(set, EPOLL_CTL_DEL, descriptor, &event), ENOENT);
	CHECK_FAILS(epoll_ctl(set, EPOLL_CTL_MOD, descriptor, &event), ENOENT);
	CHECK(!events_of_set(set, 0, 0));
	CHECK(!close(descriptor));
	CHECK(!close(set));
}

static int64_t milliseconds(void)
{
	struct timespec now;

	CHECK(!clock_gettime(CLOCK_MONOTONIC, &now));
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void not_blocking(void)
{
	int descriptor = open_socket(SOCK_NONBLOCK);
	struct timeval timeout = {.tv_usec = 50000}, got;
	socklen_t length = sizeof got;
	struct message reply;
	int64_t start;
	int on = 1, off = 0;

	CHECK(fcntl(descriptor, F_GETFL) == (O_RDWR | O_NONBLOCK));
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, 0), EAGAIN);
	CHECK_FAILS(read(descriptor, &reply, sizeof reply), EAGAIN);
	CHECK(!fcntl(descriptor, F_SETFL, 0));
	CHECK(fcntl(descriptor, F_GETFL) == O_RDWR);
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), EAGAIN);
	CHECK(!ioctl(descriptor, FIONBIO, &on));
	CHECK(fcntl(descriptor, F_GETFL) == (O_RDWR | O_NONBLOCK));
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, 0), EAGAIN);
	CHECK(!ioctl(descriptor, FIONBIO, &off));

	CHECK(!setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
	CHECK(!getsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &got, &length));
	CHECK(length == sizeof got && got.tv_sec == 0 && got.tv_usec >= 50000);
	start = milliseconds();
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, 0), EAGAIN);
	CHECK(milliseconds() - start >= 49);
	ask(descriptor, 1);
	check_answer(&reply, recv(descriptor, &reply, sizeof reply, 0), 1);
	timeout.tv_usec = 1000000;
	CHECK_FAILS(setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout),
		    EDOM);
	CHECK_FAILS(setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, 4), EINVAL);
	CHECK(!close(descriptor));
}

static void on_signal(int number)
{
	(void) number;
}

static void interrupted(void)
{
	int descriptor = open_socket(0);
	struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */
	struct itimerval timer = {.it_value = {.tv_usec = 20000}, .it_interval = {.tv_usec = 20000}};
	struct itimerval none = {{0}, {0}};
	struct message reply;

	CHECK(!sigaction(SIGALRM, &action, NULL));
	CHECK(!setitimer(ITIMER_REAL, &timer, NULL));
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, 0), EINTR);
	CHECK_FAILS(read(descriptor, &reply, sizeof reply), EINTR);
	CHECK(!setitimer(ITIMER_REAL, &none, NULL));
	check_works(descriptor, 3);
	CHECK(!close(descriptor));
}

static void *ask_later(void *descriptor)
{
	ask(*(int *) descriptor, 77);
	return NULL;
}

static void blocking(void)
{
	int descriptor = open_socket(0);
	struct message reply;
	pthread_t thread;

	for (int i = 0; i < 20; i++) {
		CHECK(!pthread_create(&thread, NULL, ask_later, &descriptor));
		check_answer(&reply, recv(descriptor, &reply, sizeof reply, 0), 77);
		CHECK(!pthread_join(thread, NULL));
	}
	CHECK(!close(descriptor));
}

static void check_option(int descriptor, int level, int name, int value)
{
	socklen_t length = sizeof value;
	int got = -1;

	CHECK(!getsockopt(descriptor, level, name, &got, &length));
	CHECK(length == sizeof got);
	CHECK(got == value);
}

static void options(void)
{
	static const int switches[] = {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_NO_ENOBUFS,
				       NETLINK_BROADCAST_ERROR, NETLINK_GET_STRICT_CHK};
	int descriptor = open_socket(0);
	int on = 1, size = 20000, got;
	socklen_t length = sizeof got;

	check_option(descriptor, SOL_SOCKET, SO_TYPE, SOCK_RAW);
	check_option(descriptor, SOL_SOCKET, SO_DOMAIN, AF_NETLINK);
	check_option(descriptor, SOL_SOCKET, SO_PROTOCOL, NETLINK_GENERIC);
	check_option(descriptor, SOL_SOCKET, SO_ERROR, 0);
	check_option(descriptor, SOL_SOCKET, SO_ACCEPTCONN, 0);
	for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
		check_option(descriptor, SOL_NETLINK, switches[i], 0);
		CHECK(!setsockopt(descriptor, SOL_NETLINK, switches[i], &on, sizeof on));
		check_option(descriptor, SOL_NETLINK, switches[i], 1);
	}
	CHECK(!getsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &got, &length));
	CHECK(got > 4096);
	CHECK(!setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
	check_option(descriptor, SOL_SOCKET, SO_RCVBUF, 2 * size);
	CHECK(!setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
	check_option(descriptor, SOL_SOCKET, SO_SNDBUF, 2 * size);
	size = 4 << 20;
	CHECK(!setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size));
	check_option(descriptor, SOL_SOCKET, SO_RCVBUF, 2 * size);
	CHECK_FAILS(setsockopt(descriptor, SOL_NETLINK, 77, &on, sizeof on), ENOPROTOOPT);
	CHECK_FAILS(setsockopt(descriptor, SOL_SOCKET, 777, &on, sizeof on), ENOPROTOOPT);
	CHECK_FAILS(getsockopt(descriptor, SOL_NETLINK, 77, &got, &length), ENOPROTOOPT);
	check_works(descriptor, 1);
	CHECK(!close(descriptor));
	descriptor = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_GENERIC);
	check_option(descriptor, SOL_SOCKET, SO_TYPE, SOCK_DGRAM);
	CHECK(!close(descriptor));
}

static void memberships(void)
{
	int descriptor = open_socket(0), group = 16; /* "notify", of nlctrl */
	struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = 1 << 15};
	socklen_t length = sizeof name;
	uint32_t groups[32];

	CHECK(!setsockopt(descriptor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
	memset(groups, 0, sizeof groups);
	length = sizeof groups;
	CHECK(!getsockopt(descriptor, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &length));
	CHECK(length >= 4 && length % 4 == 0);
	CHECK(groups[0] == 1u << 15);
	CHECK(!setsockopt(descriptor, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group));
	length = sizeof name;
	CHECK(!bind(descriptor, (struct sockaddr *) &name, sizeof name));
	CHECK(!getsockname(descriptor, (struct sockaddr *) &name, &length));
	CHECK(name.nl_groups == 1u << 15);
	group = -1;
	CHECK_FAILS(setsockopt(descriptor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
			       sizeof group),
		    EINVAL);
	CHECK(!close(descriptor));
}

static void credentials(void)
{
	int descriptor = open_socket(0), on = 1;
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct ucred sender;
	struct message reply;
	struct iovec vector = {&reply, sizeof reply};
	struct msghdr message = {.msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control};

	ask(descriptor, 1);
	check_answer(&reply, recvmsg(descriptor, &message, 0), 1);
	CHECK(message.msg_controllen == 0);
	CHECK(!setsockopt(descriptor, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	message.msg_controllen = sizeof control;
	ask(descriptor, 2);
	check_answer(&reply, recvmsg(descriptor, &message, 0), 2);
	CHECK(message.msg_controllen == sizeof control);
	CHECK(control.head.cmsg_type == SCM_CREDENTIALS);
	memcpy(&sender, CMSG_DATA(&control.head), sizeof sender);
	CHECK(sender.pid == 0 && sender.uid == 0 && sender.gid == 0);
	CHECK(!close(descriptor));
}

static void errors(void)
{
	int descriptor = open_socket(0);
	struct message request = new_request(0x3ff, 1, 9), reply;
	struct iovec nothing = {&reply, 0};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
	} answer;

	send_request(descriptor, &request);
	CHECK(recv(descriptor, &answer, sizeof answer, 0) >= (ssize_t) sizeof answer);
	CHECK(answer.head.nlmsg_type == NLMSG_ERROR && answer.head.nlmsg_seq == 9);
	CHECK(answer.error.error == -ENOENT && answer.error.msg.nlmsg_type == 0x3ff);
	CHECK_FAILS(send(descriptor, &request, 0, 0), ENODATA);
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_OOB), EOPNOTSUPP);
	/* What is no message is swallowed. */
	CHECK(send(descriptor, "abc", 3, 0) == 3);
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), EAGAIN);
	ask(descriptor, 8);
	CHECK(read(descriptor, &reply, 0) == 0);
	CHECK(readv(descriptor, &nothing, 1) == 0);
	CHECK(writev(descriptor, &nothing, 1) == 0);
	check_answer(&reply, recv(descriptor, &reply, sizeof reply, 0), 8);
	/* Success leaves errno alone. */
	errno = 1234;
	check_works(descriptor, 10);
	CHECK(errno == 1234);
	CHECK(!close(descriptor));
	CHECK(errno == 1234);
}

static const struct scenario scenarios[] = {
	{"addresses", addresses},
	{"nobody_there", nobody_there},
	{"chosen_port", chosen_port},
	{"truncation", truncation},
	{"batches", batches},
	{"many_buffers", many_buffers},
	{"polling", polling},
	{"watching", watching},
	{"not_blocking", not_blocking},
	{"interrupted", interrupted},
	{"blocking", blocking},
	{"options", options},
	{"memberships", memberships},
	{"credentials", credentials},
	{"errors", errors},
};

MAIN(scenarios)
