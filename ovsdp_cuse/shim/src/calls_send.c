/* SPDX-License-Identifier: Apache-2.0 */
/* All that sends. */
#include <limits.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "calls.h"
#include "send.h"
#include "vectors.h"

INTERCEPTED ssize_t send(int descriptor, const void *bytes, size_t size, int flags)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint)
		return real()->send(descriptor, bytes, size, flags);
	return call_result(send_bytes(endpoint, descriptor, bytes, size, flags, NULL, 0),
			   errno_before);
}

INTERCEPTED ssize_t sendto(int descriptor, const void *bytes, size_t size, int flags,
			   __CONST_SOCKADDR_ARG address, socklen_t length)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint)
		return real()->sendto(descriptor, bytes, size, flags, address.__sockaddr__,
				      length);
	return call_result(send_bytes(endpoint, descriptor, bytes, size, flags,
				      address.__sockaddr__, length),
			   errno_before);
}

INTERCEPTED ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint)
		return real()->sendmsg(descriptor, message, flags);
	return call_result(send_message(endpoint, descriptor, message, flags), errno_before);
}

INTERCEPTED int sendmmsg(int descriptor, struct mmsghdr *messages, unsigned int count, int flags)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;
	ssize_t sent = 0;
	unsigned int done;

	if (!endpoint)
		return real()->sendmmsg(descriptor, messages, count, flags);
	for (done = 0; done < count && sent >= 0; done++) {
		sent = send_message(endpoint, descriptor, &messages[done].msg_hdr, flags);
		if (sent < 0)
			break;
		messages[done].msg_len = (unsigned int) sent;
	}
	return (int) call_result(done ? (ssize_t) done : sent, errno_before);
}

INTERCEPTED ssize_t write(int descriptor, const void *bytes, size_t size)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;

	if (!endpoint)
		return real()->write(descriptor, bytes, size);
	return call_result(send_bytes(endpoint, descriptor, bytes, size, 0, NULL, 0),
			   errno_before);
}

INTERCEPTED ssize_t writev(int descriptor, const struct iovec *vectors, int count)
{
	LEAVING struct endpoint *endpoint = endpoint_get(descriptor);
	int errno_before = errno;
	struct msghdr message = {.msg_iov = (struct iovec *) vectors};

	if (!endpoint)
		return real()->writev(descriptor, vectors, count);
	if (count < 0 || count > IOV_MAX)
		return call_result(-EINVAL, errno_before);
	message.msg_iovlen = (size_t) count;
	if (!vectors_size(vectors, (size_t) count))
		return 0;
	return call_result(send_message(endpoint, descriptor, &message, 0), errno_before);
}
