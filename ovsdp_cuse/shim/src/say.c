/* SPDX-License-Identifier: Apache-2.0 */
#include "say.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device.h"

static dev_t standard_error_device;
static ino_t standard_error_inode;
static _Atomic int missing;
static _Atomic bool away;

void say_begin(void)
{
	struct stat status;

	if (fstat(STDERR_FILENO, &status) == 0) {
		standard_error_device = status.st_dev;
		standard_error_inode = status.st_ino;
	}
}

/* To a pipe that nobody reads it would be the program's end: SIGPIPE is blocked for
 * this thread, and what comes of it is taken away. */
static void write_quietly(const char *text, size_t length)
{
	struct timespec at_once = {0};
	sigset_t pipe, pending, before;
	bool was_pending;

	sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &before);
	if (syscall(SYS_write, STDERR_FILENO, text, length) < 0 && errno == EPIPE && !was_pending)
		sigtimedwait(&pipe, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void say(const char *what, const char *advice)
{
	struct stat status;
	char text[512];
	int length;

	if (fstat(STDERR_FILENO, &status) < 0 || status.st_dev != standard_error_device ||
	    status.st_ino != standard_error_inode)
		return;
	length = snprintf(text, sizeof text, "ovsdp-cuse: %s: %s; %s\n", device_path(), what,
			  advice);
	if (length >= (int) sizeof text)
		length = sizeof text - 1;
	if (length > 0)
		write_quietly(text, (size_t) length);
}

void say_missing(int error)
{
	char text[128];

	if (atomic_exchange(&missing, error) == error)
		return;
	snprintf(text, sizeof text, "cannot be opened: %s", strerrordesc_np(error));
	say(text, error == EACCES || error == EPERM
			  ? "the user must be allowed to open it, as members of its group are"
		  : error == ENFILE ? "the daemon's handle-limit is reached"
				    : "is the daemon running (ovsdp-cuse serve)?");
}

void say_lost(int error)
{
	char text[128];

	if (atomic_exchange(&away, true))
		return;
	snprintf(text, sizeof text, "the daemon is gone (%s), and its datapaths with it",
		 strerrordesc_np(error));
	say(text, "it is tried again until it is back");
}

void say_found(void)
{
	if (atomic_exchange(&away, false))
		say("the daemon is back, with no datapaths",
		    "a program that had some must be restarted, or make them again");
}
