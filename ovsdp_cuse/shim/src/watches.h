/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which epoll(7) sets wait for an endpoint. A set waits for an open file, not for
 * a descriptor: when a descriptor becomes another file, the set is told. All of
 * this is for who holds the table's lock.
 */
#ifndef OVSDP_SHIM_WATCHES_H
#define OVSDP_SHIM_WATCHES_H 1

#include <sys/epoll.h>

struct endpoint;

/* What epoll_ctl() has done. More than WATCHES are not remembered. */
void watches_note(struct endpoint *endpoint, int set, int operation, int descriptor,
		  const struct epoll_event *event);

/* A descriptor is closed. */
void watches_forget(struct endpoint *endpoint, int descriptor);

/* Before and after the endpoint's descriptors become another file. */
void watches_leave(struct endpoint *endpoint);
void watches_enter(struct endpoint *endpoint);

#endif
