/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with descriptors of any kind: close(2), dup(2), epoll_ctl(2),
 * fcntl(2), ioctl(2). */
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "device.h"
#include "watches.h"

#define SOCKET_IOCTLS 0x89 /* the type of SIOCGIFNAME and its like */

static int close_known(int descriptor)
{
	struct endpoint *endpoint;
	sigset_t signals;
	long result;
	int error;

	/* The table first: the number may be another thread's at once. */
	table_lock(&signals);
	endpoint = table_take(descriptor);
	if (endpoint)
		watches_forget(endpoint, descriptor);
	result = syscall(SYS_close, descriptor);
	error = result < 0 ? -errno : 0;
	table_unlock(&signals);
	if (endpoint)
		endpoint_put(endpoint);
	return error;
}

INTERCEPTED int close(int descriptor)
{
	int errno_before = errno;

	if (table_is_private(descriptor))
		return (int) call_result(-EBADF, 0);
	if (!table_has(descriptor) || !table_is_ours())
		return real()->close(descriptor);
	return (int) call_result(close_known(descriptor), errno_before);
}

INTERCEPTED int fclose(FILE *file)
{
	int errno_before = errno;
	int descriptor = fileno(file);
	struct endpoint *endpoint;
	sigset_t signals;

	errno = errno_before; /* not every file has a descriptor */
	if (!table_has(descriptor) || !table_is_ours())
		return real()->fclose(file);
	table_lock(&signals);
	endpoint = table_take(descriptor);
	if (endpoint)
		watches_forget(endpoint, descriptor);
	table_unlock(&signals);
	if (endpoint)
		endpoint_put(endpoint);
	return real()->fclose(file);
}

/* Close from first to last, but for what the program does not know of. */
static int close_all(unsigned int first, unsigned int last, unsigned int flags)
{
	unsigned int highest = (unsigned int) (table_highest() + 1);
	unsigned int start = first;
	sigset_t signals;
	long result = 0;

	if (first > last)
		return -EINVAL;
	if (flags & ~CLOSE_RANGE_UNSHARE || !table_is_ours() || !highest)
		return syscall(SYS_close_range, first, last, flags) < 0 ? -errno : 0;
	table_lock(&signals);
	for (unsigned int i = first; i <= last && i < highest; i++) {
		struct endpoint *endpoint = table_take((int) i);

		if (!endpoint)
			continue;
		watches_forget(endpoint, (int) i);
		endpoint_put(endpoint);
	}
	for (unsigned int i = first; i <= last && i < highest && result >= 0; i++) {
		if (!table_is_private((int) i))
			continue;
		if (i > start)
			result = syscall(SYS_close_range, start, i - 1, flags);
		start = i + 1;
	}
	if (result >= 0 && start <= last)
		result = syscall(SYS_close_range, start, last, flags);
	if (result < 0)
		result = -errno;
	table_unlock(&signals);
	return (int) result;
}

INTERCEPTED int close_range(unsigned int first, unsigned int last, int flags)
{
	int errno_before = errno;

	return (int) call_result(close_all(first, last, (unsigned int) flags), errno_before);
}

INTERCEPTED void closefrom(int first)
{
	int errno_before = errno;

	close_all(first < 0 ? 0 : (unsigned int) first, ~0u, 0);
	errno = errno_before;
}

/* A duplicate of the lowest number from `lowest` up. */
static int duplicate_known(struct endpoint *endpoint, int descriptor, int command, int lowest)
{
	sigset_t signals;
	int duplicate;

	table_lock(&signals);
	duplicate = (int) syscall(SYS_fcntl, descriptor, command, lowest);
	if (duplicate < 0) {
		duplicate = -errno;
	} else if (!table_alias(duplicate, endpoint)) {
		syscall(SYS_close, duplicate);
		duplicate = -EMFILE;
	}
	table_unlock(&signals);
	return duplicate;
}

INTERCEPTED int dup(int descriptor)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint || !table_is_ours())
		return real()->dup(descriptor);
	return (int) call_result(duplicate_known(endpoint, descriptor, F_DUPFD, 0), errno_before);
}

/* dup3(2) where either descriptor, or both, may be an endpoint. */
static int duplicate_over(struct endpoint *endpoint, int descriptor, int target, int flags)
{
	struct endpoint *before;
	sigset_t signals;
	long result;
	int error = 0;

	if (table_is_private(target))
		return -EBUSY;
	table_lock(&signals);
	before = table_take(target);
	result = syscall(SYS_dup3, descriptor, target, flags);
	if (result < 0)
		error = -errno;
	if (!error && before)
		watches_forget(before, target);
	if (error && before) { /* it is what it was */
		table_alias(target, before);
	} else if (!error && endpoint && !table_alias(target, endpoint)) {
		syscall(SYS_close, target);
		error = -EBADF;
	}
	table_unlock(&signals);
	if (before)
		endpoint_put(before);
	return error ? error : target;
}

INTERCEPTED int dup3(int descriptor, int target, int flags)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if ((!endpoint && !table_has(target) && !table_is_private(target)) || !table_is_ours())
		return real()->dup3(descriptor, target, flags);
	if (descriptor == target)
		return (int) call_result(-EINVAL, 0);
	return (int) call_result(duplicate_over(endpoint, descriptor, target, flags),
				 errno_before);
}

INTERCEPTED int dup2(int descriptor, int target)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if ((!endpoint && !table_has(target) && !table_is_private(target)) || !table_is_ours() ||
	    descriptor == target)
		return real()->dup2(descriptor, target);
	return (int) call_result(duplicate_over(endpoint, descriptor, target, 0), errno_before);
}

static int watch_known(struct endpoint *endpoint, int set, int operation, int descriptor,
		       struct epoll_event *event)
{
	sigset_t signals;

	/* The kernel asks the daemon what the descriptor is ready for: not with the lock. */
	if (real()->epoll_ctl(set, operation, descriptor, event) < 0)
		return -errno;
	table_lock(&signals);
	watches_note(endpoint, set, operation, descriptor, event);
	table_unlock(&signals);
	return 0;
}

INTERCEPTED int epoll_ctl(int set, int operation, int descriptor, struct epoll_event *event)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint || !table_is_ours())
		return real()->epoll_ctl(set, operation, descriptor, event);
	return (int) call_result(watch_known(endpoint, set, operation, descriptor, event),
				 errno_before);
}

static void set_nonblocking(struct endpoint *endpoint, bool nonblocking)
{
	endpoint->nonblocking = nonblocking;
	if (!endpoint->lost)
		device_mark(endpoint->device, nonblocking);
}

static int control_known(struct endpoint *endpoint, int descriptor, int command, void *argument)
{
	int number = (int) (long) argument;

	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		if (table_is_ours())
			return duplicate_known(endpoint, descriptor, command, number);
		break;
	case F_GETFL:
		return O_RDWR | (endpoint->nonblocking ? O_NONBLOCK : 0);
	case F_SETFL:
		set_nonblocking(endpoint, number & O_NONBLOCK);
		return 0;
	}
	number = real()->fcntl(descriptor, command, argument);
	return number < 0 ? -errno : number;
}

static int control(int descriptor, int command, void *argument)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint)
		return real()->fcntl(descriptor, command, argument);
	return (int) call_result(control_known(endpoint, descriptor, command, argument),
				 errno_before);
}

INTERCEPTED int fcntl(int descriptor, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return control(descriptor, command, argument);
}

INTERCEPTED int fcntl64(int descriptor, int command, ...) __attribute__((alias("fcntl")));

/* An interface is asked for by any socket: one of the kernel's, then. */
static int ask_kernel(unsigned long number, void *argument)
{
	int other = real()->socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	int result;

	if (other < 0)
		return -errno;
	result = real()->ioctl(other, number, argument);
	if (result < 0)
		result = -errno;
	syscall(SYS_close, other);
	return result;
}

static int ioctl_known(struct endpoint *endpoint, int descriptor, unsigned long number,
		       void *argument)
{
	int result;

	if (number == FIONBIO) {
		set_nonblocking(endpoint, *(int *) argument != 0);
		return 0;
	}
	if (number == FIONREAD || _IOC_TYPE(number) == SOCKET_IOCTLS)
		return ask_kernel(number, argument);
	result = real()->ioctl(descriptor, number, argument);
	return result < 0 ? -errno : result;
}

INTERCEPTED int ioctl(int descriptor, unsigned long number, ...)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;
	va_list arguments;
	void *argument;

	va_start(arguments, number);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (!endpoint)
		return real()->ioctl(descriptor, number, argument);
	return (int) call_result(ioctl_known(endpoint, descriptor, number, argument),
				 errno_before);
}
