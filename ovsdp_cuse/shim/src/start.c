/* SPDX-License-Identifier: Apache-2.0 */
/* What happens when the library is loaded, and when the process forks. */
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "device.h"
#include "endpoint.h"
#include "real.h"
#include "say.h"

static sigset_t signals_of_fork;

static void before_fork(void)
{
	sigset_t signals;

	table_lock(&signals);
	signals_of_fork = signals; /* of whoever has the lock, that is */
}

static void after_fork(void)
{
	sigset_t signals = signals_of_fork;

	table_unlock(&signals);
}

static void in_child(void)
{
	table_forked();
	after_fork();
}

/* A descriptor that came over exec(3) is marked, if it was made by this library. */
static void know_inherited(int descriptor)
{
	struct endpoint *endpoint;
	sigset_t signals;
	bool nonblocking;
	uint32_t pid;

	/* Constructors of other libraries may have made some before. */
	if (table_has(descriptor) || table_is_private(descriptor) ||
	    !device_is_marked(descriptor, &nonblocking) || device_get_pid(descriptor, &pid) < 0)
		return;
	table_lock(&signals);
	endpoint = table_of_pid(pid);
	if (endpoint) {
		table_alias(descriptor, endpoint); /* a copy */
	} else if ((endpoint = table_add(descriptor))) {
		endpoint->pid = pid;
		endpoint->type = SOCK_RAW;
		endpoint->nonblocking = nonblocking;
		endpoint->bound = true;
	}
	table_unlock(&signals);
}

static void know_all_inherited(void)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;

	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		char *end;
		long descriptor = strtol(entry->d_name, &end, 10);

		if (end != entry->d_name && !*end && descriptor != dirfd(directory))
			know_inherited((int) descriptor);
	}
	closedir(directory);
}

__attribute__((constructor)) static void start(void)
{
	int errno_before = errno;

	real();
	table_forked();
	say_begin();
	device_begin();
	pthread_atfork(before_fork, after_fork, in_child);
	know_all_inherited();
	errno = errno_before;
}
