/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for one call: on the stack where that is enough, else pages of its
 * own. malloc() is not for signal handlers.
 */
#ifndef OVSDP_SHIM_SCRATCH_H
#define OVSDP_SHIM_SCRATCH_H 1

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define SCRATCH_ON_STACK 4096

struct scratch {
	size_t mapped;
	uint8_t *bytes;
	_Alignas(8) uint8_t on_stack[SCRATCH_ON_STACK];
};

static inline void scratch_leave(struct scratch *scratch)
{
	if (scratch->mapped)
		munmap(scratch->bytes, scratch->mapped);
}

/* A scratch that is given back at the end of its block. */
#define SCRATCH(name) \
	__attribute__((cleanup(scratch_leave))) struct scratch name; \
	name.mapped = 0; \
	name.bytes = name.on_stack

/* Room for so many bytes, whose content is not kept; NULL if there is none. */
static inline uint8_t *scratch_room(struct scratch *scratch, size_t size)
{
	void *pages;

	if (size <= (scratch->mapped ? scratch->mapped : sizeof scratch->on_stack))
		return scratch->bytes;
	pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return NULL;
	scratch_leave(scratch);
	scratch->mapped = size;
	scratch->bytes = pages;
	return scratch->bytes;
}

#endif
