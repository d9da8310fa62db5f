/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs call that were built with _FORTIFY_SOURCE: the same functions,
 * with the size of the buffer where the compiler knew it.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"

/* The C library's; it ends the program. */
extern void __chk_fail(void) __attribute__((noreturn));

INTERCEPTED ssize_t __read_chk(int descriptor, void *buffer, size_t size, size_t room);
INTERCEPTED ssize_t __recv_chk(int descriptor, void *buffer, size_t size, size_t room, int flags);
INTERCEPTED ssize_t __recvfrom_chk(int descriptor, void *buffer, size_t size, size_t room,
				   int flags, __SOCKADDR_ARG address, socklen_t *length);

ssize_t __read_chk(int descriptor, void *buffer, size_t size, size_t room)
{
	if (size > room)
		__chk_fail();
	return read(descriptor, buffer, size);
}

ssize_t __recv_chk(int descriptor, void *buffer, size_t size, size_t room, int flags)
{
	if (size > room)
		__chk_fail();
	return recv(descriptor, buffer, size, flags);
}

ssize_t __recvfrom_chk(int descriptor, void *buffer, size_t size, size_t room, int flags,
		       __SOCKADDR_ARG address, socklen_t *length)
{
	if (size > room)
		__chk_fail();
	return recvfrom(descriptor, buffer, size, flags, address, length);
}
