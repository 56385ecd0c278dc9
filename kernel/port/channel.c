// SPDX-License-Identifier: GPL-2.0
/*
 * The channel: a packet is delivered to the device when its last bit has travelled so
 * long, in order, or is lost by seeded numbers.
 */

#include "port.h"

#define PORT_CHANNEL 6

struct port_channel_parms {
	__u64 delay_ns;
	__u64 seed;		/* of losses */
	__u32 loss;		/* probability times 2^32 */
	__u32 pad;
};

struct port_channel {
	struct port_channel_parms parms;
	u64 last_ns;		/* last delivery, so that none overtakes */
	u64 random;
};

static u64 port_travels(void *state, struct port_cb *packet, u64 sent)
{
	struct port_channel *c = state;

	c->last_ns = max(sent + c->parms.delay_ns, c->last_ns);
	packet->lost |= c->parms.loss && (u32)(port_random(&c->random) >> 32) < c->parms.loss;
	return c->last_ns;
}

static u64 port_least_travel(const void *state)
{
	return ((const struct port_channel *)state)->parms.delay_ns;
}

static int port_make_channel(struct port_sched *made, const void *given, u32 count,
			     struct netlink_ext_ack *extack)
{
	const struct port_channel_parms *parms = given;
	struct port_channel *c = kvzalloc(sizeof(*c), GFP_KERNEL);

	made->state[PORT_CHANNEL] = c;
	if (!c)
		return -ENOMEM;
	if (parms->delay_ns > PORT_MAX_SECONDS * (u64)NSEC_PER_SEC) {
		NL_SET_ERR_MSG(extack, "the delay is out of range");
		return -ERANGE;
	}
	c->parms = *parms;
	c->random = parms->seed;
	return 0;
}

static void port_inherit_channel(struct Qdisc *sch, struct port_sched *made)
{
	struct port_sched *q = qdisc_priv(sch);
	struct port_channel *old = q->state[PORT_CHANNEL], *c = made->state[PORT_CHANNEL];

	if (!old)
		return;
	c->last_ns = old->last_ns;
	if (c->parms.seed == old->parms.seed)
		c->random = old->random;
}

static const struct port_stage port_channel_stage = {
	.attribute	= PORT_CHANNEL,
	.always		= true,
	.head		= sizeof(struct port_channel_parms),
	.make		= port_make_channel,
	.inherit	= port_inherit_channel,
	.arrives_ns	= port_travels,
	.least_ns	= port_least_travel,
};
PORT_STAGE(port_channel_stage);
