/* SPDX-License-Identifier: Apache-2.0 */
/* setsockopt(2) and getsockopt(2), with negative errnos. */
#ifndef OVSDP_SHIM_OPTIONS_H
#define OVSDP_SHIM_OPTIONS_H 1

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct endpoint;

int options_set(struct endpoint *endpoint, int device, int level, int name, const void *value,
		socklen_t length);
int options_get(struct endpoint *endpoint, int level, int name, void *value, socklen_t *length);

/* Join a multicast group, the kernel's among them, or leave it. */
int options_subscribe(struct endpoint *endpoint, int device, uint32_t group, bool joins);

/* Give another file what was set before it was there. */
void options_give_to_device(const struct endpoint *endpoint, int device);
void options_give_to_kernel(const struct endpoint *endpoint, int kernel);

#endif
