// SPDX-License-Identifier: GPL-2.0
/*
 * Background: packets that exist only as numbers in the queues, from seeded sources, one
 * or more per queue. They wait, delay and fill buffers as packets do and vanish when sent.
 */

#include "port.h"

#define PORT_BACKGROUND		1
#define PORT_MAX_SOURCES	64
#define PORT_MAX_GAP_SECONDS	100000	/* 45 times its picoseconds fit 63 bits */
#define PORT_SIZES		4

enum { PORT_PERIODIC, PORT_POISSON };

struct port_source_parms {
	__u64 rate_bps;		/* of packets without overhead */
	__u64 seed;
	__u64 start_ns;		/* CLOCK_MONOTONIC; when it is set, if that is later */
	__u64 stop_ns;		/* 0: never */
	__u32 queue;
	__u32 arrivals;		/* PORT_PERIODIC or PORT_POISSON */
	__u32 burst;		/* packets arriving together */
	__u32 pad;
	struct { __u32 bytes, weight; } size[PORT_SIZES];
};

struct port_source {
	struct port_source_parms parms;
	u64 random;
	u64 next_ps;		/* next arrival; U64_MAX: none */
	u64 gap_ps;		/* mean, between bursts */
	u32 weights;
};

struct port_background {
	u32 count;
	struct port_source source[];
};

/* -ln(u), u uniform in (0, 1], times 2^24: the logarithm's bits by repeated squaring. */
static u64 port_exponential(u64 *state)
{
	u64 u = port_random(state) | 1;
	u32 zeros = __builtin_clzll(u), fraction = 0;
	u64 x = (u << zeros) >> 32;		/* [2^31, 2^32): 1 <= x < 2 */
	int bit;

	for (bit = 23; bit >= 0; bit--) {
		x = (x * x) >> 31;
		if (x >> 32) {
			x >>= 1;
			fraction |= 1 << bit;
		}
	}
	/* log2(u / 2^64) = fraction / 2^24 - zeros - 1; ln 2 = 2977044472 / 2^32 */
	return mul_u64_u64_shr(((u64)(zeros + 1) << 24) - fraction, 2977044472ULL, 32);
}

static u64 port_gap(struct port_source *s)
{
	if (s->parms.arrivals == PORT_PERIODIC)
		return s->gap_ps;
	return mul_u64_u64_shr(s->gap_ps, port_exponential(&s->random), 24);
}

static u32 port_size(struct port_source *s)
{
	u32 i, pick;

	if (s->parms.size[0].weight == s->weights)
		return s->parms.size[0].bytes;
	pick = (u64)(u32)(port_random(&s->random) >> 32) * s->weights >> 32;
	for (i = 0; pick >= s->parms.size[i].weight; i++)
		pick -= s->parms.size[i].weight;
	return s->parms.size[i].bytes;
}

static const struct port_source *port_next_source(const struct port_background *background)
{
	const struct port_source *first = NULL;
	u32 i;

	for (i = 0; i < background->count; i++)
		if (!first || background->source[i].next_ps < first->next_ps)
			first = &background->source[i];
	return first;
}

static u64 port_next_background(const void *state)
{
	const struct port_source *s = port_next_source(state);

	return s && s->next_ps != U64_MAX ? div_u64(s->next_ps, 1000) : U64_MAX;
}

static void port_wait(struct port_source *s, u64 ps)
{
	if (check_add_overflow(s->next_ps, ps, &s->next_ps) ||
	    (s->parms.stop_ns && div_u64(s->next_ps, 1000) >= s->parms.stop_ns))
		s->next_ps = U64_MAX;
}

static void port_background_arrives(struct port_sched *q, void *state)
{
	struct port_source *s = (struct port_source *)port_next_source(state);
	u64 now = div_u64(s->next_ps, 1000);
	u32 i;

	for (i = 0; i < s->parms.burst; i++)
		port_arrive(q, s->parms.queue, NULL, port_size(s), now);
	port_wait(s, port_gap(s));
}

static int port_make_source(struct port_source *s, const struct port_source_parms *parms, u64 now)
{
	u64 bits = 0;
	u32 j;

	for (j = 0; j < PORT_SIZES; j++) {
		if (parms->size[j].bytes > PORT_MAX_PACKET || parms->size[j].weight > 10000)
			return -EINVAL;
		s->weights += parms->size[j].weight;
		bits += 8ULL * parms->size[j].bytes * parms->size[j].weight;
	}
	if (!bits || parms->arrivals > PORT_POISSON ||
	    !parms->burst || parms->burst > 10000 ||
	    !parms->rate_bps || parms->rate_bps > PORT_MAX_RATE ||
	    parms->start_ns > div_u64(U64_MAX, 1000))
		return -EINVAL;
	/* mean gap: burst * (bits / weights) / rate */
	if (div64_u64(bits * parms->burst, s->weights * parms->rate_bps) >= PORT_MAX_GAP_SECONDS)
		return -EINVAL;
	s->gap_ps = mul_u64_u64_div_u64(bits * parms->burst, 1000000000000ULL,
					s->weights * parms->rate_bps);
	if (!s->gap_ps)
		return -EINVAL;
	s->parms = *parms;
	s->random = parms->seed;
	s->next_ps = max(parms->start_ns, now) * 1000;
	/* a periodic source starts anywhere in its first period */
	port_wait(s, parms->arrivals == PORT_PERIODIC ?
		  mul_u64_u64_shr(s->gap_ps, port_random(&s->random), 64) : port_gap(s));
	return 0;
}

static int port_make_background(struct port_sched *made, const void *given, u32 count,
				struct netlink_ext_ack *extack)
{
	const struct port_source_parms *parms = given;
	struct port_background *background;
	u64 now = ktime_get_ns();
	u32 i;
	int err;

	background = kvzalloc(struct_size(background, source, count), GFP_KERNEL);
	made->state[PORT_BACKGROUND] = background;
	if (!background)
		return -ENOMEM;
	background->count = count;
	for (i = 0; i < count; i++) {
		err = port_make_source(&background->source[i], &parms[i], now);
		if (err) {
			NL_SET_ERR_MSG(extack, "a background source's queue, rate, sizes, arrivals or start are out of range");
			return err;
		}
	}
	return 0;
}

/* Sources that stay the same go on. */
static void port_inherit_background(struct Qdisc *sch, struct port_sched *made)
{
	struct port_sched *q = qdisc_priv(sch);
	struct port_background *old = q->state[PORT_BACKGROUND];
	struct port_background *background = made->state[PORT_BACKGROUND];
	u32 i, j;

	for (i = 0; i < background->count; i++)
		for (j = 0; old && j < old->count; j++)
			if (!memcmp(&background->source[i].parms, &old->source[j].parms,
				    sizeof(struct port_source_parms))) {
				background->source[i].random = old->source[j].random;
				background->source[i].next_ps = old->source[j].next_ps;
			}
}

static const struct port_stage port_background_stage = {
	.attribute	= PORT_BACKGROUND,
	.size		= sizeof(struct port_source_parms),
	.most		= PORT_MAX_SOURCES,
	.make		= port_make_background,
	.inherit	= port_inherit_background,
	.next_ns	= port_next_background,
	.happens	= port_background_arrives,
};
PORT_STAGE(port_background_stage);
