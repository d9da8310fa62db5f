/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A netlink socket over the datapath device: what Open vSwitch's Windows code
 * made of CreateFile, DeviceIoControl and overlapped waits, made of open,
 * ioctl and poll. docs/porting.md explains it, with the functions as they
 * stand in port_socket.c. Functions return 0 or a positive errno.
 */
#ifndef PORT_SOCKET_H
#define PORT_SOCKET_H 1

#include <ovs_datapath.h>

#include <stddef.h>

enum { BUFFER_SIZE = 65536 };

/* A message, and room for any reply. */
union message {
	struct ovs_message head;
	char bytes[BUFFER_SIZE];
};

struct sock {
	int fd;
	__u32 pid;
	__u32 sequence;
	enum { REPLIES, EVENTS, PACKETS } reads; /* what sock_receive() reads */
};

/* Messages ----------------------------------------------------------------- */

void begin(union message *m, __u16 family, __u16 flags, __u8 cmd, __u8 version, int dp_ifindex);
void put(union message *m, __u16 type, const void *data, size_t length);
void put_u8(union message *m, __u16 type, __u8 value);
void put_u32(union message *m, __u16 type, __u32 value);
void put_string(union message *m, __u16 type, const char *value);
size_t begin_nested(union message *m, __u16 type);
void end_nested(union message *m, size_t start);
const char *find(const struct nlmsghdr *m, __u16 type, size_t least);
const char *explanation(const union message *m);

/* Sockets ------------------------------------------------------------------ */

int sock_create(struct sock *s, const char *path);
int sock_is_lost(const struct sock *s);
int sock_set_properties(struct sock *s, __u32 protocol, __u32 receive_buffer);
int sock_join(struct sock *s, __u32 group, int join);
int sock_subscribe_packets(struct sock *s, int subscribe);
int sock_send(struct sock *s, union message *m);
int sock_receive(struct sock *s, union message *m, size_t *length);
int sock_pend(struct sock *s);
int sock_wait(struct sock *s, int timeout_ms);
int sock_transact(struct sock *s, union message *m);
int sock_transact_long(struct sock *s, union message *m);

/* Dumps -------------------------------------------------------------------- */

typedef void visitor(const struct nlmsghdr *m, void *data);

int dump_by_ioctl(struct sock *s, union message *m, visitor *visit, void *data);
int dump_by_read(struct sock *s, union message *m, visitor *visit, void *data);

#endif
