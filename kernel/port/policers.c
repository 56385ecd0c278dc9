// SPDX-License-Identifier: GPL-2.0
/*
 * A policer is a token bucket, full at first, that saves up at most its burst. A packet
 * takes its bytes on the wire at its committed rate, or is dropped and takes none.
 */

#include "port.h"

#define PORT_POLICERS 2

struct port_policer_parms {
	__u64 rate_bps;		/* on the wire */
	__u32 id;
	__u32 burst_bytes;
};

struct port_policer {
	struct port_policer_parms parms;
	s64 burst_ps;
	s64 spent_ps;		/* all tokens up to here are taken */
};

struct port_policers {
	u32 count;
	struct port_policer policer[];
};

static struct port_policer *port_find_policer(struct port_policers *policers, u32 id)
{
	u32 i;

	for (i = 0; i < policers->count; i++)
		if (policers->policer[i].parms.id == id)
			return &policers->policer[i];
	return NULL;
}

static bool port_conforms(void *state, u32 id, u32 bytes, u64 now)
{
	struct port_policer *policer = port_find_policer(state, id);
	s64 spent_ps;

	if (!policer)
		return true;
	spent_ps = max_t(s64, policer->spent_ps, now * 1000 - policer->burst_ps) +
		div64_u64(8000000000000ULL * bytes, policer->parms.rate_bps);
	if (spent_ps > (s64)(now * 1000))
		return false;
	policer->spent_ps = spent_ps;
	return true;
}

static int port_make_policers(struct port_sched *made, const void *given, u32 count,
			      struct netlink_ext_ack *extack)
{
	const struct port_policer_parms *parms = given;
	struct port_policers *policers;
	u32 i;

	policers = kvzalloc(struct_size(policers, policer, count), GFP_KERNEL);
	made->state[PORT_POLICERS] = policers;
	if (!policers)
		return -ENOMEM;
	for (i = 0; i < count; policers->count = ++i) {
		struct port_policer *policer = &policers->policer[i];

		if (port_find_policer(policers, parms[i].id) || parms[i].rate_bps < 8 ||
		    parms[i].rate_bps > PORT_MAX_RATE || parms[i].burst_bytes > PORT_MAX_BURST ||
		    div64_u64(8ULL * parms[i].burst_bytes, parms[i].rate_bps) >=
		    PORT_MAX_BURST_SECONDS) {
			NL_SET_ERR_MSG(extack, "a policer's id, rate or burst is out of range");
			return -EINVAL;
		}
		policer->parms = parms[i];
		policer->burst_ps = mul_u64_u64_div_u64(8000000000000ULL, parms[i].burst_bytes,
							parms[i].rate_bps);
		policer->spent_ps = -policer->burst_ps;
	}
	return 0;
}

static void port_inherit_policers(struct Qdisc *sch, struct port_sched *made)
{
	struct port_sched *q = qdisc_priv(sch);
	struct port_policers *old = q->state[PORT_POLICERS], *policers = made->state[PORT_POLICERS];
	struct port_policer *policer;
	u32 i;

	for (i = 0; old && i < old->count; i++) {
		policer = port_find_policer(policers, old->policer[i].parms.id);
		if (policer)
			policer->spent_ps = old->policer[i].spent_ps;
	}
}

static const struct port_stage port_policers_stage = {
	.attribute	= PORT_POLICERS,
	.size		= sizeof(struct port_policer_parms),
	.most		= PORT_MAX_QUEUES,
	.make		= port_make_policers,
	.inherit	= port_inherit_policers,
	.admits		= port_conforms,
};
PORT_STAGE(port_policers_stage);
