/* SPDX-License-Identifier: Apache-2.0 */
/* All that receives. */
#include <limits.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "receive.h"
#include "vectors.h"

INTERCEPTED ssize_t recv(int descriptor, void *buffer, size_t size, int flags)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint)
		return real()->recv(descriptor, buffer, size, flags);
	return call_result(receive_bytes(endpoint, descriptor, buffer, size, flags),
			   errno_before);
}

INTERCEPTED ssize_t recvfrom(int descriptor, void *buffer, size_t size, int flags,
			     __SOCKADDR_ARG address, socklen_t *length)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;
	struct iovec vector = {.iov_base = buffer, .iov_len = size};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	ssize_t received;

	if (!endpoint)
		return real()->recvfrom(descriptor, buffer, size, flags, address.__sockaddr__,
					length);
	if (address.__sockaddr__) {
		message.msg_name = address.__sockaddr__;
		message.msg_namelen = *length;
	}
	received = receive_message(endpoint, descriptor, &message, flags);
	if (received >= 0 && address.__sockaddr__)
		*length = message.msg_namelen;
	return call_result(received, errno_before);
}

INTERCEPTED ssize_t recvmsg(int descriptor, struct msghdr *message, int flags)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint)
		return real()->recvmsg(descriptor, message, flags);
	return call_result(receive_message(endpoint, descriptor, message, flags), errno_before);
}

static bool is_over(const struct timespec *end)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > end->tv_sec ||
	       (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec);
}

INTERCEPTED int recvmmsg(int descriptor, struct mmsghdr *messages, unsigned int count, int flags,
			 struct timespec *timeout)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;
	struct timespec end = {0};
	ssize_t received = 0;
	unsigned int done;

	if (!endpoint)
		return real()->recvmmsg(descriptor, messages, count, flags, timeout);
	if (timeout) {
		clock_gettime(CLOCK_MONOTONIC, &end);
		end.tv_sec += timeout->tv_sec;
		end.tv_nsec += timeout->tv_nsec;
		if (end.tv_nsec >= 1000000000) {
			end.tv_sec++;
			end.tv_nsec -= 1000000000;
		}
	}
	for (done = 0; done < count; done++) {
		received = receive_message(endpoint, descriptor, &messages[done].msg_hdr,
					   flags & ~MSG_WAITFORONE);
		if (received < 0)
			break;
		messages[done].msg_len = (unsigned int) received;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		/* As in the kernel, the time is looked at between two of them only. */
		if (timeout && is_over(&end)) {
			done++;
			break;
		}
	}
	/* What comes too late for this call is for the next one to tell. */
	if (done && received == -ENOBUFS)
		endpoint->pending_error = ENOBUFS;
	return (int) call_result(done ? (ssize_t) done : received, errno_before);
}

INTERCEPTED ssize_t read(int descriptor, void *buffer, size_t size)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint)
		return real()->read(descriptor, buffer, size);
	if (!size)
		return 0;
	return call_result(receive_bytes(endpoint, descriptor, buffer, size, 0), errno_before);
}

INTERCEPTED ssize_t readv(int descriptor, const struct iovec *vectors, int count)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;
	struct msghdr message = {.msg_iov = (struct iovec *) vectors};

	if (!endpoint)
		return real()->readv(descriptor, vectors, count);
	if (count < 0 || count > IOV_MAX)
		return call_result(-EINVAL, errno_before);
	message.msg_iovlen = (size_t) count;
	if (!vectors_size(vectors, (size_t) count))
		return 0;
	return call_result(receive_message(endpoint, descriptor, &message, 0), errno_before);
}
