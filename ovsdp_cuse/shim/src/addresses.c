/* SPDX-License-Identifier: Apache-2.0 */
#include "addresses.h"

#include <errno.h>
#include <linux/netlink.h>
#include <ovs_datapath.h>
#include <string.h>

#include "device.h"
#include "endpoint.h"
#include "options.h"

static int take(struct sockaddr_nl *to, const struct sockaddr *address, socklen_t length)
{
	if (length < sizeof *to)
		return -EINVAL;
	memcpy(to, address, sizeof *to);
	return to->nl_family == AF_NETLINK ? 0 : -EINVAL;
}

/* Have the PID that the program wants. */
static int take_pid(struct endpoint *endpoint, int device, uint32_t pid)
{
	int error;

	if (pid == endpoint->pid)
		return 0;
	if (endpoint->bound)
		return -EINVAL;
	error = device_set_property(device, OVS_NL_ATTR_SOCK_BIND, pid, 4);
	if (!error)
		endpoint->pid = pid;
	return error;
}

int addresses_bind(struct endpoint *endpoint, int device, const struct sockaddr *address,
		   socklen_t length)
{
	struct sockaddr_nl wanted;
	int error = take(&wanted, address, length);

	if (error)
		return error;
	/* A second bind must be the same, 0 included, or it comes too late. */
	if (endpoint->bound && wanted.nl_pid != endpoint->pid)
		return -EINVAL;
	if (wanted.nl_pid)
		error = take_pid(endpoint, device, wanted.nl_pid);
	if (error)
		return error;
	endpoint->bound = true;
	/* Groups that are not there are passed over, as the kernel does. */
	for (uint32_t group = 1; group <= 32; group++) {
		if (!(wanted.nl_groups >> (group - 1) & 1))
			continue;
		error = options_subscribe(endpoint, device, group, true);
		if (error && error != -EINVAL)
			return error;
	}
	return 0;
}

int addresses_connect(struct endpoint *endpoint, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_nl wanted = {0};
	int error;

	if (length < sizeof address->sa_family)
		return -EINVAL;
	if (address->sa_family != AF_UNSPEC) {
		error = take(&wanted, address, length);
		if (error)
			return error;
		endpoint->bound = true;
	}
	endpoint->peer_pid = wanted.nl_pid;
	endpoint->peer_groups = wanted.nl_groups;
	return 0;
}

static int give(const struct sockaddr_nl *address, struct sockaddr *to, socklen_t *length)
{
	if ((int) *length < 0)
		return -EINVAL;
	memcpy(to, address, *length < sizeof *address ? *length : sizeof *address);
	*length = sizeof *address;
	return 0;
}

int addresses_get_name(struct endpoint *endpoint, struct sockaddr *address, socklen_t *length)
{
	struct sockaddr_nl name = {
		.nl_family = AF_NETLINK,
		.nl_pid = endpoint->bound ? endpoint->pid : 0,
		.nl_groups = (uint32_t) (endpoint->groups[0] >> 1),
	};

	return give(&name, address, length);
}

int addresses_get_peer(struct endpoint *endpoint, struct sockaddr *address, socklen_t *length)
{
	struct sockaddr_nl name = {
		.nl_family = AF_NETLINK,
		.nl_pid = endpoint->peer_pid,
		.nl_groups = endpoint->peer_groups,
	};

	return give(&name, address, length);
}
