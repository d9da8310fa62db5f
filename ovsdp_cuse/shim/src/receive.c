/* SPDX-License-Identifier: Apache-2.0 */
#include "receive.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "device.h"
#include "endpoint.h"
#include "kernel.h"
#include "real.h"
#include "recovery.h"
#include "vectors.h"

#define LOST_INTERVAL_MS 1000 /* how often the device is tried where no timer tells */

/* One receive: where to, and what came of it. */
struct receive {
	const struct iovec *vectors;
	size_t count;
	size_t room;
	bool peeks;
	size_t copied;
	uint32_t groups;
};

static ssize_t receive_of_device(struct endpoint *endpoint, int descriptor,
				 struct receive *receive)
{
	uint32_t epoch;

	if (recovery_try(endpoint, descriptor) < 0)
		return -EAGAIN; /* the loss has been told; now there is nothing */
	if (endpoint->pending_error) {
		int error = atomic_exchange(&endpoint->pending_error, 0);

		if (error)
			return -error;
	}
	epoch = endpoint->epoch;
	return recovery_of(endpoint, epoch,
			   (int) device_receive(endpoint->device, receive->vectors, receive->count,
						receive->room, receive->peeks,
						&receive->copied));
}

/* Whatever is there, of either side. */
static ssize_t receive_now(struct endpoint *endpoint, int descriptor, struct receive *receive)
{
	ssize_t length = receive_of_device(endpoint, descriptor, receive);

	if (length == -EAGAIN && endpoint->kernel >= 0)
		length = kernel_receive(endpoint, receive->vectors, receive->count, receive->peeks,
					&receive->copied, &receive->groups);
	return length;
}

static int64_t now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t) time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* Wait until something may be there. -EAGAIN when `deadline_us` has passed (0 is
 * never), -EINTR for a signal. */
static int wait_readable(struct endpoint *endpoint, int descriptor, int64_t deadline_us)
{
	struct pollfd files[] = {
		{.fd = endpoint->device, .events = POLLIN},
		/* Another thread may talk to the kernel meanwhile; -1 is ignored. */
		{.fd = kernel_waiting(endpoint), .events = POLLIN},
	};
	int64_t left_ms = -1;
	int ready;

	if (endpoint->lost)
		files[0].fd = endpoint->front == FRONT_STAND_IN ? descriptor : -1;
	if (deadline_us) {
		left_ms = (deadline_us - now_us() + 999) / 1000;
		if (left_ms <= 0)
			return -EAGAIN;
	}
	if (endpoint->lost && (left_ms < 0 || left_ms > LOST_INTERVAL_MS))
		left_ms = LOST_INTERVAL_MS;
	if (left_ms > INT_MAX)
		left_ms = INT_MAX;
	ready = real()->poll(files, 2, (int) left_ms);
	return ready < 0 ? -errno : 0;
}

static ssize_t receive(struct endpoint *endpoint, int descriptor, struct receive *receive,
		       int flags)
{
	int64_t timeout_us = endpoint->receive_timeout_us;
	bool waits = !(flags & MSG_DONTWAIT) && !endpoint->nonblocking;
	int64_t deadline_us = waits && timeout_us ? now_us() + timeout_us : 0;
	ssize_t length;

	if (flags & (MSG_OOB | MSG_ERRQUEUE))
		return -EOPNOTSUPP;
	receive->peeks = flags & MSG_PEEK;
	receive->copied = 0;
	receive->groups = 0;
	for (;;) {
		int error;

		length = receive_now(endpoint, descriptor, receive);
		/* What does not wait is not interrupted, on a socket. */
		if (length == -EINTR && !waits)
			continue;
		if (length != -EAGAIN || !waits)
			return length;
		error = wait_readable(endpoint, descriptor, deadline_us);
		if (error)
			return error;
	}
}

static ssize_t result_of(const struct receive *receive, ssize_t length, int flags)
{
	return flags & MSG_TRUNC ? length : (ssize_t) receive->copied;
}

/* The kernel's messages come from nobody. */
static void put_credentials(struct msghdr *message, size_t room)
{
	struct cmsghdr *head = message->msg_control;
	struct ucred credentials = {0};

	if (!head || room < CMSG_LEN(sizeof credentials)) {
		message->msg_flags |= MSG_CTRUNC;
		return;
	}
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_CREDENTIALS;
	head->cmsg_len = CMSG_LEN(sizeof credentials);
	memcpy(CMSG_DATA(head), &credentials, sizeof credentials);
	message->msg_controllen = room < CMSG_SPACE(sizeof credentials)
					  ? room
					  : CMSG_SPACE(sizeof credentials);
}

ssize_t receive_message(struct endpoint *endpoint, int descriptor, struct msghdr *message,
			int flags)
{
	struct receive mine = {.vectors = message->msg_iov, .count = message->msg_iovlen};
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	ssize_t room = vectors_size(message->msg_iov, message->msg_iovlen);
	size_t control = message->msg_controllen;
	ssize_t length;

	if (room < 0)
		return room;
	mine.room = (size_t) room;
	length = receive(endpoint, descriptor, &mine, flags);
	if (length < 0)
		return length;
	message->msg_flags = mine.copied < (size_t) length ? MSG_TRUNC : 0;
	message->msg_controllen = 0;
	if (message->msg_name) {
		address.nl_groups = mine.groups;
		memcpy(message->msg_name, &address,
		       message->msg_namelen < sizeof address ? message->msg_namelen
							     : sizeof address);
		message->msg_namelen = sizeof address;
	}
	if (endpoint->kept[KEPT_PASSCRED])
		put_credentials(message, control);
	return result_of(&mine, length, flags);
}

ssize_t receive_bytes(struct endpoint *endpoint, int descriptor, void *buffer, size_t size,
		      int flags)
{
	struct iovec vector = {.iov_base = buffer, .iov_len = size};
	struct receive mine = {.vectors = &vector, .count = 1, .room = size};
	ssize_t length = receive(endpoint, descriptor, &mine, flags);

	return length < 0 ? length : result_of(&mine, length, flags);
}
