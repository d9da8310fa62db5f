/* SPDX-License-Identifier: Apache-2.0 */
/* What the library has to say, on the standard error that the program began
 * with; nothing once that is another file. */
#ifndef OVSDP_SHIM_SAY_H
#define OVSDP_SHIM_SAY_H 1

#include <stdbool.h>

/* To be called when the library is loaded. */
void say_begin(void);

/* The device cannot be opened; said once for each error. */
void say_missing(int error);

/* The device has gone away, or is back; said once for each time. */
void say_lost(int error);
void say_found(void);

#endif
