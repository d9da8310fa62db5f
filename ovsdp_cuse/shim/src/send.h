/* SPDX-License-Identifier: Apache-2.0 */
/* sendmsg(2) as a netlink socket has it. */
#ifndef OVSDP_SHIM_SEND_H
#define OVSDP_SHIM_SEND_H 1

#include <sys/socket.h>
#include <sys/types.h>

struct endpoint;

/* Send one datagram. Bytes, or a negative errno. */
ssize_t send_message(struct endpoint *endpoint, int descriptor, const struct msghdr *message,
		     int flags);

/* The same from one buffer. */
ssize_t send_bytes(struct endpoint *endpoint, int descriptor, const void *bytes, size_t size,
		   int flags, const struct sockaddr *address, socklen_t length);

#endif
