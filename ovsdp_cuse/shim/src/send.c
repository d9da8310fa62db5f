/* SPDX-License-Identifier: Apache-2.0 */
#include "send.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>

#include "device.h"
#include "endpoint.h"
#include "families.h"
#include "kernel.h"
#include "real.h"
#include "recovery.h"
#include "scratch.h"
#include "vectors.h"

/* To whom; what is not the kernel is nobody here. */
static int check_destination(const struct endpoint *endpoint, const void *name, socklen_t length)
{
	struct sockaddr_nl address = {
		.nl_pid = endpoint->peer_pid,
		.nl_groups = endpoint->peer_groups,
	};

	if (length) {
		if (length < sizeof address)
			return -EINVAL;
		memcpy(&address, name, sizeof address);
		if (address.nl_family != AF_NETLINK)
			return -EINVAL;
	}
	if (address.nl_groups)
		return -EPERM;
	return address.nl_pid ? -ECONNREFUSED : 0;
}

/* All of it. A signal ends a write between two messages at the earliest, but it
 * does not end a send on a netlink socket. */
static ssize_t write_all(int device, const uint8_t *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t taken = real()->write(device, bytes + done, size - done);

		if (taken < 0 && errno != EINTR)
			return done ? (ssize_t) done : -errno;
		if (taken == 0)
			break;
		if (taken > 0)
			done += (size_t) taken;
	}
	return (ssize_t) done;
}

static ssize_t send_to_device(struct endpoint *endpoint, int descriptor, const uint8_t *bytes,
			      size_t size)
{
	int error = recovery_try(endpoint, descriptor);
	uint32_t epoch = endpoint->epoch;

	if (error)
		return error;
	kernel_to_back(endpoint);
	return recovery_of(endpoint, epoch, (int) write_all(endpoint->device, bytes, size));
}

static ssize_t send_to_kernel(struct endpoint *endpoint, const uint8_t *bytes, size_t size)
{
	SCRATCH(scratch);
	uint8_t *copy = scratch_room(&scratch, size);
	int error;

	if (!copy)
		return -ENOBUFS;
	error = kernel_to_front(endpoint);
	if (error)
		return error;
	memcpy(copy, bytes, size);
	return kernel_send(endpoint, copy, size);
}

ssize_t send_bytes(struct endpoint *endpoint, int descriptor, const void *bytes, size_t size,
		   int flags, const struct sockaddr *address, socklen_t length)
{
	enum whose whose;
	int error;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (!size)
		return -ENODATA;
	error = check_destination(endpoint, address, address ? length : 0);
	if (error)
		return error;
	endpoint->bound = true;
	whose = families_route(bytes, size);
	if (whose == WHOSE_LAST)
		whose = endpoint->front == FRONT_KERNEL ? WHOSE_KERNEL : WHOSE_DEVICE;
	return whose == WHOSE_KERNEL ? send_to_kernel(endpoint, bytes, size)
				     : send_to_device(endpoint, descriptor, bytes, size);
}

ssize_t send_message(struct endpoint *endpoint, int descriptor, const struct msghdr *message,
		     int flags)
{
	SCRATCH(scratch);
	ssize_t size = vectors_size(message->msg_iov, message->msg_iovlen);
	const uint8_t *bytes;

	if (size < 0)
		return size;
	if (message->msg_iovlen == 1) {
		bytes = message->msg_iov->iov_base;
	} else {
		uint8_t *gathered = scratch_room(&scratch, (size_t) size);

		if (!gathered)
			return -ENOBUFS;
		vectors_gather(message->msg_iov, message->msg_iovlen, gathered, (size_t) size);
		bytes = gathered;
	}
	return send_bytes(endpoint, descriptor, bytes, (size_t) size, flags, message->msg_name,
			  message->msg_namelen);
}
