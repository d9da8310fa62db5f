/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device, as a descriptor: docs/protocol.md is its reference. Whatever fails
 * here fails with a negative errno.
 *
 * Our descriptors of it are always O_NONBLOCK: whether a receive waits is the
 * program's flag, which an endpoint keeps.
 */
#ifndef OVSDP_SHIM_DEVICE_H
#define OVSDP_SHIM_DEVICE_H 1

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct endpoint;

/* Where the device is: $OVSDP_DEVICE, or /dev/ovs-datapath. The environment is
 * looked at when the library is loaded: programs may change it. */
void device_begin(void);
const char *device_path(void);

/* Open it. -ENODEV for a file that is not the device. The PID is that of the new handle, whose options are
 * those of a new socket. */
int device_open(uint32_t *pid);

/* Join the groups that an endpoint is in. */
int device_join_again(int device, const struct endpoint *endpoint);

/* The PID of a handle. */
int device_get_pid(int device, uint32_t *pid);

/* Set one number by SOCK_PROP; the attribute is an OVS_NL_ATTR_SOCK_*, and
 * has 1 or 4 bytes. */
int device_set_property(int device, uint16_t attribute, uint32_t value, size_t size);

/* Join a multicast group, or leave it; -EINVAL for one that is not there. */
int device_subscribe(int device, uint32_t group, bool joins);

/* One datagram, or as much of it as there is room for: the rest is lost, as on a
 * socket. Returns its whole length; -EAGAIN where none waits.
 * With `peeks` it stays, and no more than 16,383 bytes of it are shown. */
ssize_t device_receive(int device, const struct iovec *vectors, size_t count, size_t room,
		       bool peeks, size_t *copied);

/* Whether an error says that the daemon is gone, and this handle with it. */
bool device_is_gone(int error);

/* What is kept with an open file, and so over exec, of a descriptor that was
 * made here: whether it is one, and the program's flag. */
void device_mark(int device, bool nonblocking);
bool device_is_marked(int descriptor, bool *nonblocking);

#endif
