/* SPDX-License-Identifier: Apache-2.0 */
/* For the functions that stand in front of the C library's, and that programs
 * call: nothing else of this library can be seen from outside. */
#ifndef OVSDP_SHIM_CALLS_H
#define OVSDP_SHIM_CALLS_H 1

#include <errno.h>

#include "endpoint.h"
#include "real.h"

#define INTERCEPTED __attribute__((visibility("default")))

/* As the C library has it: -1 and errno, or errno left as it was before. */
static inline ssize_t call_result(ssize_t result, int errno_before)
{
	errno = result < 0 ? (int) -result : errno_before;
	return result < 0 ? -1 : result;
}

#endif
