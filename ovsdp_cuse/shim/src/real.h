/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that ours stand in front of: whatever the dynamic linker would
 * have found without us, which is the C library as a rule.
 */
#ifndef OVSDP_SHIM_REAL_H
#define OVSDP_SHIM_REAL_H 1

#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* result, name, parameters */
#define REAL_FUNCTIONS(X) \
	X(int, socket, (int, int, int)) \
	X(int, bind, (int, const struct sockaddr *, socklen_t)) \
	X(int, connect, (int, const struct sockaddr *, socklen_t)) \
	X(int, listen, (int, int)) \
	X(int, accept, (int, struct sockaddr *, socklen_t *)) \
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int)) \
	X(int, shutdown, (int, int)) \
	X(int, getsockname, (int, struct sockaddr *, socklen_t *)) \
	X(int, getpeername, (int, struct sockaddr *, socklen_t *)) \
	X(int, setsockopt, (int, int, int, const void *, socklen_t)) \
	X(int, getsockopt, (int, int, int, void *, socklen_t *)) \
	X(ssize_t, send, (int, const void *, size_t, int)) \
	X(ssize_t, sendto, \
	  (int, const void *, size_t, int, const struct sockaddr *, socklen_t)) \
	X(ssize_t, sendmsg, (int, const struct msghdr *, int)) \
	X(int, sendmmsg, (int, struct mmsghdr *, unsigned int, int)) \
	X(ssize_t, recv, (int, void *, size_t, int)) \
	X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *)) \
	X(ssize_t, recvmsg, (int, struct msghdr *, int)) \
	X(int, recvmmsg, (int, struct mmsghdr *, unsigned int, int, struct timespec *)) \
	X(ssize_t, read, (int, void *, size_t)) \
	X(ssize_t, readv, (int, const struct iovec *, int)) \
	X(ssize_t, write, (int, const void *, size_t)) \
	X(ssize_t, writev, (int, const struct iovec *, int)) \
	X(int, poll, (struct pollfd *, nfds_t, int)) \
	X(int, epoll_ctl, (int, int, int, struct epoll_event *)) \
	X(int, close, (int)) \
	X(int, fclose, (FILE *)) \
	X(int, dup, (int)) \
	X(int, dup2, (int, int)) \
	X(int, dup3, (int, int, int)) \
	X(int, fcntl, (int, int, ...)) \
	X(int, ioctl, (int, unsigned long, ...))

struct real {
#define FIELD(result, name, parameters) result(*name) parameters;
	REAL_FUNCTIONS(FIELD)
#undef FIELD
};

/* All of them. The first call looks them up, which start.c sees to when the
 * library is loaded; from then on this may be called in a signal handler. */
const struct real *real(void);

#endif
