/* SPDX-License-Identifier: Apache-2.0 */
/* What the program's descriptors of an endpoint are can be changed under it. */
#ifndef OVSDP_SHIM_DESCRIPTORS_H
#define OVSDP_SHIM_DESCRIPTORS_H 1

struct endpoint;

/* Make all descriptors of an endpoint a file that is open already; each keeps its
 * FD_CLOEXEC. The caller holds the table's lock. */
void descriptors_replace(struct endpoint *endpoint, int file);

#endif
