/* SPDX-License-Identifier: Apache-2.0 */
/* recvmsg(2) as a netlink socket has it. */
#ifndef OVSDP_SHIM_RECEIVE_H
#define OVSDP_SHIM_RECEIVE_H 1

#include <sys/socket.h>
#include <sys/types.h>

struct endpoint;

/* Fills all of `message` that recvmsg(2) fills. Bytes, or a negative errno. */
ssize_t receive_message(struct endpoint *endpoint, int descriptor, struct msghdr *message,
			int flags);

/* The same into one buffer. */
ssize_t receive_bytes(struct endpoint *endpoint, int descriptor, void *buffer, size_t size,
		      int flags);

#endif
