/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket's descriptors: copies of them, and what becomes of them in children.
 * These run on the kernel's sockets too.
 */
#include "testing.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#define THREADS 6

static int rounds(void)
{
	const char *wanted = getenv("ROUNDS");

	return wanted ? atoi(wanted) : 200;
}

static uint32_t port_of(int descriptor)
{
	struct sockaddr_nl name;
	socklen_t length = sizeof name;

	CHECK(!getsockname(descriptor, (struct sockaddr *) &name, &length));
	return name.nl_pid;
}

static void copies(void)
{
	int first = open_socket(0), second, other;
	struct message reply;
	char byte;

	check_works(first, 1);
	second = dup(first);
	CHECK(second > first && port_of(first) == port_of(second));
	CHECK(!(fcntl(second, F_GETFD) & FD_CLOEXEC));
	/* They are one: what is asked by one may be read by another. */
	ask(first, 2);
	check_answer(&reply, recv(second, &reply, sizeof reply, 0), 2);
	CHECK(!fcntl(first, F_SETFL, O_NONBLOCK));
	CHECK(fcntl(second, F_GETFL) & O_NONBLOCK);
	CHECK_FAILS(recv(second, &reply, sizeof reply, 0), EAGAIN);
	CHECK(!close(first));
	check_works(second, 3);
	CHECK_FAILS(recv(first, &reply, sizeof reply, 0), EBADF);

	CHECK(fcntl(second, F_DUPFD_CLOEXEC, 100) == 100);
	CHECK(fcntl(100, F_GETFD) & FD_CLOEXEC);
	CHECK(fcntl(second, F_DUPFD, 100) == 101);
	CHECK(dup2(101, 103) == 103 && dup2(103, 103) == 103);
	CHECK(dup3(103, 104, O_CLOEXEC) == 104);
	CHECK_FAILS(dup3(104, 104, 0), EINVAL);
	for (int copy = 100; copy <= 104; copy++) {
		if (copy == 102)
			CHECK_FAILS(send(copy, "", 1, 0), EBADF);
		else
			check_works(copy, (uint32_t) copy);
	}
	/* A socket over a socket, and another file over a socket. */
	other = open_socket(0);
	check_works(other, 4);
	CHECK(port_of(other) != port_of(101));
	CHECK(dup2(other, 101) == 101);
	CHECK(port_of(other) == port_of(101));
	CHECK(dup2(STDIN_FILENO, 103) == 103);
	CHECK_FAILS(recv(103, &reply, sizeof reply, 0), ENOTSOCK);
	CHECK_FAILS(dup2(999, 104), EBADF);
	check_works(104, 5);
	check_works(101, 6);
	/* A number that was a socket's may be any file's. */
	CHECK(!close(second));
	CHECK(open("/dev/zero", O_RDONLY) <= second);
	CHECK(dup2(open("/dev/zero", O_RDONLY), second) == second);
	CHECK(read(second, &byte, 1) == 1 && byte == 0);
	CHECK_FAILS(recv(second, &byte, 1, 0), ENOTSOCK);
}

static void ranges(void)
{
	int low = open_socket(0), high = open_socket(0);

	CHECK(fcntl(high, F_DUPFD, 200) == 200);
	CHECK(!close_range(150, ~0u, 0));
	CHECK_FAILS(send(200, "", 1, 0), EBADF);
	check_works(low, 1);
	check_works(high, 2);
	CHECK_FAILS(close_range(10, 9, 0), EINVAL);
	CHECK_FAILS(close_range((unsigned int) high, (unsigned int) high, 0x100), EINVAL);
	check_works(high, 3);
	closefrom(high);
	CHECK_FAILS(send(high, "", 1, 0), EBADF);
	CHECK_FAILS(close(high), EBADF);
	check_works(low, 3);
	low = open_socket(0);
	check_works(low, 4);
}

static void by_stream(void)
{
	int descriptor = open_socket(0);
	FILE *file = fdopen(descriptor, "r");
	char byte;

	check_works(descriptor, 1);
	CHECK(!fclose(file));
	CHECK(dup2(open("/dev/zero", O_RDONLY), descriptor) == descriptor);
	CHECK_FAILS(recv(descriptor, &byte, 1, 0), ENOTSOCK);
}

static void check_child(pid_t child)
{
	int status;

	CHECK(child > 0);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void forks(void)
{
	int descriptor = open_socket(0), other;
	struct message reply;
	pid_t child;

	check_works(descriptor, 1);
	child = fork();
	if (!child) {
		check_works(descriptor, 2);
		ask(descriptor, 3); /* for the parent to read */
		CHECK(!close(descriptor));
		other = open_socket(0);
		check_works(other, 4);
		_exit(0);
	}
	check_child(child);
	check_answer(&reply, recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), 3);
	child = vfork();
	if (!child) {
		close(descriptor); /* in a table of its own, but in our memory */
		_exit(0);
	}
	check_child(child);
	check_works(descriptor, 5);
	CHECK(!close(descriptor));
}

/* The program again, with these descriptors. */
static void becomes(int descriptor, const char *flags)
{
	char number[12], port[12];

	snprintf(number, sizeof number, "%d", descriptor);
	snprintf(port, sizeof port, "%u", port_of(descriptor));
	execl("/proc/self/exe", "program", "after_exec", number, port, flags, NULL);
	CHECK(!"exec came back");
}

static void execs(void)
{
	int kept = open_socket(0), closed = open_socket(SOCK_CLOEXEC);
	pid_t child;

	check_works(kept, 1);
	check_works(closed, 2);
	CHECK(closed > kept);
	child = fork();
	if (!child)
		becomes(kept, "blocking");
	check_child(child);
	CHECK(!fcntl(kept, F_SETFL, O_NONBLOCK));
	child = fork();
	if (!child)
		becomes(kept, "nonblocking");
	check_child(child);
	check_works(kept, 3);
}

static int after_exec(char **arguments)
{
	int descriptor = atoi(arguments[2]);
	struct message reply;

	CHECK(port_of(descriptor) == strtoul(arguments[3], NULL, 10));
	CHECK_FAILS(fcntl(descriptor + 1, F_GETFD), EBADF);
	check_works(descriptor, 9);
	CHECK(fcntl(descriptor, F_GETFL) ==
	      (O_RDWR | (strcmp(arguments[4], "nonblocking") ? 0 : O_NONBLOCK)));
	CHECK_FAILS(recv(descriptor, &reply, sizeof reply, MSG_DONTWAIT), EAGAIN);
	return 0;
}

static void *converse(void *number)
{
	uint32_t base = (uint32_t) (uintptr_t) number * 100000;

	for (int i = 0; i < rounds(); i++) {
		int descriptor = open_socket(i % 2 ? SOCK_CLOEXEC : 0), copy;

		check_works(descriptor, base + (uint32_t) i);
		copy = dup(descriptor);
		CHECK(!close(descriptor));
		check_works(copy, base + (uint32_t) i);
		CHECK(!close(copy));
	}
	return NULL;
}

static void *fork_often(void *unused)
{
	(void) unused;
	for (int i = 0; i < rounds() / 10; i++) {
		pid_t child = fork();

		if (!child) {
			int descriptor = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);

			_exit(descriptor < 0 || close(descriptor) < 0);
		}
		check_child(child);
	}
	return NULL;
}

static void threads(void)
{
	pthread_t made[THREADS], forking;

	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&made[i], NULL, converse, (void *) i));
	CHECK(!pthread_create(&forking, NULL, fork_often, NULL));
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(made[i], NULL));
	CHECK(!pthread_join(forking, NULL));
}

static int shared_socket;
static _Atomic int answers;

static void *take_answers(void *unused)
{
	struct message reply;

	(void) unused;
	while (answers < THREADS * rounds()) {
		ssize_t length = recv(shared_socket, &reply, sizeof reply, MSG_DONTWAIT);

		if (length < 0) {
			CHECK(errno == EAGAIN);
			sched_yield();
		} else {
			check_answer(&reply, length, reply.head.nlmsg_seq);
			answers++;
		}
	}
	return NULL;
}

static void *put_questions(void *unused)
{
	(void) unused;
	for (int i = 0; i < rounds(); i++)
		ask(shared_socket, (uint32_t) i);
	return NULL;
}

static void shared(void)
{
	int size = 8 << 20;
	pthread_t asking[THREADS], taking[2];

	shared_socket = open_socket(0);
	CHECK(!setsockopt(shared_socket, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size));
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&asking[i], NULL, put_questions, NULL));
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&taking[i], NULL, take_answers, NULL));
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(asking[i], NULL));
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_join(taking[i], NULL));
	CHECK(answers == THREADS * rounds());
}

static void *wait_for_ever(void *descriptor)
{
	struct message reply;

	recv(*(int *) descriptor, &reply, sizeof reply, 0);
	return NULL;
}

static void cancelled(void)
{
	for (int i = 0; i < 20; i++) {
		int descriptor = open_socket(0);
		pthread_t thread;
		void *result;

		CHECK(!pthread_create(&thread, NULL, wait_for_ever, &descriptor));
		CHECK(!pthread_cancel(thread));
		CHECK(!pthread_join(thread, &result));
		CHECK(result == PTHREAD_CANCELED);
		check_works(descriptor, 1);
		CHECK(!close(descriptor));
	}
}

static int signal_socket;
static volatile sig_atomic_t handled;

static void use_socket(int number)
{
	struct message reply;
	int other, errno_before = errno;

	(void) number;
	other = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	if (other < 0 || close(other) < 0)
		_exit(3);
	if (recv(signal_socket, &reply, sizeof reply, MSG_DONTWAIT) >= 0 || errno != EAGAIN)
		_exit(4);
	handled++;
	errno = errno_before;
}

static void *send_signals(void *thread)
{
	for (int i = 0; i < rounds(); i++) {
		CHECK(!pthread_kill(*(pthread_t *) thread, SIGUSR1));
		sched_yield();
	}
	return NULL;
}

/* What a signal's handler does in the middle of anything. */
static void handlers(void)
{
	struct sigaction action = {.sa_handler = use_socket, .sa_flags = SA_RESTART};
	pthread_t mine = pthread_self(), sender;

	signal_socket = open_socket(0);
	CHECK(!sigaction(SIGUSR1, &action, NULL));
	CHECK(!pthread_create(&sender, NULL, send_signals, &mine));
	while (handled < 1) {
		int descriptor = open_socket(0), copy = dup(descriptor);

		check_works(descriptor, 1);
		CHECK(!close(descriptor));
		CHECK(!close(copy));
	}
	CHECK(!pthread_join(sender, NULL));
}

static const struct scenario scenarios[] = {
	{"copies", copies},   {"ranges", ranges},       {"by_stream", by_stream},
	{"forks", forks},     {"execs", execs},         {"threads", threads},
	{"shared", shared},   {"cancelled", cancelled}, {"handlers", handlers},
};

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "after_exec"))
		return after_exec(argv);
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
		if (argc == 1)
			puts(scenarios[i].name);
		if (argc == 2 && !strcmp(argv[1], scenarios[i].name)) {
			scenarios[i].run();
			return 0;
		}
	}
	return argc == 1 ? 0 : 2;
}
