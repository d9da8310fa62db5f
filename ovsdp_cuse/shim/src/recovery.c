/* SPDX-License-Identifier: Apache-2.0 */
#include "recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <ovs_datapath.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "descriptors.h"
#include "device.h"
#include "endpoint.h"
#include "options.h"
#include "say.h"

#define INTERVAL_S 1

static void put_stand_in(struct endpoint *endpoint)
{
	struct itimerspec interval = {{INTERVAL_S, 0}, {INTERVAL_S, 0}};
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (timer < 0)
		return; /* no descriptor is free: it stays, and is tried again */
	timerfd_settime(timer, 0, &interval, NULL);
	descriptors_replace(endpoint, timer);
	syscall(SYS_close, timer);
	endpoint->front = FRONT_STAND_IN;
}

void recovery_lose(struct endpoint *endpoint, int descriptor, int error)
{
	sigset_t signals;
	uint32_t pid;
	bool is_news;

	table_lock(&signals);
	/* Another thread may have noticed it too, and have opened the device again. */
	is_news = !endpoint->lost && device_get_pid(endpoint_device(endpoint, descriptor), &pid) < 0;
	if (is_news && endpoint->front == FRONT_DEVICE)
		put_stand_in(endpoint);
	if (is_news)
		endpoint->lost = true;
	table_unlock(&signals);
	if (is_news)
		say_lost(error);
}

static void put_back(struct endpoint *endpoint, int device)
{
	if (endpoint->front != FRONT_KERNEL) {
		descriptors_replace(endpoint, device);
		endpoint->front = FRONT_DEVICE;
	}
	if (endpoint->device >= 0)
		syscall(SYS_dup3, device, endpoint->device, O_CLOEXEC);
	syscall(SYS_close, device);
}

static int open_again(struct endpoint *endpoint)
{
	uint32_t pid;
	int device = device_open(&pid);

	if (device < 0)
		return -ENODEV;
	options_give_to_device(endpoint, device);
	if (device_join_again(device, endpoint) < 0) {
		syscall(SYS_close, device);
		return -ENODEV;
	}
	device_mark(device, endpoint->nonblocking);
	/* The program may have told others its PID. */
	if (!endpoint->bound ||
	    device_set_property(device, OVS_NL_ATTR_SOCK_BIND, endpoint->pid, 4) < 0)
		endpoint->pid = pid;
	put_back(endpoint, device);
	endpoint->lost = false;
	endpoint->pending_error = ENOBUFS;
	return 0;
}

int recovery_try(struct endpoint *endpoint, int descriptor)
{
	sigset_t signals;
	uint64_t expirations;
	int error = 0;

	if (!endpoint->lost)
		return 0;
	table_lock(&signals);
	if (endpoint->lost) {
		error = open_again(endpoint);
		if (error && endpoint->front == FRONT_STAND_IN &&
		    syscall(SYS_read, descriptor, &expirations, sizeof expirations) < 0)
			expirations = 0; /* it has not expired, or another thread has read it */
	}
	table_unlock(&signals);
	if (!error)
		say_found();
	return error;
}
