/* SPDX-License-Identifier: Apache-2.0 */
#include "watches.h"

#include <stddef.h>

#include "endpoint.h"
#include "real.h"

static struct watch *find(struct endpoint *endpoint, int set, int descriptor)
{
	for (int i = 0; i < endpoint->watch_count; i++) {
		struct watch *watch = &endpoint->watches[i];

		if (watch->set == set && watch->descriptor == descriptor)
			return watch;
	}
	return NULL;
}

static void forget(struct endpoint *endpoint, struct watch *watch)
{
	*watch = endpoint->watches[--endpoint->watch_count];
}

void watches_note(struct endpoint *endpoint, int set, int operation, int descriptor,
		  const struct epoll_event *event)
{
	struct watch *watch = find(endpoint, set, descriptor);

	if (operation == EPOLL_CTL_DEL) {
		if (watch)
			forget(endpoint, watch);
		return;
	}
	if (!watch && operation == EPOLL_CTL_ADD && endpoint->watch_count < WATCHES)
		watch = &endpoint->watches[endpoint->watch_count++];
	if (watch)
		*watch = (struct watch) {set, descriptor, *event};
}

void watches_forget(struct endpoint *endpoint, int descriptor)
{
	for (int i = endpoint->watch_count - 1; i >= 0; i--) {
		if (endpoint->watches[i].descriptor == descriptor)
			forget(endpoint, &endpoint->watches[i]);
	}
}

void watches_leave(struct endpoint *endpoint)
{
	/* A set that does not know it any more was closed, and is perhaps another one. */
	for (int i = endpoint->watch_count - 1; i >= 0; i--) {
		struct watch *watch = &endpoint->watches[i];

		if (real()->epoll_ctl(watch->set, EPOLL_CTL_DEL, watch->descriptor, NULL) < 0)
			forget(endpoint, watch);
	}
}

void watches_enter(struct endpoint *endpoint)
{
	for (int i = endpoint->watch_count - 1; i >= 0; i--) {
		struct watch *watch = &endpoint->watches[i];

		if (real()->epoll_ctl(watch->set, EPOLL_CTL_ADD, watch->descriptor,
				      &watch->event) < 0)
			forget(endpoint, watch);
	}
}
