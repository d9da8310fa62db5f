/* SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <string.h>

#define KERNEL_FAMILIES 0x400
#define DEVICE_NAMES "ovs_"
#define CONTROLLER_NAME "nlctrl"

/* What is true of lengths here: a claim of the sender's, to be checked. */
struct attribute {
	uint16_t type;
	uint8_t *payload;
	size_t size;
};

/* The attribute at `offset` of `bytes`; the offset of the next one, 0 at the end. */
static size_t next_attribute(uint8_t *bytes, size_t size, size_t offset,
			     struct attribute *attribute)
{
	struct nlattr head;

	if (offset > size || size - offset < NLA_HDRLEN)
		return 0;
	memcpy(&head, bytes + offset, sizeof head);
	if (head.nla_len < NLA_HDRLEN || head.nla_len > size - offset)
		return 0;
	attribute->type = head.nla_type & NLA_TYPE_MASK;
	attribute->payload = bytes + offset + NLA_HDRLEN;
	attribute->size = head.nla_len - (size_t) NLA_HDRLEN;
	return offset + NLA_ALIGN(head.nla_len);
}

static bool next_message(const uint8_t *messages, size_t size, size_t offset,
			 struct nlmsghdr *head)
{
	if (offset > size || size - offset < NLMSG_HDRLEN)
		return false;
	memcpy(head, messages + offset, sizeof *head);
	return head->nlmsg_len >= NLMSG_HDRLEN && head->nlmsg_len <= size - offset;
}

static uint16_t to_program(uint16_t family)
{
	return family >= NLMSG_MIN_TYPE && family != GENL_ID_CTRL ? family + KERNEL_FAMILIES
								   : family;
}

static uint16_t to_kernel(uint16_t family)
{
	return family >= KERNEL_FAMILIES + NLMSG_MIN_TYPE ? family - KERNEL_FAMILIES : family;
}

static bool is_ours(const struct attribute *name)
{
	const char *text = (const char *) name->payload;
	size_t length = strnlen(text, name->size);

	return (length >= strlen(DEVICE_NAMES) &&
		!memcmp(text, DEVICE_NAMES, strlen(DEVICE_NAMES))) ||
	       (length == strlen(CONTROLLER_NAME) && !memcmp(text, CONTROLLER_NAME, length));
}

static enum whose route_look_up(const uint8_t *message, size_t size)
{
	struct attribute attribute;
	enum whose whose = WHOSE_DEVICE;
	size_t offset = NLMSG_HDRLEN + GENL_HDRLEN;
	uint16_t family;

	while ((offset = next_attribute((uint8_t *) message, size, offset, &attribute))) {
		if (attribute.type == CTRL_ATTR_FAMILY_NAME)
			return is_ours(&attribute) ? WHOSE_DEVICE : WHOSE_KERNEL;
		if (attribute.type == CTRL_ATTR_FAMILY_ID && attribute.size >= sizeof family) {
			memcpy(&family, attribute.payload, sizeof family);
			whose = to_kernel(family) == family ? WHOSE_DEVICE : WHOSE_KERNEL;
		}
	}
	return whose;
}

enum whose families_route(const uint8_t *messages, size_t size)
{
	struct nlmsghdr head;

	if (size < sizeof head)
		return WHOSE_LAST;
	memcpy(&head, messages, sizeof head);
	if (head.nlmsg_type < NLMSG_MIN_TYPE)
		return WHOSE_LAST;
	if (head.nlmsg_type != GENL_ID_CTRL)
		return to_kernel(head.nlmsg_type) == head.nlmsg_type ? WHOSE_DEVICE : WHOSE_KERNEL;
	return route_look_up(messages, head.nlmsg_len < size ? head.nlmsg_len : size);
}

static void translate_family(const struct attribute *attribute, uint16_t (*translate)(uint16_t))
{
	uint16_t family;

	if (attribute->size < sizeof family)
		return;
	memcpy(&family, attribute->payload, sizeof family);
	family = translate(family);
	memcpy(attribute->payload, &family, sizeof family);
}

static void translate_groups(const struct attribute *groups)
{
	struct attribute group, part;
	size_t outer = 0, inner;
	uint32_t number;

	while ((outer = next_attribute(groups->payload, groups->size, outer, &group))) {
		inner = 0;
		while ((inner = next_attribute(group.payload, group.size, inner, &part))) {
			if (part.type != CTRL_ATTR_MCAST_GRP_ID || part.size < sizeof number)
				continue;
			memcpy(&number, part.payload, sizeof number);
			number += KERNEL_GROUPS;
			memcpy(part.payload, &number, sizeof number);
		}
	}
}

/* What nlctrl says, or is asked. */
static void translate_controller(uint8_t *message, size_t size, uint16_t (*translate)(uint16_t))
{
	struct attribute attribute;
	size_t offset = NLMSG_HDRLEN + GENL_HDRLEN;

	while ((offset = next_attribute(message, size, offset, &attribute))) {
		if (attribute.type == CTRL_ATTR_FAMILY_ID)
			translate_family(&attribute, translate);
		else if (attribute.type == CTRL_ATTR_MCAST_GROUPS && translate == to_program)
			translate_groups(&attribute);
	}
}

static void translate_pid(uint32_t *pid, uint32_t from, uint32_t to)
{
	if (*pid == from)
		*pid = to;
}

void families_to_kernel(uint8_t *messages, size_t size, const struct pids *pids)
{
	struct nlmsghdr head;

	for (size_t offset = 0; next_message(messages, size, offset, &head);
	     offset += NLMSG_ALIGN(head.nlmsg_len)) {
		if (head.nlmsg_type == GENL_ID_CTRL)
			translate_controller(messages + offset, head.nlmsg_len, to_kernel);
		head.nlmsg_type = to_kernel(head.nlmsg_type);
		translate_pid(&head.nlmsg_pid, pids->program, pids->kernel);
		memcpy(messages + offset, &head, sizeof head);
	}
}

/* An NLMSG_ERROR echoes the head of the request, and mostly all of it. */
static void translate_error(uint8_t *message, size_t size, bool is_capped,
			    const struct pids *pids)
{
	const size_t start = NLMSG_HDRLEN + offsetof(struct nlmsgerr, msg);
	struct nlmsghdr head;

	if (size < start + sizeof head)
		return;
	memcpy(&head, message + start, sizeof head);
	if (head.nlmsg_type == GENL_ID_CTRL && head.nlmsg_len <= size - start && !is_capped)
		translate_controller(message + start, head.nlmsg_len, to_program);
	head.nlmsg_type = to_program(head.nlmsg_type);
	translate_pid(&head.nlmsg_pid, pids->kernel, pids->program);
	memcpy(message + start, &head, sizeof head);
}

void families_to_program(uint8_t *messages, size_t size, const struct pids *pids)
{
	struct nlmsghdr head;

	for (size_t offset = 0; next_message(messages, size, offset, &head);
	     offset += NLMSG_ALIGN(head.nlmsg_len)) {
		if (head.nlmsg_type == NLMSG_ERROR)
			translate_error(messages + offset, head.nlmsg_len,
					head.nlmsg_flags & NLM_F_CAPPED, pids);
		else if (head.nlmsg_type == GENL_ID_CTRL)
			translate_controller(messages + offset, head.nlmsg_len, to_program);
		head.nlmsg_type = to_program(head.nlmsg_type);
		translate_pid(&head.nlmsg_pid, pids->kernel, pids->program);
		memcpy(messages + offset, &head, sizeof head);
	}
}
