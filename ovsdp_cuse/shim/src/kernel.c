/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "descriptors.h"
#include "endpoint.h"
#include "families.h"
#include "options.h"
#include "real.h"
#include "scratch.h"
#include "vectors.h"

/* The kernel's socket of an endpoint; it is made if there is none. The caller
 * holds the lock. */
static int open_kernel(struct endpoint *endpoint)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	socklen_t length = sizeof address;
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
	}
	return kernel;
}

static int bring_to_front(struct endpoint *endpoint, int descriptor)
{
	int kernel = open_kernel(endpoint);
	int device;

	if (kernel < 0 || endpoint->front == FRONT_KERNEL)
		return kernel < 0 ? kernel : 0;
	if (endpoint->front == FRONT_DEVICE && endpoint->device < 0) {
		device = real()->fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
		if (device < 0)
			return -errno;
		device = table_hide(device);
		if (device < 0)
			return device;
		endpoint->device = device;
	}
	descriptors_replace(endpoint, kernel);
	endpoint->front = FRONT_KERNEL;
	return 0;
}

int kernel_to_front(struct endpoint *endpoint, int descriptor)
{
	sigset_t signals;
	int error;

	if (endpoint->front == FRONT_KERNEL)
		return 0;
	table_lock(&signals);
	error = bring_to_front(endpoint, descriptor);
	table_unlock(&signals);
	return error;
}

int kernel_to_back(struct endpoint *endpoint)
{
	sigset_t signals;
	int device;

	if (endpoint->front != FRONT_KERNEL)
		return 0;
	table_lock(&signals);
	device = endpoint->device;
	if (endpoint->front == FRONT_KERNEL && device >= 0) {
		/* It stays where it is hidden: another thread may just be using it. */
		descriptors_replace(endpoint, device);
		endpoint->front = FRONT_DEVICE;
	}
	table_unlock(&signals);
	return device < 0 ? -ENODEV : 0;
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
