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

void recovery_lose(struct endpoint *endpoint, uint32_t epoch, int error)
{
	sigset_t signals;
	bool is_news;

	table_lock(&signals);
	/* Another thread may have noticed it too, and have opened the device again. */
	is_news = !endpoint->lost && endpoint->epoch == epoch;
	if (is_news) {
		endpoint->lost = true;
		if (endpoint->front == FRONT_DEVICE)
			put_stand_in(endpoint);
	}
	table_unlock(&signals);
	if (is_news)
		say_lost(error);
}

static void put_back(struct endpoint *endpoint, int device, uint32_t pid)
{
	sigset_t signals;

	table_lock(&signals);
	syscall(SYS_dup3, device, endpoint->device, O_CLOEXEC);
	if (endpoint->front != FRONT_KERNEL) {
		descriptors_replace(endpoint, device);
		endpoint->front = FRONT_DEVICE;
	}
	endpoint->pid = pid;
	endpoint->epoch++;
	if (!endpoint->kept[KEPT_NO_ENOBUFS])
		endpoint->pending_error = ENOBUFS;
	endpoint->lost = false;
	table_unlock(&signals);
	syscall(SYS_close, device);
	say_found();
}

/* No lock here: it may take the daemon long to answer. */
static int open_again(struct endpoint *endpoint)
{
	uint32_t pid, wanted = endpoint->pid;
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
	if (endpoint->bound && device_set_property(device, OVS_NL_ATTR_SOCK_BIND, wanted, 4) == 0)
		pid = wanted;
	put_back(endpoint, device, pid);
	return 0;
}

/* It is away still: let the stand-in, if it is in front, wait for another second. */
static void wait_again(struct endpoint *endpoint, int descriptor)
{
	sigset_t signals;
	uint64_t expirations;

	table_lock(&signals);
	if (endpoint->lost && endpoint->front == FRONT_DEVICE)
		put_stand_in(endpoint); /* there was no descriptor for it before */
	if (endpoint->front == FRONT_STAND_IN &&
	    syscall(SYS_read, descriptor, &expirations, sizeof expirations) < 0)
		expirations = 0; /* it has not expired, or another thread has read it */
	table_unlock(&signals);
}

int recovery_try(struct endpoint *endpoint, int descriptor)
{
	int error = -ENODEV;

	if (!endpoint->lost)
		return 0;
	if (!atomic_exchange(&endpoint->trying, true)) {
		error = endpoint->lost ? open_again(endpoint) : 0;
		endpoint->trying = false;
	}
	if (error)
		wait_again(endpoint, descriptor);
	return error;
}

int recovery_of(struct endpoint *endpoint, uint32_t epoch, int result)
{
	if (result >= 0 || !device_is_gone(-result))
		return result;
	recovery_lose(endpoint, epoch, -result);
	return -ENODEV;
}
