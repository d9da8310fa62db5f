/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <ovs_datapath.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "endpoint.h"
#include "real.h"
#include "scratch.h"
#include "vectors.h"

#define LONGEST_READ (31 * 4096) /* bytes of the longest datagram that every node gives */

/* F_SETSIG numbers a signal that only O_ASYNC uses, which the device has not;
 * it is kept with the open file. These are too high for any program to want. */
#define MARK_BLOCKING 62
#define MARK_NONBLOCKING 63

/* A request of the control family with one or two attributes, and its reply. */
struct control {
	struct ovs_message head;
	uint8_t attributes[104];
};

static int ioctl_device(int device, unsigned long number, void *argument)
{
	int result = real()->ioctl(device, number, argument);

	return result < 0 ? -errno : result;
}

static char path_wanted[PATH_MAX] = OVS_DEVICE_PATH;

void device_begin(void)
{
	const char *path = getenv("OVSDP_DEVICE");

	/* One that is too long, or not there yet, is for open() to judge. The program may
	 * go to another directory. */
	if (path && *path && !realpath(path, path_wanted))
		snprintf(path_wanted, sizeof path_wanted, "%s", path);
}

const char *device_path(void)
{
	return path_wanted;
}

/* open(2), which a thread can be cancelled in, where socket(2) cannot. */
static int open_path(void)
{
	return (int) syscall(SYS_openat, AT_FDCWD, path_wanted, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

int device_get_pid(int device, uint32_t *pid)
{
	return ioctl_device(device, OVS_IOCTL_GET_PID, pid);
}

static void begin(struct control *control, uint8_t command)
{
	memset(control, 0, sizeof *control);
	control->head.nlmsg.nlmsg_len = sizeof control->head;
	control->head.nlmsg.nlmsg_type = OVS_WIN_NL_CTRL_FAMILY_ID;
	control->head.nlmsg.nlmsg_flags = NLM_F_REQUEST;
	control->head.genlmsg.cmd = command;
	control->head.genlmsg.version = OVS_WIN_CONTROL_VERSION;
}

static void put(struct control *control, uint16_t attribute, uint32_t value, size_t size)
{
	uint8_t *place = (uint8_t *) control + control->head.nlmsg.nlmsg_len;
	struct nlattr head = {.nla_len = (uint16_t) (NLA_HDRLEN + size), .nla_type = attribute};
	uint8_t byte = (uint8_t) value;

	memcpy(place, &head, sizeof head);
	if (size == 1)
		memcpy(place + NLA_HDRLEN, &byte, 1);
	else
		memcpy(place + NLA_HDRLEN, &value, sizeof value);
	control->head.nlmsg.nlmsg_len += NLA_HDRLEN + NLA_ALIGN(size);
}

/* SOCK_PROP with one attribute; the PID of the handle comes back. Its errors come
 * as messages. */
static int set_property(int device, uint16_t attribute, uint32_t value, size_t size,
			uint32_t *pid)
{
	struct control control;
	struct nlmsgerr error;
	int length;

	begin(&control, OVS_CTRL_CMD_SOCK_PROP);
	put(&control, attribute, value, size);
	length = ioctl_device(device, OVS_IOCTL_TRANSACT(sizeof control), &control);
	if (length < (int) sizeof control.head)
		return length < 0 ? length : -EPROTO;
	*pid = control.head.nlmsg.nlmsg_pid;
	if (control.head.nlmsg.nlmsg_type != NLMSG_ERROR)
		return 0;
	memcpy(&error.error, (uint8_t *) &control + NLMSG_HDRLEN, sizeof error.error);
	return error.error;
}

int device_set_property(int device, uint16_t attribute, uint32_t value, size_t size)
{
	uint32_t pid;

	return set_property(device, attribute, value, size, &pid);
}

int device_open(uint32_t *pid)
{
	int device = open_path();
	int error;

	if (device < 0)
		return -errno;
	/* The device has extended acknowledgements at first, a socket has not. */
	error = set_property(device, OVS_NL_ATTR_SOCK_EXT_ACK, 0, 1, pid);
	if (error < 0) {
		syscall(SYS_close, device);
		return error == -ENOTTY ? -ENODEV : error;
	}
	return device;
}

int device_subscribe(int device, uint32_t group, bool joins)
{
	struct control control;
	int result;

	begin(&control, OVS_CTRL_CMD_MC_SUBSCRIBE_REQ);
	put(&control, OVS_NL_ATTR_MCAST_GRP, group, 4);
	put(&control, OVS_NL_ATTR_MCAST_JOIN, joins, 1);
	result = ioctl_device(device, OVS_IOCTL_WRITE(sizeof control), &control);
	return result < 0 ? result : 0;
}

int device_join_again(int device, const struct endpoint *endpoint)
{
	int error = 0;

	for (uint32_t group = 0; group <= GROUP_MAXIMUM && !error; group++) {
		if (endpoint->groups[group / 64] >> group % 64 & 1)
			error = device_subscribe(device, group, true);
	}
	return error;
}

/* A datagram that is longer than its buffers: cut it, as a socket does. */
static ssize_t receive_cut(int device, const struct iovec *vectors, size_t count, size_t *copied)
{
	SCRATCH(scratch);
	uint8_t *bytes = scratch_room(&scratch, LONGEST_READ);
	ssize_t length;

	if (!bytes)
		return -ENOBUFS;
	length = real()->read(device, bytes, LONGEST_READ);
	if (length < 0)
		return -errno;
	*copied = vectors_scatter(vectors, count, bytes, (size_t) length);
	return length;
}

static ssize_t peek(int device, const struct iovec *vectors, size_t count, size_t room,
		    size_t *copied)
{
	SCRATCH(scratch);
	size_t size = room < OVS_IOCTL_MAX_LENGTH ? room : OVS_IOCTL_MAX_LENGTH;
	uint8_t *bytes = scratch_room(&scratch, size);
	ssize_t length;

	if (!bytes)
		return -ENOBUFS;
	length = ioctl_device(device, OVS_IOCTL_PEEK(size), bytes);
	if (length <= 0)
		return length < 0 ? length : -EAGAIN;
	if (size > (size_t) length)
		size = (size_t) length;
	*copied = vectors_scatter(vectors, count, bytes, size);
	return length;
}

ssize_t device_receive(int device, const struct iovec *vectors, size_t count, size_t room,
		       bool peeks, size_t *copied)
{
	ssize_t length;

	if (peeks)
		return peek(device, vectors, count, room, copied);
	if (!room) /* a read(2) of no bytes never reaches the device */
		return receive_cut(device, vectors, count, copied);
	length = count == 1 ? real()->read(device, vectors->iov_base, vectors->iov_len)
			    : real()->readv(device, vectors, (int) count);
	if (length < 0)
		return errno == EMSGSIZE ? receive_cut(device, vectors, count, copied) : -errno;
	*copied = (size_t) length;
	return length;
}

bool device_is_gone(int error)
{
	return error == ENODEV || error == ENOTCONN || error == ECONNABORTED || error == ENXIO;
}

void device_mark(int device, bool nonblocking)
{
	real()->fcntl(device, F_SETSIG, nonblocking ? MARK_NONBLOCKING : MARK_BLOCKING);
}

bool device_is_marked(int descriptor, bool *nonblocking)
{
	int mark = real()->fcntl(descriptor, F_GETSIG);

	*nonblocking = mark == MARK_NONBLOCKING;
	return mark == MARK_BLOCKING || mark == MARK_NONBLOCKING;
}
