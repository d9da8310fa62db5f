/* SPDX-License-Identifier: Apache-2.0 */
/* socket(2), and what is done with a socket but to send, to receive and to close. */
#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addresses.h"
#include "calls.h"
#include "device.h"
#include "options.h"
#include "recovery.h"
#include "say.h"

#define TYPE_FLAGS (SOCK_CLOEXEC | SOCK_NONBLOCK)

static int open_endpoint(int type)
{
	struct endpoint *endpoint;
	sigset_t signals;
	uint32_t pid;
	int device = device_open(&pid);

	if (device < 0) {
		say_missing(-device);
		return device;
	}
	if (!(type & SOCK_CLOEXEC))
		real()->fcntl(device, F_SETFD, 0);
	device_mark(device, type & SOCK_NONBLOCK);
	table_lock(&signals);
	endpoint = table_add(device);
	if (endpoint) {
		endpoint->pid = pid;
		endpoint->type = type & ~TYPE_FLAGS;
		endpoint->nonblocking = type & SOCK_NONBLOCK;
	}
	table_unlock(&signals);
	if (!endpoint)
		syscall(SYS_close, device);
	return endpoint ? device : -EMFILE;
}

INTERCEPTED int socket(int domain, int type, int protocol)
{
	int kind = type & ~TYPE_FLAGS;
	int errno_before = errno;

	if (domain != AF_NETLINK || protocol != NETLINK_GENERIC ||
	    (kind != SOCK_RAW && kind != SOCK_DGRAM))
		return real()->socket(domain, type, protocol);
	return (int) call_result(open_endpoint(type), errno_before);
}

INTERCEPTED int bind(int descriptor, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;
	uint32_t epoch;
	int result;

	if (!endpoint)
		return real()->bind(descriptor, address.__sockaddr__, length);
	result = recovery_try(endpoint, descriptor);
	epoch = endpoint->epoch;
	if (!result)
		result = addresses_bind(endpoint, endpoint->device,
					address.__sockaddr__, length);
	return (int) call_result(recovery_of(endpoint, epoch, result), errno_before);
}

INTERCEPTED int connect(int descriptor, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint)
		return real()->connect(descriptor, address.__sockaddr__, length);
	return (int) call_result(addresses_connect(endpoint, address.__sockaddr__, length),
				 errno_before);
}

INTERCEPTED int getsockname(int descriptor, __SOCKADDR_ARG address, socklen_t *length)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint)
		return real()->getsockname(descriptor, address.__sockaddr__, length);
	return (int) call_result(addresses_get_name(endpoint, address.__sockaddr__, length),
				 errno_before);
}

INTERCEPTED int getpeername(int descriptor, __SOCKADDR_ARG address, socklen_t *length)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint)
		return real()->getpeername(descriptor, address.__sockaddr__, length);
	return (int) call_result(addresses_get_peer(endpoint, address.__sockaddr__, length),
				 errno_before);
}

INTERCEPTED int setsockopt(int descriptor, int level, int name, const void *value,
			   socklen_t length)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;
	uint32_t epoch;
	int result;

	if (!endpoint)
		return real()->setsockopt(descriptor, level, name, value, length);
	result = recovery_try(endpoint, descriptor);
	epoch = endpoint->epoch;
	if (!result)
		result = options_set(endpoint, endpoint->device, level, name,
				     value, length);
	return (int) call_result(recovery_of(endpoint, epoch, result), errno_before);
}

INTERCEPTED int getsockopt(int descriptor, int level, int name, void *value, socklen_t *length)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint)
		return real()->getsockopt(descriptor, level, name, value, length);
	return (int) call_result(options_get(endpoint, level, name, value, length), errno_before);
}

INTERCEPTED int listen(int descriptor, int backlog)
{
	return table_has(descriptor) ? (int) call_result(-EOPNOTSUPP, 0)
				     : real()->listen(descriptor, backlog);
}

INTERCEPTED int accept(int descriptor, __SOCKADDR_ARG address, socklen_t *length)
{
	return table_has(descriptor)
		       ? (int) call_result(-EOPNOTSUPP, 0)
		       : real()->accept(descriptor, address.__sockaddr__, length);
}

INTERCEPTED int accept4(int descriptor, __SOCKADDR_ARG address, socklen_t *length, int flags)
{
	return table_has(descriptor)
		       ? (int) call_result(-EOPNOTSUPP, 0)
		       : real()->accept4(descriptor, address.__sockaddr__, length, flags);
}

INTERCEPTED int shutdown(int descriptor, int how)
{
	return table_has(descriptor) ? (int) call_result(-EOPNOTSUPP, 0)
				     : real()->shutdown(descriptor, how);
}
