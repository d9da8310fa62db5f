/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor that the daemon is measured against: a node of the same kind, with
 * the same restricted ioctls, whose server gives every ioctl's bytes back.
 *
 *   echo_server fuse PATH    mounts over the existing file PATH; SIGTERM unmounts
 *   echo_server cuse NAME    makes /dev/NAME
 *
 * It prints "ready" when the node answers. Structures and opcodes are those of
 * <linux/fuse.h>; a FUSE mount whose root is a regular file is a node that has
 * ioctl without CUSE.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAX_WRITE = 65536, BUFFER = MAX_WRITE + FUSE_MIN_READ_BUFFER };

static union {
	struct fuse_in_header head;
	char bytes[BUFFER];
} request;

static const void *const body = request.bytes + sizeof(struct fuse_in_header);
static const char *device_name; /* of a CUSE node */
static volatile sig_atomic_t stopping;

static void stop(int signal)
{
	(void)signal;
	stopping = 1;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* One reply: a header, and up to two pieces of payload. */
static void reply(int fd, int error, const void *first, size_t first_size, const void *second,
		  size_t second_size)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof out + first_size + second_size),
		.error = -error,
		.unique = request.head.unique,
	};
	struct iovec pieces[] = {
		{ &out, sizeof out },
		{ (void *)first, first_size },
		{ (void *)second, second_size },
	};

	/* ENOENT: the request was interrupted and is gone, which is no fault */
	if (writev(fd, pieces, 3) < 0 && errno != ENOENT)
		die("reply");
}

static void fuse_init(int fd)
{
	const struct fuse_init_in *in = body;
	const struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor
							       : FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.flags = in->flags & FUSE_BIG_WRITES,
		.max_write = MAX_WRITE,
	};

	reply(fd, 0, &out, sizeof out, NULL, 0);
}

static void cuse_init(int fd)
{
	char info[256];
	const int length = snprintf(info, sizeof info, "DEVNAME=%s", device_name);
	const struct cuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_read = MAX_WRITE,
		.max_write = MAX_WRITE, /* and no CUSE_UNRESTRICTED_IOCTL in .flags */
	};

	reply(fd, 0, &out, sizeof out, info, (size_t)length + 1);
}

static void get_attributes(int fd)
{
	const struct fuse_attr_out out = {
		.attr_valid = 3600,
		.attr = { .ino = FUSE_ROOT_ID, .mode = S_IFREG | 0666, .nlink = 1 },
	};

	reply(fd, 0, &out, sizeof out, NULL, 0);
}

static void open_file(int fd)
{
	const struct fuse_open_out out = { .open_flags = FOPEN_DIRECT_IO };

	reply(fd, 0, &out, sizeof out, NULL, 0);
}

static void echo_ioctl(int fd)
{
	const struct fuse_ioctl_in *in = body;
	const size_t length = in->in_size < in->out_size ? in->in_size : in->out_size;
	const struct fuse_ioctl_out out = { .result = (int32_t)length };

	reply(fd, 0, &out, sizeof out, in + 1, length);
}

static void answer(int fd)
{
	switch (request.head.opcode) {
	case FUSE_INIT:
		fuse_init(fd);
		break;
	case CUSE_INIT:
		cuse_init(fd);
		puts("ready");
		fflush(stdout);
		break;
	case FUSE_GETATTR:
		get_attributes(fd);
		break;
	case FUSE_OPEN:
		open_file(fd);
		break;
	case FUSE_IOCTL:
		echo_ioctl(fd);
		break;
	case FUSE_RELEASE:
	case FUSE_FLUSH:
	case FUSE_DESTROY:
		reply(fd, 0, NULL, 0, NULL, 0);
		break;
	case FUSE_INTERRUPT: /* these three have no reply */
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		break;
	default:
		reply(fd, ENOSYS, NULL, 0, NULL, 0);
	}
}

static int mount_fuse(const char *path)
{
	char options[256];
	const int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("/dev/fuse");
	snprintf(options, sizeof options, "fd=%d,rootmode=0100666,user_id=%u,group_id=%u,allow_other",
		 fd, getuid(), getgid());
	if (mount("ovsdp-bench-echo", path, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		die("mount");
	puts("ready"); /* an open waits for INIT by itself */
	fflush(stdout);
	return fd;
}

static int open_cuse(const char *name)
{
	const int fd = open("/dev/cuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("/dev/cuse");
	device_name = name;
	return fd;
}

int main(int argc, char **argv)
{
	const struct sigaction on_stop = { .sa_handler = stop }; /* no SA_RESTART: read ends */
	const int fuse = argc == 3 && !strcmp(argv[1], "fuse");
	int fd;

	if (!fuse && !(argc == 3 && !strcmp(argv[1], "cuse"))) {
		fprintf(stderr, "usage: %s fuse PATH | cuse NAME\n", argv[0]);
		return 2;
	}
	sigaction(SIGTERM, &on_stop, NULL);
	sigaction(SIGINT, &on_stop, NULL);
	fd = fuse ? mount_fuse(argv[2]) : open_cuse(argv[2]);
	while (!stopping) {
		if (read(fd, request.bytes, sizeof request.bytes) >= 0)
			answer(fd);
		else if (errno == ENODEV) /* unmounted from outside */
			return 0;
		else if (errno != EINTR && errno != ENOENT && errno != EAGAIN)
			die("read");
	}
	if (fuse && umount2(argv[2], MNT_DETACH) < 0)
		die("umount");
	return 0;
}
