/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "descriptors.h"
#include "endpoint.h"
#include "families.h"
#include "options.h"
#include "real.h"
#include "scratch.h"
#include "vectors.h"

#define LONGEST_DUMP_PART 32768 /* so long netlink makes its own messages */

/* The kernel's socket of an endpoint; it is made if there is none. The caller
 * holds the lock. */
static int open_kernel(struct endpoint *endpoint)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	socklen_t length = sizeof address;
	uint64_t once = 1;
	int kernel;

	if (endpoint->kernel >= 0)
		return endpoint->kernel;
	kernel = real()->socket(AF_NETLINK, endpoint->type | SOCK_CLOEXEC | SOCK_NONBLOCK,
				NETLINK_GENERIC);
	if (kernel < 0)
		return -errno;
	if (real()->bind(kernel, (struct sockaddr *) &address, sizeof address) < 0 ||
	    real()->getsockname(kernel, (struct sockaddr *) &address, &length) < 0) {
		int error = errno;

		syscall(SYS_close, kernel);
		return -error;
	}
	options_give_to_kernel(endpoint, kernel);
	kernel = table_hide(kernel);
	if (kernel >= 0) {
		endpoint->kernel_pid = address.nl_pid;
		endpoint->kernel = kernel;
		if (endpoint->bell >= 0)
			syscall(SYS_write, endpoint->bell, &once, sizeof once);
	}
	return kernel;
}

static int bring_to_front(struct endpoint *endpoint)
{
	int kernel = open_kernel(endpoint);

	if (kernel < 0 || endpoint->front == FRONT_KERNEL)
		return kernel < 0 ? kernel : 0;
	descriptors_replace(endpoint, kernel);
	endpoint->front = FRONT_KERNEL;
	return 0;
}

int kernel_to_front(struct endpoint *endpoint)
{
	sigset_t signals;
	int error;

	if (endpoint->front == FRONT_KERNEL)
		return 0;
	table_lock(&signals);
	error = bring_to_front(endpoint);
	table_unlock(&signals);
	return error;
}

void kernel_to_back(struct endpoint *endpoint)
{
	sigset_t signals;

	if (endpoint->front != FRONT_KERNEL)
		return;
	table_lock(&signals);
	if (endpoint->front == FRONT_KERNEL) {
		descriptors_replace(endpoint, endpoint->device);
		endpoint->front = FRONT_DEVICE;
	}
	table_unlock(&signals);
}

int kernel_waiting(struct endpoint *endpoint)
{
	sigset_t signals;
	int bell;

	if (endpoint->kernel >= 0)
		return endpoint->kernel;
	if (endpoint->bell >= 0)
		return endpoint->bell;
	table_lock(&signals);
	if (endpoint->bell < 0 && endpoint->kernel < 0) {
		bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (bell >= 0)
			bell = table_hide(bell);
		endpoint->bell = bell >= 0 ? bell : -1;
	}
	bell = endpoint->kernel >= 0 ? endpoint->kernel : endpoint->bell;
	table_unlock(&signals);
	return bell;
}

int kernel_subscribe(struct endpoint *endpoint, uint32_t group, bool joins)
{
	sigset_t signals;
	int number = (int) (group - KERNEL_GROUPS);
	int kernel;

	table_lock(&signals);
	kernel = open_kernel(endpoint);
	table_unlock(&signals);
	if (kernel < 0)
		return kernel;
	if (real()->setsockopt(kernel, SOL_NETLINK,
			       joins ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP, &number,
			       sizeof number) < 0)
		return -errno;
	return 0;
}

static struct pids pids_of(const struct endpoint *endpoint)
{
	return (struct pids) {.kernel = endpoint->kernel_pid, .program = endpoint->pid};
}

ssize_t kernel_send(struct endpoint *endpoint, uint8_t *bytes, size_t size)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	struct pids pids = pids_of(endpoint);
	ssize_t sent;

	families_to_kernel(bytes, size, &pids);
	sent = real()->sendto(endpoint->kernel, bytes, size, 0, (struct sockaddr *) &address,
			      sizeof address);
	return sent < 0 ? -errno : sent;
}

ssize_t kernel_receive(struct endpoint *endpoint, const struct iovec *vectors, size_t count,
		       bool peeks, size_t *copied, uint32_t *groups)
{
	SCRATCH(scratch);
	struct sockaddr_nl address;
	socklen_t address_length = sizeof address;
	struct pids pids = pids_of(endpoint);
	int kernel = endpoint->kernel;
	ssize_t length, taken;
	uint8_t *bytes;

	do {
		/* Others may take it between the two; so the second call tells too. */
		length = real()->recv(kernel, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
		if (length < 0)
			return -errno;
		if (length < LONGEST_DUMP_PART)
			length = LONGEST_DUMP_PART;
		bytes = scratch_room(&scratch, (size_t) length);
		if (!bytes)
			return -ENOBUFS;
		taken = real()->recvfrom(kernel, bytes, (size_t) length,
					 MSG_TRUNC | MSG_DONTWAIT | (peeks ? MSG_PEEK : 0),
					 (struct sockaddr *) &address, &address_length);
		if (taken < 0)
			return -errno;
	} while (peeks && taken > length);
	if (length > taken)
		length = taken;
	families_to_program(bytes, (size_t) length, &pids);
	*copied = vectors_scatter(vectors, count, bytes, (size_t) length);
	*groups = address.nl_groups;
	return taken;
}
