/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes COUNT datapaths, dumps them all through each door, deletes them.
 *
 *   dump NODE COUNT ROUNDS
 *
 * A dump is one pass: every datapath once, no NLM_F_DUMP_INTR, NLMSG_DONE at the
 * end; anything else is fatal. The medians of the rounds, in nanoseconds, and the
 * number of reads that one dump took are printed as one line of JSON.
 */
#define _GNU_SOURCE
#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What a dump found so far. */
struct tally {
	unsigned int datapaths, reads;
	int done;
};

typedef int (*begin_dump)(int fd, union message *m);
typedef long (*read_part)(int fd, void *buffer, size_t length);

static unsigned char part[65536];

static int fail(const char *why)
{
	fprintf(stderr, "dump: %s\n", why);
	exit(1);
}

/* Both doors carry the same request and the same parts. */
static int begin_by_ioctl(int fd, union message *m)
{
	return ioctl(fd, OVS_IOCTL_WRITE(sizeof m->bytes), m->bytes) < 0;
}

static long read_by_ioctl(int fd, void *buffer, size_t length)
{
	(void)length;
	return ioctl(fd, OVS_IOCTL_READ(OVS_IOCTL_MAX_LENGTH), buffer);
}

static int begin_by_stream(int fd, union message *m)
{
	return write(fd, m->bytes, m->head.nlmsg.nlmsg_len) != (ssize_t)m->head.nlmsg.nlmsg_len;
}

static long read_by_stream(int fd, void *buffer, size_t length)
{
	return read(fd, buffer, length);
}

static void count_part(struct tally *tally, long size)
{
	const struct nlmsghdr *at = (const void *)part;
	int left = (int)size;

	if (size < 0)
		die("reading the dump");
	if (size == 0)
		fail("a dump without NLMSG_DONE");
	tally->reads++;
	for (; NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
		if (at->nlmsg_flags & NLM_F_DUMP_INTR)
			fail("an interrupted dump");
		if (at->nlmsg_type == NLMSG_DONE)
			tally->done = 1;
		else if (at->nlmsg_type == OVS_WIN_NL_DATAPATH_FAMILY_ID)
			tally->datapaths++;
		else
			fail("a message that is no datapath");
	}
}

static uint64_t dump(int fd, begin_dump begin, read_part next, struct tally *tally)
{
	const struct tally nothing = { 0, 0, 0 };
	static union message m;
	uint64_t start;

	*tally = nothing;
	datapath_request(&m, OVS_DP_CMD_GET, NLM_F_DUMP, NULL);
	start = now_ns();
	if (begin(fd, &m))
		die("begin");
	while (!tally->done)
		count_part(tally, next(fd, part, sizeof part));
	return now_ns() - start;
}

static void for_each_datapath(int fd, unsigned int count, uint8_t cmd)
{
	static union message m;
	char name[16];
	unsigned int i;
	const uint32_t nobody = 0;

	for (i = 0; i < count; i++) {
		snprintf(name, sizeof name, "dump%u", i);
		datapath_request(&m, cmd, 0, name);
		if (cmd == OVS_DP_CMD_NEW)
			put(&m, OVS_DP_ATTR_UPCALL_PID, &nobody, sizeof nobody);
		if (ioctl(fd, OVS_IOCTL_TRANSACT(512), m.bytes) < 0)
			die(name);
		if (m.head.nlmsg.nlmsg_type == NLMSG_ERROR &&
		    ((const struct nlmsgerr *)NLMSG_DATA(&m.head.nlmsg))->error)
			fail("a datapath could not be made or deleted");
	}
}

static void measure(int fd, const char *door, begin_dump begin, read_part next,
		    unsigned int expected, size_t rounds, const char *after)
{
	uint64_t *ns = calloc(rounds, sizeof *ns);
	struct tally tally;
	size_t i;

	if (!ns)
		die("calloc");
	for (i = 0; i < rounds; i++) {
		ns[i] = dump(fd, begin, next, &tally);
		if (tally.datapaths != expected)
			fail("a dump that misses datapaths, or repeats them");
	}
	qsort(ns, rounds, sizeof *ns, ascending);
	printf("\"%s\": {\"median_ns\": %ju, \"reads\": %u}%s", door, (uintmax_t)ns[rounds / 2],
	       tally.reads, after);
	free(ns);
}

int main(int argc, char **argv)
{
	struct tally before;
	unsigned int count;
	size_t rounds;
	int fd;

	if (argc != 4 || !(count = (unsigned int)strtoul(argv[2], NULL, 0)) ||
	    !(rounds = strtoul(argv[3], NULL, 0)))
		return fail("usage: dump NODE COUNT ROUNDS");
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(argv[1]);
	dump(fd, begin_by_ioctl, read_by_ioctl, &before);
	for_each_datapath(fd, count, OVS_DP_CMD_NEW);
	printf("{\"datapaths\": %u, ", before.datapaths + count);
	measure(fd, "ioctl", begin_by_ioctl, read_by_ioctl, before.datapaths + count, rounds, ", ");
	measure(fd, "stream", begin_by_stream, read_by_stream, before.datapaths + count, rounds, "}\n");
	for_each_datapath(fd, count, OVS_DP_CMD_DEL);
	return 0;
}
