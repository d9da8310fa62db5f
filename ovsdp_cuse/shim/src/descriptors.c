/* SPDX-License-Identifier: Apache-2.0 */
#include "descriptors.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "endpoint.h"
#include "real.h"
#include "watches.h"

static void replace(int descriptor, int file)
{
	int flags = real()->fcntl(descriptor, F_GETFD);

	syscall(SYS_dup3, file, descriptor, flags > 0 && flags & FD_CLOEXEC ? O_CLOEXEC : 0);
}

void descriptors_replace(struct endpoint *endpoint, int file)
{
	watches_leave(endpoint);
	table_for_each(endpoint, replace, file);
	watches_enter(endpoint);
}
