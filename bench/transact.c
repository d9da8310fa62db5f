/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures one request, many times: the time of each is kept, and the median,
 * p90, p99 and mean are printed as one line of JSON, in nanoseconds.
 *
 *   transact [options] NODE        TRANSACT ioctls of a datapath GET by name
 *   transact [options] --netlink   GETFAMILY "nlctrl", send and receive, on AF_NETLINK
 *
 *   --name NAME    the datapath asked for (default bench0), made where it is not there
 *   --hex HEX      a request of your own instead, whole message
 *   --length N     bytes of the ioctl's buffer, in and out (default 512)
 *   --echo         the reply must be the request (the node is echo_server)
 *   --count N      transactions measured (default 20000), after N / 10 to warm up
 *   --cpu N        run on this processor only
 */
#define _GNU_SOURCE
#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is measured: a descriptor, a request, and how to send it. */
struct subject {
	int fd;
	int netlink, echo;
	unsigned int length;
	union message request, reply;
};

static void fail(const char *why)
{
	fprintf(stderr, "transact: %s\n", why);
	exit(1);
}

static long exchange(struct subject *s)
{
	if (!s->netlink)
		return ioctl(s->fd, OVS_IOCTL_TRANSACT(s->length), s->reply.bytes);
	if (send(s->fd, s->request.bytes, s->request.head.nlmsg.nlmsg_len, 0) < 0)
		return -1;
	return recv(s->fd, s->reply.bytes, sizeof s->reply.bytes, 0);
}

/* One transaction, timed around the system calls alone; a wrong reply is fatal. */
static uint64_t measure(struct subject *s)
{
	const struct nlmsghdr *asked = &s->request.head.nlmsg, *got = &s->reply.head.nlmsg;
	uint64_t begin, end;
	long length;

	if (!s->netlink) /* request and reply share the ioctl's buffer */
		memcpy(s->reply.bytes, s->request.bytes, asked->nlmsg_len);
	begin = now_ns();
	length = exchange(s);
	end = now_ns();
	if (length < 0)
		die("transaction");
	if ((size_t)length < sizeof *got)
		fail("a reply without a header");
	if (s->echo && memcmp(s->reply.bytes, s->request.bytes, asked->nlmsg_len))
		fail("the reply is not the request");
	if (got->nlmsg_type != asked->nlmsg_type)
		fail(got->nlmsg_type == NLMSG_ERROR ? "an NLMSG_ERROR" : "a reply of another type");
	return end - begin;
}

static void print(uint64_t *ns, size_t count)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < count; i++)
		sum += ns[i];
	qsort(ns, count, sizeof *ns, ascending);
	printf("{\"count\": %zu, \"median_ns\": %ju, \"p90_ns\": %ju, \"p99_ns\": %ju, "
	       "\"mean_ns\": %ju, \"min_ns\": %ju, \"max_ns\": %ju}\n",
	       count, (uintmax_t)ns[count / 2], (uintmax_t)ns[count * 90 / 100],
	       (uintmax_t)ns[count * 99 / 100], (uintmax_t)(sum / count), (uintmax_t)ns[0],
	       (uintmax_t)ns[count - 1]);
}

/* Makes the datapath; that it exists already is just as well. */
static void make_datapath(struct subject *s, const char *name)
{
	const struct nlmsgerr *error = NLMSG_DATA(&s->reply.head.nlmsg);
	const uint32_t nobody = 0;

	datapath_request(&s->reply, OVS_DP_CMD_NEW, 0, name);
	put(&s->reply, OVS_DP_ATTR_UPCALL_PID, &nobody, sizeof nobody);
	if (ioctl(s->fd, OVS_IOCTL_TRANSACT(s->length), s->reply.bytes) < 0)
		die("OVS_DP_CMD_NEW");
	if (s->reply.head.nlmsg.nlmsg_type == NLMSG_ERROR && error->error != -EEXIST && error->error)
		fail("the datapath cannot be made");
}

static void parse_hex(union message *m, const char *hex)
{
	size_t n = 0;

	for (; n < sizeof m->bytes && sscanf(hex, "%2hhx", &m->bytes[n]) == 1 && hex[1]; hex += 2)
		n++;
	if (*hex || n < sizeof m->head || m->head.nlmsg.nlmsg_len != n)
		fail("--hex wants one whole message");
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) < 0)
		die("sched_setaffinity");
}

/* The controller's GETFAMILY has no ovs_header: its attribute follows the genlmsghdr. */
static void getfamily_request(union message *m)
{
	m->head.nlmsg.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	m->head.nlmsg.nlmsg_type = GENL_ID_CTRL;
	m->head.nlmsg.nlmsg_flags = NLM_F_REQUEST;
	m->head.genlmsg.cmd = CTRL_CMD_GETFAMILY;
	m->head.genlmsg.version = 2;
	put(m, CTRL_ATTR_FAMILY_NAME, "nlctrl", sizeof "nlctrl");
}

static int open_netlink(void)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&kernel, sizeof kernel) < 0)
		die("netlink socket");
	return fd;
}

static const struct option options[] = {
	{ "name", required_argument, NULL, 'n' },   { "hex", required_argument, NULL, 'x' },
	{ "length", required_argument, NULL, 'l' }, { "count", required_argument, NULL, 'c' },
	{ "cpu", required_argument, NULL, 'p' },    { "echo", no_argument, NULL, 'e' },
	{ "netlink", no_argument, NULL, 'k' },      { NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
	static struct subject s = { .length = 512 };
	const char *name = "bench0", *hex = NULL;
	size_t i, count = 20000;
	uint64_t *ns;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'n': name = optarg; break;
		case 'x': hex = optarg; break;
		case 'l': s.length = (unsigned int)strtoul(optarg, NULL, 0); break;
		case 'c': count = strtoul(optarg, NULL, 0); break;
		case 'p': pin(atoi(optarg)); break;
		case 'e': s.echo = 1; break;
		case 'k': s.netlink = 1; break;
		default: return 2;
		}
	if (argc - optind != !s.netlink || count == 0 || s.length > OVS_IOCTL_MAX_LENGTH)
		fail("usage: transact [options] NODE | transact [options] --netlink");

	if (s.netlink)
		getfamily_request(&s.request);
	else if (hex)
		parse_hex(&s.request, hex);
	else
		datapath_request(&s.request, OVS_DP_CMD_GET, 0, name);
	if (s.request.head.nlmsg.nlmsg_len > s.length)
		fail("the request is longer than --length");

	s.fd = s.netlink ? open_netlink() : open(argv[optind], O_RDWR | O_CLOEXEC);
	ns = calloc(count, sizeof *ns);
	if (s.fd < 0 || !ns)
		die(s.fd < 0 ? argv[optind] : "calloc");
	if (!s.netlink && !s.echo && !hex)
		make_datapath(&s, name);
	for (i = 0; i < count / 10; i++)
		measure(&s);
	for (i = 0; i < count; i++)
		ns[i] = measure(&s);
	print(ns, count);
	free(ns);
	return 0;
}
