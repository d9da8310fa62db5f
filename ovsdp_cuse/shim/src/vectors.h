/* SPDX-License-Identifier: Apache-2.0 */
/* What a message is gathered from, or scattered to. */
#ifndef OVSDP_SHIM_VECTORS_H
#define OVSDP_SHIM_VECTORS_H 1

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

/* Bytes of all buffers; -EMSGSIZE or -EINVAL as the kernel has it for too many. */
static inline ssize_t vectors_size(const struct iovec *vectors, size_t count)
{
	size_t size = 0;

	if (count > IOV_MAX)
		return -EMSGSIZE;
	for (size_t i = 0; i < count; i++) {
		if (vectors[i].iov_len > SSIZE_MAX - size)
			return -EINVAL;
		size += vectors[i].iov_len;
	}
	return (ssize_t) size;
}

/* Copy the first bytes of the buffers, at most `size`; how many. */
static inline size_t vectors_gather(const struct iovec *vectors, size_t count, uint8_t *to,
				    size_t size)
{
	size_t copied = 0;

	for (size_t i = 0; i < count && copied < size; i++) {
		size_t length = vectors[i].iov_len;

		if (length > size - copied)
			length = size - copied;
		if (length)
			memcpy(to + copied, vectors[i].iov_base, length);
		copied += length;
	}
	return copied;
}

/* Copy `size` bytes to the buffers, as many as they have room for; how many. */
static inline size_t vectors_scatter(const struct iovec *vectors, size_t count,
				     const uint8_t *from, size_t size)
{
	size_t copied = 0;

	for (size_t i = 0; i < count && copied < size; i++) {
		size_t length = vectors[i].iov_len;

		if (length > size - copied)
			length = size - copied;
		if (length)
			memcpy(vectors[i].iov_base, from + copied, length);
		copied += length;
	}
	return copied;
}

#endif
