/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generic netlink families of the device and of the kernel behind one socket.
 *
 * Both number their families and groups from 16 up. So the program is shown the
 * kernel's families as id + 0x400, which is above any id that either has
 * (GENL_MAX_ID is 1023), and its groups as group + 0x10000.
 */
#ifndef OVSDP_SHIM_FAMILIES_H
#define OVSDP_SHIM_FAMILIES_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNEL_GROUPS 0x10000

enum whose {
	WHOSE_DEVICE,
	WHOSE_KERNEL,
	WHOSE_LAST /* of no family: for whoever had the last message */
};

/* A PID as one side has it, and as the program has it. */
struct pids {
	uint32_t kernel;
	uint32_t program;
};

/* Whom the first of these messages is for. nlctrl is asked for families by name
 * (`ovs_*` and its own are the device's) or by id; what it is asked for no family
 * in particular is the device's too. */
enum whose families_route(const uint8_t *messages, size_t size);

/* Turn the program's messages into those that the kernel gets. */
void families_to_kernel(uint8_t *messages, size_t size, const struct pids *pids);

/* Turn the kernel's messages into those that the program gets. */
void families_to_program(uint8_t *messages, size_t size, const struct pids *pids);

#endif
