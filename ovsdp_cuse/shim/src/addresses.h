/* SPDX-License-Identifier: Apache-2.0 */
/* bind(2), connect(2), getsockname(2) and getpeername(2), with negative errnos. */
#ifndef OVSDP_SHIM_ADDRESSES_H
#define OVSDP_SHIM_ADDRESSES_H 1

#include <sys/socket.h>

struct endpoint;

int addresses_bind(struct endpoint *endpoint, int device, const struct sockaddr *address,
		   socklen_t length);
int addresses_connect(struct endpoint *endpoint, const struct sockaddr *address,
		      socklen_t length);
int addresses_get_name(struct endpoint *endpoint, struct sockaddr *address, socklen_t *length);
int addresses_get_peer(struct endpoint *endpoint, struct sockaddr *address, socklen_t *length);

#endif
