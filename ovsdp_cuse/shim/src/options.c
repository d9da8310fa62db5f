/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <linux/netlink.h>
#include <ovs_datapath.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "device.h"
#include "endpoint.h"
#include "families.h"
#include "kernel.h"
#include "real.h"

#define NOT_OF_THE_DEVICE (-1)

/* Options of SOL_NETLINK that are on or off: where each is kept, and what the
 * device calls it. */
static const struct {
	int name;
	enum kept_option kept;
	int property;
} netlink_switches[] = {
	{NETLINK_BROADCAST_ERROR, KEPT_BROADCAST_ERROR, NOT_OF_THE_DEVICE},
	{NETLINK_NO_ENOBUFS, KEPT_NO_ENOBUFS, OVS_NL_ATTR_SOCK_NO_ENOBUFS},
	{NETLINK_LISTEN_ALL_NSID, KEPT_LISTEN_ALL_NSID, NOT_OF_THE_DEVICE},
	{NETLINK_CAP_ACK, KEPT_CAP_ACK, OVS_NL_ATTR_SOCK_CAP_ACK},
	{NETLINK_EXT_ACK, KEPT_EXT_ACK, OVS_NL_ATTR_SOCK_EXT_ACK},
	{NETLINK_GET_STRICT_CHK, KEPT_GET_STRICT_CHK, NOT_OF_THE_DEVICE},
};
#define NETLINK_SWITCHES (sizeof netlink_switches / sizeof *netlink_switches)

/* The sizes of buffers: the kernel says what may be set, and what that comes to. */
static const struct {
	int name;
	int tells;
	enum kept_option kept;
} buffer_sizes[] = {
	{SO_RCVBUF, SO_RCVBUF, KEPT_RCVBUF},
	{SO_RCVBUFFORCE, SO_RCVBUF, KEPT_RCVBUF},
	{SO_SNDBUF, SO_SNDBUF, KEPT_SNDBUF},
	{SO_SNDBUFFORCE, SO_SNDBUF, KEPT_SNDBUF},
};
#define BUFFER_SIZES (sizeof buffer_sizes / sizeof *buffer_sizes)

/* A socket of the kernel's, to ask what an option would do there. */
static int open_example(const struct endpoint *endpoint)
{
	int example = real()->socket(AF_NETLINK, endpoint->type | SOCK_CLOEXEC, NETLINK_GENERIC);

	return example < 0 ? -errno : example;
}

void options_give_to_device(const struct endpoint *endpoint, int device)
{
	if (endpoint->kept[KEPT_RCVBUF])
		device_set_property(device, OVS_NL_ATTR_SOCK_RCVBUF,
				    (uint32_t) endpoint->kept[KEPT_RCVBUF], 4);
	for (size_t i = 0; i < NETLINK_SWITCHES; i++) {
		if (netlink_switches[i].property != NOT_OF_THE_DEVICE &&
		    endpoint->kept[netlink_switches[i].kept])
			device_set_property(device, (uint16_t) netlink_switches[i].property, 1, 1);
	}
}

void options_give_to_kernel(const struct endpoint *endpoint, int kernel)
{
	int value;

	for (size_t i = 0; i < NETLINK_SWITCHES; i++) {
		value = endpoint->kept[netlink_switches[i].kept];
		if (value)
			real()->setsockopt(kernel, SOL_NETLINK, netlink_switches[i].name, &value,
					   sizeof value);
	}
	value = endpoint->kept[KEPT_RCVBUF] / 2;
	if (value && real()->setsockopt(kernel, SOL_SOCKET, SO_RCVBUFFORCE, &value,
					sizeof value) < 0)
		real()->setsockopt(kernel, SOL_SOCKET, SO_RCVBUF, &value, sizeof value);
}

int options_subscribe(struct endpoint *endpoint, int device, uint32_t group, bool joins)
{
	uint64_t bit = UINT64_C(1) << group % 64;
	int error;

	if (group >= KERNEL_GROUPS)
		return kernel_subscribe(endpoint, group, joins);
	if (group > GROUP_MAXIMUM)
		return -EINVAL;
	error = device_subscribe(device, group, joins);
	if (error)
		return error;
	if (joins)
		atomic_fetch_or(&endpoint->groups[group / 64], bit);
	else
		atomic_fetch_and(&endpoint->groups[group / 64], ~bit);
	return 0;
}

static int set_switch(struct endpoint *endpoint, int device, size_t which, int value)
{
	int error = 0;

	if (netlink_switches[which].property != NOT_OF_THE_DEVICE)
		error = device_set_property(device, (uint16_t) netlink_switches[which].property,
					    value != 0, 1);
	if (!error && endpoint->kernel >= 0 &&
	    real()->setsockopt(endpoint->kernel, SOL_NETLINK, netlink_switches[which].name, &value,
			       sizeof value) < 0)
		error = -errno;
	if (!error)
		endpoint->kept[netlink_switches[which].kept] = value != 0;
	return error;
}

static int set_netlink(struct endpoint *endpoint, int device, int name, const void *value,
		       socklen_t length)
{
	int number = 0;

	if (length >= sizeof number)
		memcpy(&number, value, sizeof number);
	switch (name) {
	case NETLINK_ADD_MEMBERSHIP:
	case NETLINK_DROP_MEMBERSHIP:
		return options_subscribe(endpoint, device, (uint32_t) number,
					 name == NETLINK_ADD_MEMBERSHIP);
	default:
		for (size_t i = 0; i < NETLINK_SWITCHES; i++) {
			if (netlink_switches[i].name == name)
				return set_switch(endpoint, device, i, number);
		}
		return -ENOPROTOOPT;
	}
}

static int set_buffer_size(struct endpoint *endpoint, int device, size_t which, const void *value,
			   socklen_t length)
{
	int example = open_example(endpoint);
	int size = 0, error = 0;
	socklen_t size_length = sizeof size;

	if (example < 0)
		return example;
	if (real()->setsockopt(example, SOL_SOCKET, buffer_sizes[which].name, value, length) < 0 ||
	    real()->getsockopt(example, SOL_SOCKET, buffer_sizes[which].tells, &size,
			       &size_length) < 0)
		error = -errno;
	syscall(SYS_close, example);
	if (!error && buffer_sizes[which].kept == KEPT_RCVBUF)
		error = device_set_property(device, OVS_NL_ATTR_SOCK_RCVBUF, (uint32_t) size, 4);
	if (!error && endpoint->kernel >= 0 &&
	    real()->setsockopt(endpoint->kernel, SOL_SOCKET, buffer_sizes[which].name, value,
			       length) < 0)
		error = -errno;
	if (!error)
		endpoint->kept[buffer_sizes[which].kept] = size;
	return error;
}

static int set_timeout(_Atomic int64_t *timeout_us, const void *value, socklen_t length)
{
	struct timeval time;

	if (length < sizeof time)
		return -EINVAL;
	memcpy(&time, value, sizeof time);
	if (time.tv_usec < 0 || time.tv_usec >= 1000000)
		return -EDOM;
	/* Negative is "at once" in the kernel; so is what is left of a microsecond. */
	*timeout_us = time.tv_sec < 0	? 1
		      : time.tv_sec > INT32_MAX ? 0
						: (int64_t) time.tv_sec * 1000000 + time.tv_usec;
	return 0;
}

static int set_socket(struct endpoint *endpoint, int device, int name, const void *value,
		      socklen_t length)
{
	int example, error;

	if (name == SO_RCVTIMEO)
		return set_timeout(&endpoint->receive_timeout_us, value, length);
	if (name == SO_SNDTIMEO)
		return set_timeout(&endpoint->send_timeout_us, value, length);
	for (size_t i = 0; i < BUFFER_SIZES; i++) {
		if (buffer_sizes[i].name == name)
			return set_buffer_size(endpoint, device, i, value, length);
	}
	if (name == SO_PASSCRED) {
		int number;

		if (length < sizeof number)
			return -EINVAL;
		memcpy(&number, value, sizeof number);
		endpoint->kept[KEPT_PASSCRED] = number != 0;
		return 0;
	}
	/* Of the others none would change what a program sees of the device. */
	example = open_example(endpoint);
	if (example < 0)
		return example;
	error = real()->setsockopt(example, SOL_SOCKET, name, value, length) < 0 ? -errno : 0;
	syscall(SYS_close, example);
	return error;
}

int options_set(struct endpoint *endpoint, int device, int level, int name, const void *value,
		socklen_t length)
{
	if (level == SOL_NETLINK)
		return set_netlink(endpoint, device, name, value, length);
	if (level == SOL_SOCKET)
		return set_socket(endpoint, device, name, value, length);
	return -ENOPROTOOPT;
}

static int give(void *value, socklen_t *length, const void *from, size_t size)
{
	if ((int) *length < 0)
		return -EINVAL;
	if (*length > size)
		*length = (socklen_t) size;
	memcpy(value, from, *length);
	return 0;
}

static int give_number(void *value, socklen_t *length, int number)
{
	return give(value, length, &number, sizeof number);
}

static int get_memberships(const struct endpoint *endpoint, void *value, socklen_t *length)
{
	uint32_t words[GROUP_WORDS * 2];
	size_t size;

	for (size_t i = 0; i < GROUP_WORDS * 2; i++) {
		/* Bit 0 is group 1 here. */
		words[i] = 0;
		for (size_t bit = 0; bit < 32; bit++) {
			size_t group = i * 32 + bit + 1;

			if (group <= GROUP_MAXIMUM &&
			    endpoint->groups[group / 64] >> group % 64 & 1)
				words[i] |= UINT32_C(1) << bit;
		}
	}
	if ((int) *length < 0)
		return -EINVAL;
	size = *length / sizeof *words * sizeof *words;
	memcpy(value, words, size < sizeof words ? size : sizeof words);
	*length = sizeof words;
	return 0;
}

static int get_netlink(struct endpoint *endpoint, int name, void *value, socklen_t *length)
{
	if (name == NETLINK_LIST_MEMBERSHIPS)
		return get_memberships(endpoint, value, length);
	for (size_t i = 0; i < NETLINK_SWITCHES; i++) {
		if (netlink_switches[i].name != name)
			continue;
		if (*length < sizeof(int))
			return -EINVAL;
		return give_number(value, length, endpoint->kept[netlink_switches[i].kept]);
	}
	return -ENOPROTOOPT;
}

static int get_of_example(const struct endpoint *endpoint, int name, void *value,
			  socklen_t *length)
{
	int example = open_example(endpoint);
	int error;

	if (example < 0)
		return example;
	error = real()->getsockopt(example, SOL_SOCKET, name, value, length) < 0 ? -errno : 0;
	syscall(SYS_close, example);
	return error;
}

static int get_timeout(int64_t timeout_us, void *value, socklen_t *length)
{
	struct timeval time = {.tv_sec = timeout_us / 1000000, .tv_usec = timeout_us % 1000000};

	return give(value, length, &time, sizeof time);
}

static int get_socket(struct endpoint *endpoint, int name, void *value, socklen_t *length)
{
	int kept = 0;

	switch (name) {
	case SO_ERROR:
		return give_number(value, length, atomic_exchange(&endpoint->pending_error, 0));
	case SO_RCVTIMEO:
		return get_timeout(endpoint->receive_timeout_us, value, length);
	case SO_SNDTIMEO:
		return get_timeout(endpoint->send_timeout_us, value, length);
	case SO_PASSCRED:
		return give_number(value, length, endpoint->kept[KEPT_PASSCRED]);
	case SO_RCVBUF:
		kept = endpoint->kept[KEPT_RCVBUF];
		break;
	case SO_SNDBUF:
		kept = endpoint->kept[KEPT_SNDBUF];
		break;
	}
	/* SO_TYPE, SO_DOMAIN and SO_PROTOCOL are the same for both, too. */
	return kept ? give_number(value, length, kept)
		    : get_of_example(endpoint, name, value, length);
}

int options_get(struct endpoint *endpoint, int level, int name, void *value, socklen_t *length)
{
	if (level == SOL_NETLINK)
		return get_netlink(endpoint, name, value, length);
	if (level == SOL_SOCKET)
		return get_socket(endpoint, name, value, length);
	return -ENOPROTOOPT;
}
