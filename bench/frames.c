/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small frames: sends them as fast as it can, or counts those that arrive.
 *
 *   frames send INTERFACE SECONDS     60-byte UDP frames, 64 to a system call
 *   frames count INTERFACE SECONDS    those of them that arrive on an interface
 *
 * The counter reads none of the frames: the socket's own statistics have what
 * matched its filter, dropped or not. So it takes no time from the subject.
 */
#define _GNU_SOURCE
#include "message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

enum { FRAME = 60, BATCH = 64, PORT = 9 /* discard */ };

static int open_socket(const char *interface, uint16_t protocol)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol) };
	const struct sock_filter only_ours[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PORT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { sizeof only_ours / sizeof *only_ours,
					    (struct sock_filter *)only_ours };
	const int fd = socket(AF_PACKET, SOCK_RAW, 0);

	address.sll_ifindex = (int)if_nametoindex(interface);
	if (fd < 0 || !address.sll_ifindex ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ||
	    bind(fd, (const void *)&address, sizeof address) < 0)
		die(interface);
	return fd;
}

/* One's complement sum of the IPv4 header, RFC 1071. */
static uint16_t checksum(const unsigned char *data, size_t length)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < length; i += 2)
		sum += (uint32_t)(data[i] << 8 | data[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* UDP from 10.77.0.1 to 10.77.0.2, each of a batch from a port of its own. */
static void fill(unsigned char *frame, unsigned int flow)
{
	static const unsigned char headers[] = {
		2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,                     /* Ethernet */
		0x45, 0, 0, FRAME - 14, 0, 0, 0x40, 0, 64, IPPROTO_UDP, 0, 0, /* IPv4 */
		10, 77, 0, 1, 10, 77, 0, 2,
		0x40, 0, 0, PORT, 0, FRAME - 34, 0, 0,                        /* UDP, no checksum */
	};
	uint16_t sum;

	memset(frame, 0, FRAME);
	memcpy(frame, headers, sizeof headers);
	sum = htons(checksum(frame + 14, 20));
	memcpy(frame + 24, &sum, sizeof sum);
	frame[35] = (unsigned char)flow;
}

static void send_frames(const char *interface, uint64_t until_ns)
{
	static unsigned char frames[BATCH][FRAME];
	static struct iovec pieces[BATCH];
	static struct mmsghdr messages[BATCH];
	const int fd = open_socket(interface, 0), one = 1;
	uintmax_t sent = 0, refused = 0;
	unsigned int i;

	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
	for (i = 0; i < BATCH; i++) {
		fill(frames[i], i);
		pieces[i].iov_base = frames[i];
		pieces[i].iov_len = FRAME;
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (now_ns() < until_ns) {
		const int done = sendmmsg(fd, messages, BATCH, 0);

		if (done > 0)
			sent += (unsigned int)done;
		else if (errno == ENOBUFS)
			refused++;
		else
			die("sendmmsg");
	}
	printf("{\"sent\": %ju, \"refused\": %ju}\n", sent, refused);
}

static void count_frames(const char *interface, uint64_t for_ns)
{
	const struct timespec wait = { (time_t)(for_ns / 1000000000u), (long)(for_ns % 1000000000u) };
	const int fd = open_socket(interface, ETH_P_ALL);
	struct tpacket_stats statistics;
	socklen_t size = sizeof statistics;
	uint64_t begin, end;

	/* reading the statistics sets them back to 0 */
	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) < 0)
		die("PACKET_STATISTICS");
	begin = now_ns();
	nanosleep(&wait, NULL);
	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) < 0)
		die("PACKET_STATISTICS");
	end = now_ns();
	printf("{\"frames\": %u, \"ns\": %ju}\n", statistics.tp_packets, (uintmax_t)(end - begin));
}

int main(int argc, char **argv)
{
	const double seconds = argc == 4 ? atof(argv[3]) : 0;
	const uint64_t ns = (uint64_t)(seconds * 1e9);

	if (ns && !strcmp(argv[1], "send"))
		send_frames(argv[2], now_ns() + ns);
	else if (ns && !strcmp(argv[1], "count"))
		count_frames(argv[2], ns);
	else {
		fprintf(stderr, "usage: %s send|count INTERFACE SECONDS\n", argv[0]);
		return 2;
	}
	return 0;
}
