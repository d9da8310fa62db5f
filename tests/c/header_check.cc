/* SPDX-License-Identifier: Apache-2.0 */
/* The same checks, read by a C++ compiler. */
#include "header_check.c"
