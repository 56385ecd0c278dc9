// SPDX-License-Identifier: GPL-2.0
/*
 * The transmitter sends one packet at a time, bits over rate, and never stops one that it
 * has begun. Fractions of nanoseconds are kept from one packet to the next.
 */

#include "port.h"

struct port_transmitter_parms {
	__u64 rate_bps;		/* 0: infinitely fast */
	__s32 overhead_bytes;	/* added to every packet's bytes on the wire */
	__u32 pad;
};

struct port_transmitter {
	struct port_transmitter_parms parms;
	u64 free_ns, free_frac;	/* it is free at free_ns + free_frac / rate */
};

static struct port_transmitter *port_transmitter(const struct port_sched *q)
{
	return q->state[PORT_TRANSMITTER];
}

u64 port_free_ns(const struct port_sched *q)
{
	const struct port_transmitter *t = port_transmitter(q);

	return t->free_ns + !!t->free_frac;
}

u64 port_wire_bits(const struct port_sched *q, u32 bytes)
{
	return 8 * (u64)max_t(s64, (s64)bytes + port_transmitter(q)->parms.overhead_bytes, 0);
}

/* How long a packet is sent, from `frac` / rate after a whole nanosecond to the next whole. */
u64 port_lasts_ns(const struct port_sched *q, u32 bytes, u64 frac)
{
	u64 rate = port_transmitter(q)->parms.rate_bps;

	if (!rate)
		return 0;
	return DIV64_U64_ROUND_UP(frac + port_wire_bits(q, bytes) * NSEC_PER_SEC, rate);
}

/* When a packet has left that begins at `start`, the port being free. */
u64 port_end_ns(const struct port_sched *q, u32 bytes, u64 start)
{
	u64 frac = start == port_free_ns(q) ? port_transmitter(q)->free_frac : 0;

	return start - !!frac + port_lasts_ns(q, bytes, frac);
}

/* Whether all is sent; then the transmitter is free from now on. */
bool port_idle(struct port_sched *q, u64 now)
{
	struct port_transmitter *t = port_transmitter(q);

	if (port_free_ns(q) > now)
		return false;
	t->free_ns = now;
	t->free_frac = 0;
	return true;
}

/* Sends a packet from now on, and says when it has left. */
u64 port_send(struct port_sched *q, u32 bytes, u64 now)
{
	struct port_transmitter *t = port_transmitter(q);

	if (now > port_free_ns(q)) {	/* nothing that waited was ready */
		t->free_ns = now;
		t->free_frac = 0;
	}
	if (t->parms.rate_bps)
		t->free_ns += div64_u64_rem(t->free_frac + port_wire_bits(q, bytes) * NSEC_PER_SEC,
					    t->parms.rate_bps, &t->free_frac);
	return port_free_ns(q);
}

static int port_make_transmitter(struct port_sched *made, const void *given, u32 count,
				 struct netlink_ext_ack *extack)
{
	const struct port_transmitter_parms *parms = given;
	struct port_transmitter *t = kvzalloc(sizeof(*t), GFP_KERNEL);

	made->state[PORT_TRANSMITTER] = t;
	if (!t)
		return -ENOMEM;
	if (parms->rate_bps > PORT_MAX_RATE || parms->overhead_bytes > PORT_MAX_PACKET ||
	    parms->overhead_bytes < -PORT_MAX_PACKET) {
		NL_SET_ERR_MSG(extack, "rate or overhead is out of range");
		return -ERANGE;
	}
	t->parms = *parms;
	return 0;
}

static void port_inherit_transmitter(struct Qdisc *sch, struct port_sched *made)
{
	struct port_sched *q = qdisc_priv(sch);
	struct port_transmitter *old = port_transmitter(q), *t = port_transmitter(made);

	if (!old)
		return;
	t->free_ns = old->free_ns;
	t->free_frac = old->free_frac;
	if (t->parms.rate_bps != old->parms.rate_bps) {
		t->free_ns = port_free_ns(q);
		t->free_frac = 0;
	}
}

static const struct port_stage port_transmitter_stage = {
	.attribute	= PORT_TRANSMITTER,
	.always		= true,
	.head		= sizeof(struct port_transmitter_parms),
	.make		= port_make_transmitter,
	.inherit	= port_inherit_transmitter,
};
PORT_STAGE(port_transmitter_stage);
