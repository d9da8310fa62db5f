/* SPDX-License-Identifier: Apache-2.0 */
#include "real.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct real functions;
static atomic_bool found;

static void look_up(const char *name, void *place)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function) {
		static const char text[] = "ovsdp-cuse: the C library has no function ";

		/* write() is one that is being looked up. */
		syscall(SYS_write, STDERR_FILENO, text, sizeof text - 1);
		syscall(SYS_write, STDERR_FILENO, name, strlen(name));
		_exit(127);
	}
	/* ISO C has no conversion between the two kinds of pointer, POSIX has. */
	memcpy(place, &function, sizeof function);
}

static void look_up_all(void)
{
#define LOOK_UP(result, name, parameters) look_up(#name, &functions.name);
	REAL_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
	atomic_store(&found, true);
}

const struct real *real(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (!atomic_load_explicit(&found, memory_order_acquire))
		pthread_once(&once, look_up_all);
	return &functions;
}
