/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DESCRIPTORS (1 << 20) /* fs.nr_open, unless somebody has raised it */
#define ENDPOINTS 4095
#define INDEX_BITS 12
#define INDEX_MASK ((1u << INDEX_BITS) - 1)
#define PRIVATE UINT32_MAX
#define PRIVATE_LOWEST 1000 /* few programs choose such a number themselves */

/* Which endpoint a descriptor is: its index + 1, and above that its generation;
 * 0 for none. Memory that is never touched costs nothing. */
static _Atomic uint32_t table[DESCRIPTORS];
static struct endpoint endpoints[ENDPOINTS];
static _Atomic int highest = -1;
static int endpoints_used; /* the number of those that were ever in use */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic pid_t owner;

static bool is_in_table(int descriptor)
{
	return descriptor >= 0 && descriptor < DESCRIPTORS;
}

static uint32_t slot_of(struct endpoint *endpoint)
{
	return endpoint->generation << INDEX_BITS | (uint32_t) (endpoint - endpoints + 1);
}

static struct endpoint *endpoint_of(uint32_t slot)
{
	if (!slot || slot == PRIVATE)
		return NULL;
	return &endpoints[(slot & INDEX_MASK) - 1];
}

static uint32_t load(int descriptor)
{
	return is_in_table(descriptor) ? atomic_load(&table[descriptor]) : 0;
}

static void store(int descriptor, uint32_t slot)
{
	atomic_store(&table[descriptor], slot);
	if (descriptor > highest)
		highest = descriptor;
}

struct endpoint *endpoint_get(int descriptor)
{
	for (;;) {
		uint32_t slot = load(descriptor);
		struct endpoint *endpoint = endpoint_of(slot);
		uint32_t references;

		if (!endpoint)
			return NULL;
		references = atomic_load(&endpoint->references);
		if (!references || !atomic_compare_exchange_weak(&endpoint->references, &references,
								 references + 1))
			continue;
		/* Now it stays what it is. Is it still what the descriptor is? */
		if (load(descriptor) == slot)
			return endpoint;
		endpoint_put(endpoint);
	}
}

void endpoint_put(struct endpoint *endpoint)
{
	if (atomic_fetch_sub(&endpoint->references, 1) != 1)
		return;
	table_close_private(endpoint->device);
	table_close_private(endpoint->kernel);
	table_close_private(endpoint->bell);
	atomic_store(&endpoint->in_use, false);
}

void endpoint_leave(struct endpoint **endpoint)
{
	if (*endpoint)
		endpoint_put(*endpoint);
}

bool table_is_private(int descriptor)
{
	return load(descriptor) == PRIVATE;
}

bool table_has(int descriptor)
{
	return endpoint_of(load(descriptor)) != NULL;
}

void table_lock(sigset_t *signals)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, signals);
	pthread_mutex_lock(&lock);
}

void table_unlock(const sigset_t *signals)
{
	pthread_mutex_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, signals, NULL);
}

bool table_is_ours(void)
{
	pid_t process = owner;

	/* Before the library has started nobody has forked. */
	return !process || process == getpid();
}

void table_forked(void)
{
	owner = getpid();
	/* A set is shared with the parent, and so is what it waits for: only the parent
	 * changes that. */
	for (int i = 0; i < endpoints_used; i++) {
		if (!endpoints[i].in_use)
			continue;
		endpoints[i].watch_count = 0;
		endpoints[i].trying = false; /* the thread that did is not here */
	}
}

struct endpoint *table_add(int descriptor)
{
	int device;

	if (!is_in_table(descriptor))
		return NULL;
	device = (int) syscall(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, 0);
	if (device >= 0)
		device = table_hide(device);
	if (device < 0)
		return NULL;
	for (int i = 0; i < ENDPOINTS; i++) {
		struct endpoint *endpoint = &endpoints[i];

		if (endpoint->in_use)
			continue;
		endpoint->generation++;
		if (slot_of(endpoint) == PRIVATE)
			endpoint->generation++;
		endpoint->front = FRONT_DEVICE;
		endpoint->device = device;
		endpoint->kernel = endpoint->bell = -1;
		endpoint->trying = false;
		endpoint->lost = endpoint->nonblocking = endpoint->bound = false;
		endpoint->type = endpoint->pending_error = 0;
		endpoint->pid = endpoint->kernel_pid = 0;
		endpoint->peer_pid = endpoint->peer_groups = 0;
		endpoint->receive_timeout_us = endpoint->send_timeout_us = 0;
		for (int option = 0; option < KEPT_COUNT; option++)
			endpoint->kept[option] = 0;
		for (int word = 0; word < GROUP_WORDS; word++)
			endpoint->groups[word] = 0;
		endpoint->watch_count = 0;
		endpoint->in_use = true;
		endpoint->references = 1;
		if (i >= endpoints_used)
			endpoints_used = i + 1;
		store(descriptor, slot_of(endpoint));
		return endpoint;
	}
	table_close_private(device);
	return NULL;
}

bool table_alias(int descriptor, struct endpoint *endpoint)
{
	if (!is_in_table(descriptor))
		return false;
	atomic_fetch_add(&endpoint->references, 1);
	store(descriptor, slot_of(endpoint));
	return true;
}

struct endpoint *table_of_pid(uint32_t pid)
{
	for (int i = 0; i < endpoints_used; i++) {
		if (endpoints[i].in_use && endpoints[i].pid == pid)
			return &endpoints[i];
	}
	return NULL;
}

struct endpoint *table_take(int descriptor)
{
	struct endpoint *endpoint = endpoint_of(load(descriptor));

	if (endpoint)
		atomic_store(&table[descriptor], 0);
	return endpoint;
}

void table_for_each(struct endpoint *endpoint, void (*call)(int descriptor, int file), int file)
{
	uint32_t slot = slot_of(endpoint);

	for (int descriptor = 0; descriptor <= highest; descriptor++) {
		if (load(descriptor) == slot)
			call(descriptor, file);
	}
}

int table_hide(int descriptor)
{
	struct rlimit limit = {.rlim_cur = 1024};
	int hidden, error = EMFILE;

	getrlimit(RLIMIT_NOFILE, &limit);
	/* Higher ones would make the kernel's table of them long. */
	if (limit.rlim_cur > 2 * PRIVATE_LOWEST)
		limit.rlim_cur = 2 * PRIVATE_LOWEST;
	hidden = (int) syscall(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, limit.rlim_cur / 2);
	if (hidden < 0)
		error = errno;
	syscall(SYS_close, descriptor);
	if (hidden < 0)
		return -error;
	if (!is_in_table(hidden)) {
		syscall(SYS_close, hidden);
		return -EMFILE;
	}
	store(hidden, PRIVATE);
	return hidden;
}

void table_close_private(int descriptor)
{
	if (descriptor < 0)
		return;
	atomic_store(&table[descriptor], 0);
	syscall(SYS_close, descriptor);
}

int table_highest(void)
{
	return highest;
}
