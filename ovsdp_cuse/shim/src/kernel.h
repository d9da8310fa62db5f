/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's generic netlink behind an endpoint: a netlink socket that is made
 * when a message is for a family that the device has not. While the program
 * talks to it, its descriptor is that socket, so that poll(2) and epoll(7) wait
 * for the right thing. All fails with a negative errno.
 */
#ifndef OVSDP_SHIM_KERNEL_H
#define OVSDP_SHIM_KERNEL_H 1

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct endpoint;

/* Make the endpoint's descriptors the kernel's socket. The socket is in
 * `endpoint->kernel` then. */
int kernel_to_front(struct endpoint *endpoint);

/* Make them the device again. */
void kernel_to_back(struct endpoint *endpoint);

/* Join a group of the kernel's, as the program numbers it, or leave it. */
int kernel_subscribe(struct endpoint *endpoint, uint32_t group, bool joins);

/* Send to the kernel. `bytes` are changed. */
ssize_t kernel_send(struct endpoint *endpoint, uint8_t *bytes, size_t size);

/* What to wait for, to hear of the kernel: its socket, or where there is none yet a
 * descriptor that is readable once there is; -1 if none is free. */
int kernel_waiting(struct endpoint *endpoint);

/* As device_receive(). */
ssize_t kernel_receive(struct endpoint *endpoint, const struct iovec *vectors, size_t count,
		       bool peeks, size_t *copied, uint32_t *groups);

#endif
