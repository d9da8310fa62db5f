/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ping: sends an ICMP echo request, and ends when the reply is there.
 *
 *   ping ADDRESS SECONDS
 *
 * The kernel asks for the address by ARP first. Prints nanoseconds, ARP included.
 */
#define _GNU_SOURCE
#include "message.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>

enum { ID = 0x6f76 };

/* Whether the next packet, with its IPv4 header, is the reply. */
static int is_reply(int fd)
{
	unsigned char packet[128];
	struct icmphdr icmp;
	const ssize_t length = recv(fd, packet, sizeof packet, 0);
	const size_t header = (packet[0] & 15u) * 4;

	if (length < 0)
		die("recv");
	if ((size_t)length < header + sizeof icmp)
		return 0;
	memcpy(&icmp, packet + header, sizeof icmp);
	return icmp.type == ICMP_ECHOREPLY && icmp.un.echo.id == htons(ID);
}

int main(int argc, char **argv)
{
	struct icmphdr request = { .type = ICMP_ECHO };
	struct sockaddr_in there = { .sin_family = AF_INET };
	const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	struct pollfd wanted = { fd, POLLIN, 0 };
	uint64_t begin_ns;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &there.sin_addr) != 1) {
		fprintf(stderr, "usage: %s ADDRESS SECONDS\n", argv[0]);
		return 2;
	}
	request.un.echo.id = htons(ID);
	/* one's complement of the only two words that are not 0, RFC 1071 */
	request.checksum = htons((uint16_t) ~((ICMP_ECHO << 8) + ID));
	begin_ns = now_ns();
	if (fd < 0 ||
	    sendto(fd, &request, sizeof request, 0, (const void *)&there, sizeof there) < 0)
		die("sendto");
	do {
		if (poll(&wanted, 1, atoi(argv[2]) * 1000) <= 0) {
			fprintf(stderr, "no reply in %s seconds\n", argv[2]);
			return 1;
		}
	} while (!is_reply(fd));
	printf("{\"ns\": %ju}\n", (uintmax_t)(now_ns() - begin_ns));
	return 0;
}
