/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short TCP connections, each from a port that none has had before it.
 *
 *   connections serve PORT                                accepts, sends a byte, closes
 *   connections make ADDRESS PORT SECONDS COUNT AT-ONCE   prints how many it had served
 *
 * It ends after SECONDS, or COUNT connections, whichever comes first.
 * A connection is done when its byte is there; the client resets it then, so that
 * nothing of it stays on either side. No two of one run have the same 5-tuple, and where
 * each run has a PORT of its own, no two at all.
 */
#define _GNU_SOURCE
#include "message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_PORT = 1024, MOST = 65536 - FIRST_PORT, MOST_AT_ONCE = 256, BACKLOG = 1024 };

static struct sockaddr_in address_of(const char *address, unsigned int port)
{
	struct sockaddr_in found = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, address, &found.sin_addr) != 1)
		die(address);
	return found;
}

static void serve(unsigned int port)
{
	const struct sockaddr_in here = address_of("0.0.0.0", port);
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || bind(listener, (const void *)&here, sizeof here) < 0 ||
	    listen(listener, BACKLOG) < 0)
		die("listen");
	for (;;) {
		const int fd = accept(listener, NULL, NULL);

		if (fd < 0 && errno != ECONNABORTED)
			die("accept");
		if (fd < 0)
			continue;
		/* the client may have given up at the end of its time */
		if (send(fd, "", 1, MSG_NOSIGNAL) < 0 && errno != ECONNRESET && errno != EPIPE)
			die("send");
		close(fd);
	}
}

/* Begins a connection from a port; `poll_fd` will tell of its byte. */
static void begin(int poll_fd, const struct sockaddr_in *there, unsigned int port)
{
	const struct sockaddr_in here = address_of("0.0.0.0", port);
	const struct linger reset = { .l_onoff = 1 };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct epoll_event wanted = { .events = EPOLLIN, .data.fd = fd };

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) < 0 ||
	    bind(fd, (const void *)&here, sizeof here) < 0)
		die("bind");
	if (connect(fd, (const void *)there, sizeof *there) < 0 && errno != EINPROGRESS)
		die("connect");
	if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &wanted) < 0)
		die("epoll_ctl");
}

static void make(const struct sockaddr_in *there, uint64_t for_ns, unsigned int most,
		 unsigned int at_once)
{
	const uint64_t begin_ns = now_ns(), until_ns = begin_ns + for_ns;
	const int poll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ready[MOST_AT_ONCE];
	unsigned int begun = 0, done = 0;
	uint64_t end_ns = begin_ns;
	int count, i;
	char byte;

	if (poll_fd < 0)
		die("epoll_create1");
	while (begun < at_once && begun < most)
		begin(poll_fd, there, FIRST_PORT + begun++);
	while (done < most && end_ns < until_ns) {
		count = epoll_wait(poll_fd, ready, MOST_AT_ONCE,
				   (int)((until_ns - end_ns) / 1000000u) + 1);
		if (count < 0)
			die("epoll_wait");
		for (i = 0; i < count; i++) {
			if (read(ready[i].data.fd, &byte, 1) != 1)
				die("a connection failed");
			close(ready[i].data.fd);
			done++;
			if (begun < most)
				begin(poll_fd, there, FIRST_PORT + begun++);
		}
		end_ns = now_ns();
	}
	printf("{\"connections\": %u, \"ns\": %ju}\n", done, (uintmax_t)(end_ns - begin_ns));
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve((unsigned int)atoi(argv[2]));
	if (argc == 7 && !strcmp(argv[1], "make")) {
		const struct sockaddr_in there = address_of(argv[2], (unsigned int)atoi(argv[3]));
		const unsigned int most = (unsigned int)atoi(argv[5]);
		const unsigned int at_once = (unsigned int)atoi(argv[6]);

		if (most <= MOST && at_once <= MOST_AT_ONCE) {
			make(&there, (uint64_t)(atof(argv[4]) * 1e9), most, at_once);
			return 0;
		}
	}
	fprintf(stderr, "usage: %s serve PORT | make ADDRESS PORT SECONDS COUNT AT-ONCE\n",
		argv[0]);
	return 2;
}
