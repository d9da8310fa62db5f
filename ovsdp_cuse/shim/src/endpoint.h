/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An endpoint is what the program takes for one generic netlink socket, and the
 * table says which of its descriptors are one.
 *
 * Endpoints lie in an array and are never freed, only used again, so a pointer
 * to one always points to one; what keeps it the same one is a reference. Each
 * descriptor has a reference, and each call that is running. To look one up
 * takes no lock and allocates nothing.
 *
 * What changes the table, or what a descriptor is, holds the table's lock, with
 * all signals blocked: a handler may close a socket too.
 */
#ifndef OVSDP_SHIM_ENDPOINT_H
#define OVSDP_SHIM_ENDPOINT_H 1

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* What the program's descriptors are at the moment. */
enum front {
	FRONT_DEVICE,  /* the device */
	FRONT_KERNEL,  /* a netlink socket of the kernel's */
	FRONT_STAND_IN /* a timer, while the device is away: see recovery.h */
};

/* Socket options that are only remembered, or that the device has too. */
enum kept_option {
	KEPT_RCVBUF, /* as getsockopt(2) tells it, that is doubled */
	KEPT_SNDBUF,
	KEPT_PASSCRED,
	KEPT_BROADCAST_ERROR,
	KEPT_NO_ENOBUFS,
	KEPT_LISTEN_ALL_NSID,
	KEPT_CAP_ACK,
	KEPT_EXT_ACK,
	KEPT_GET_STRICT_CHK,
	KEPT_COUNT
};

/* That an epoll(7) set waits for a descriptor. */
struct watch {
	int set;
	int descriptor;
	struct epoll_event event;
};

#define WATCHES 128 /* of one endpoint, that are remembered */

#define GROUP_MAXIMUM 1023 /* the highest multicast group that is remembered */
#define GROUP_WORDS ((GROUP_MAXIMUM + 1) / 64)

struct endpoint {
	_Atomic bool in_use;
	_Atomic uint32_t references;
	_Atomic uint32_t generation;
	_Atomic int front;
	_Atomic int device; /* the device, a descriptor of our own */
	_Atomic int kernel; /* the kernel's socket, a descriptor of our own, or -1 */
	_Atomic int bell;   /* readable once there is a kernel's socket; -1 if nobody waits */
	_Atomic bool lost;  /* the device has gone, and is not back */
	_Atomic bool trying; /* a thread is opening it again */
	_Atomic uint32_t epoch; /* how often it was opened again */
	_Atomic bool nonblocking;
	_Atomic bool bound; /* getsockname() tells the PID */
	_Atomic int type;   /* SOCK_RAW or SOCK_DGRAM */
	_Atomic int pending_error;
	_Atomic uint32_t pid;
	_Atomic uint32_t kernel_pid;
	_Atomic uint32_t peer_pid; /* of connect() */
	_Atomic uint32_t peer_groups;
	_Atomic int64_t receive_timeout_us; /* SO_RCVTIMEO, 0 for none */
	_Atomic int64_t send_timeout_us;
	_Atomic int kept[KEPT_COUNT];
	_Atomic uint64_t groups[GROUP_WORDS]; /* of the device, as bits */
	/* Only for who holds the lock: see watches.h. */
	int watch_count;
	struct watch watches[WATCHES];
};

/* The endpoint that a descriptor is, with a reference for the caller, or NULL. */
struct endpoint *endpoint_get(int descriptor);

/* Give a reference back. */
void endpoint_put(struct endpoint *endpoint);

/* For __attribute__((cleanup)): also when the thread is cancelled. */
void endpoint_leave(struct endpoint **endpoint);
#define LEAVING __attribute__((cleanup(endpoint_leave)))

/* Whether a descriptor is one that the program does not know of. */
bool table_is_private(int descriptor);

/* Whether a descriptor is an endpoint; for calls that need nothing of it. */
bool table_has(int descriptor);

/* Take the lock, and give it back; nests not. */
void table_lock(sigset_t *signals);
void table_unlock(const sigset_t *signals);

/* Whether this process may change the table: in a child of vfork(2), which has
 * its parent's memory but not its descriptors, it may not. */
bool table_is_ours(void);

/* The rest is for who holds the lock. */

/* A new endpoint for a descriptor of the device; NULL if there is no room for it,
 * or no descriptor of our own. */
struct endpoint *table_add(int descriptor);

/* Make a second descriptor the same endpoint; false if its number is too high. */
bool table_alias(int descriptor, struct endpoint *endpoint);

/* The endpoint with this PID, or NULL. */
struct endpoint *table_of_pid(uint32_t pid);

/* Forget a descriptor. What it was comes with its reference, or NULL. */
struct endpoint *table_take(int descriptor);

/* Call for each descriptor of an endpoint. */
void table_for_each(struct endpoint *endpoint, void (*call)(int descriptor, int file), int file);

/* Move a descriptor where programs do not expect one, and close the first. The
 * new one, or a negative errno; then the first is closed all the same. */
int table_hide(int descriptor);

/* Close a descriptor of our own; -1 is none. */
void table_close_private(int descriptor);

/* The highest descriptor that the table may know. */
int table_highest(void);

/* In a child of fork(2). */
void table_forked(void);

#endif
