/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 32-bit client of a 64-bit daemon: GET_PID by ioctl, and the 2014 patch's
 * WIN_GET_PID by TRANSACT; both must succeed and name the same PID.
 *
 *   cc -m32 -static -nostdlib -ffreestanding ... compat.c
 *   ./compat DEVICE        prints the PID; the status is the step that failed
 *
 * It brings its own entry and system calls (i386: number in eax, arguments in
 * ebx, ecx, edx; a result in -4095..-1 is a negative errno), so that it can be
 * built where gcc has no 32-bit C library, which is the usual case.
 */
#include "ovs_datapath.h"

#include <asm/unistd.h>
#include <linux/fcntl.h>

enum { FAILED_USAGE = 1, FAILED_OPEN, FAILED_GET_PID, FAILED_TRANSACT, FAILED_SAME_PID };

/* The stack at entry holds argc and then argv; the ABI wants it aligned to 16. */
__asm__(".globl _start\n"
	"_start:\n"
	"\tmov %esp, %eax\n"
	"\tand $-16, %esp\n"
	"\tsub $12, %esp\n"
	"\tpush %eax\n"
	"\tcall start\n");

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "0"(number), "b"(a), "c"(b), "d"(c)
			 : "memory");
	return result;
}

static void print(__u32 value)
{
	char text[11], *at = text + sizeof text;

	*--at = '\n';
	do
		*--at = (char)('0' + value % 10);
	while ((value /= 10) != 0);
	call(__NR_write, 1, (long)at, text + sizeof text - at);
}

static int converse(long fd)
{
	struct ovs_message m = {
		.nlmsg = { .nlmsg_len = sizeof m,
			   .nlmsg_type = OVS_WIN_NL_CTRL_FAMILY_ID,
			   .nlmsg_flags = NLM_F_REQUEST },
		.genlmsg = { .cmd = OVS_CTRL_CMD_WIN_GET_PID,
			     .version = OVS_WIN_CONTROL_VERSION },
	};
	__u32 pid = 0;

	if (call(__NR_ioctl, fd, (long)OVS_IOCTL_GET_PID, (long)&pid) != sizeof pid || pid == 0)
		return FAILED_GET_PID;
	if (call(__NR_ioctl, fd, (long)OVS_IOCTL_TRANSACT(sizeof m), (long)&m) != sizeof m)
		return FAILED_TRANSACT;
	if (m.nlmsg.nlmsg_pid != pid)
		return FAILED_SAME_PID;
	print(pid);
	return 0;
}

__attribute__((noreturn, used)) void start(const long *stack);

void start(const long *stack)
{
	long fd = stack[0] == 2 ? call(__NR_open, stack[2], O_RDWR, 0) : -1;
	int status = stack[0] != 2 ? FAILED_USAGE : fd < 0 ? FAILED_OPEN : converse(fd);

	call(__NR_exit, status, 0, 0);
	__builtin_unreachable();
}
