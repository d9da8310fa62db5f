/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the daemon ends, and when it is back.
 *
 * A handle that is dead is readable for ever, with an error, and a program that
 * waits for it would run in circles. So a timer takes its place, which is
 * readable once a second: the receive that follows tries to open the device
 * again. When that succeeds the socket is as it was, with its PID unless another
 * has taken that, and ENOBUFS tells that messages were lost.
 */
#ifndef OVSDP_SHIM_RECOVERY_H
#define OVSDP_SHIM_RECOVERY_H 1

#include <stdint.h>

struct endpoint;

/* The device has gone, as `error` says of a call that began at an `epoch` of the
 * endpoint's. */
void recovery_lose(struct endpoint *endpoint, uint32_t epoch, int error);

/* 0 if the device is there, or there again; else -ENODEV. */
int recovery_try(struct endpoint *endpoint, int descriptor);

/* What a call that began at an epoch returns: `result`, or -ENODEV, and the loss is
 * known, where that says that the device is gone. */
int recovery_of(struct endpoint *endpoint, uint32_t epoch, int result);

#endif
