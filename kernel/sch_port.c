// SPDX-License-Identifier: GPL-2.0
/*
 * sch_port: one direction of a link as physics has it, a store-and-forward port.
 *
 *     arrivals --> queues --> transmitter --> fibre --> device
 *                  finite     one packet at   delay,
 *                  buffers    a time: bits    in order
 *                             over rate
 *
 * - A packet whose queue is full is dropped. The packet in transmission no longer
 *   counts as queued.
 * - The transmitter never stops a packet it has begun. When it is free it serves
 *   first the queues that are behind their promised rate, lowest level first, then the
 *   one furthest behind; then all others, lowest level first (strict priority), queues
 *   of one level sharing by deficit round robin, quantum bytes a turn.
 * - A queue with a peak rate begins no packet before the one before it has taken
 *   bits / peak since it began.
 * - A packet is delivered to the device when its last bit has travelled the fibre.
 * - skb->priority H:(N+1), with H the qdisc's handle, selects queue N, as OpenFlow
 *   set_queue:N does; everything else goes to the default queue.
 *
 * - A packet is taken off its sender's send buffer when its transmission begins, as a
 *   device takes it over, not when it arrives.
 *
 * State is never touched by timers. It is advanced to the present before every
 * arrival and delivery: all that the transmitter did in between is worked out at the
 * times it did it, with fractions of nanoseconds kept. So results do not depend on
 * when timers fire, also on a wall clock. At one instant the order is: the
 * transmitter takes its next packet, background arrives, packets arrive.
 *
 * Background: packets that exist only as numbers in the queues, from seeded sources,
 * one or more per queue. They wait, delay and fill buffers as packets do and vanish
 * when sent.
 *
 * testbed/reference/port.py states the same as an event model; the two agree packet
 * by packet. testbed/emulation/port_qdisc.py speaks the netlink attributes below.
 */

#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/netlink.h>
#include <net/pkt_sched.h>
#include <net/sock.h>

#define PORT_MAX_QUEUES		64
#define PORT_MAX_SOURCES	64
#define PORT_MAX_LIMIT		(1 << 20)
#define PORT_MAX_RATE		10000000000000ULL	/* 10 Tbit/s: products fit 64 bits */
#define PORT_MAX_PACKET		(1 << 17)
#define PORT_MAX_BURST		(1 << 28)
#define PORT_SIZES		4

enum {
	TCA_PORT_UNSPEC,
	TCA_PORT_PARMS,		/* struct port_parms */
	TCA_PORT_QUEUES,	/* array of struct port_queue_parms */
	TCA_PORT_SOURCES,	/* array of struct port_source_parms */
	__TCA_PORT_MAX,
};
#define TCA_PORT_MAX (__TCA_PORT_MAX - 1)

struct port_parms {
	__u64 rate_bps;		/* 0: infinitely fast */
	__u64 delay_ns;		/* propagation */
	__u64 seed;		/* of losses */
	__u32 loss;		/* probability times 2^32 of a loss on the fibre */
	__s32 overhead_bytes;	/* added to every packet's bytes on the wire */
	__u32 default_queue;
	__u32 pad;
};

struct port_queue_parms {
	__u32 id;
	__u32 level;		/* 0 is served first */
	__u32 quantum_bytes;	/* per turn among queues of one level */
	__u32 limit_packets;
	__u64 limit_bytes;	/* 0: packets only */
	__u64 promised_bps;	/* 0: none */
	__u64 peak_bps;		/* 0: the port's */
	__u32 burst_bytes;	/* promised rate not used that may be used later */
	__u32 pad;
};

enum { PORT_PERIODIC, PORT_POISSON };

struct port_source_parms {
	__u64 rate_bps;		/* of packets without overhead */
	__u64 seed;
	__u64 start_ns;		/* CLOCK_MONOTONIC; 0: when it is set */
	__u64 stop_ns;		/* 0: never */
	__u32 queue;
	__u32 arrivals;		/* PORT_PERIODIC or PORT_POISSON */
	__u32 burst;		/* packets arriving together */
	__u32 pad;
	struct { __u32 bytes, weight; } size[PORT_SIZES];
};

struct port_queue_stats {
	__u32 id;
	__u32 backlog_packets;
	__u32 max_backlog_packets;
	__u32 pad;
	__u64 backlog_bytes;
	__u64 max_backlog_bytes;
	__u64 packets;		/* transmission begun */
	__u64 bytes;
	__u64 drops;
	__u64 wait_ns;		/* sum over packets, from arrival to transmission */
	__u64 background_packets;
	__u64 background_bytes;
	__u64 background_drops;
	__u64 background_wait_ns;
};

struct port_entry {
	struct sk_buff *skb;	/* NULL: background */
	u64 arrival_ns;
	u32 bytes;
};

struct port_queue {
	struct port_queue_parms parms;
	struct list_head turn;	/* in its level's round, when not empty */
	struct port_entry *ring;
	u32 head;
	s64 deficit;
	s64 due_ps;		/* behind its promised rate from here on */
	s64 held_ps;		/* may begin no packet before */
	s64 burst_ps;
	struct port_queue_stats stats;
};

struct port_source {
	struct port_source_parms parms;
	struct port_queue *queue;
	u64 random;
	u64 next_ps;		/* next arrival; U64_MAX: none */
	u64 gap_ps;		/* mean, between bursts */
	u32 weights;
};

struct port_sched {
	struct port_parms parms;
	u32 queues, levels, sources;
	struct port_queue *queue;
	struct port_source *source;
	struct list_head *round;	/* per level: its queues that are not empty */
	bool promises, peaks;		/* of any queue */
	u32 waiting;			/* packets in queues, background included */
	u32 waiting_real;
	u32 waiting_owned;		/* in a sender's send buffer */
	u64 free_ns, free_frac;		/* transmitter is free at free_ns + free_frac / rate */
	u64 last_ns;			/* last delivery, so that none overtakes */
	u64 random;
	struct sk_buff *head, *tail;	/* on the fibre or in transmission */
	struct qdisc_watchdog watchdog;
};

struct port_cb {
	u64 delivery_ns;
	bool lost;		/* on the fibre */
};

static struct port_cb *port_cb(struct sk_buff *skb)
{
	qdisc_cb_private_validate(skb, sizeof(struct port_cb));
	return (struct port_cb *)qdisc_skb_cb(skb)->data;
}

static bool port_owned(const struct sk_buff *skb)
{
	return skb->destructor && skb->destructor != sock_efree;
}

/* Randomness: the same numbers in kernel and reference model. */

static u64 port_random(u64 *state)	/* splitmix64 */
{
	u64 z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

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

/* The transmitter */

static u64 port_free_ns(const struct port_sched *q)
{
	return q->free_ns + !!q->free_frac;
}

static u64 port_wire_bits(const struct port_sched *q, u32 bytes)
{
	return 8 * (u64)max_t(s64, (s64)bytes + q->parms.overhead_bytes, 0);
}

static bool port_held(const struct port_queue *queue, u64 now)
{
	return queue->parms.peak_bps && queue->held_ps > (s64)(now * 1000);
}

/* When the transmitter takes its next packet, if no more arrive. */
static u64 port_decision_ns(const struct port_sched *q)
{
	u64 earliest = U64_MAX;
	u32 i;

	if (!q->waiting)
		return U64_MAX;
	for (i = 0; q->peaks && i < q->queues; i++)
		if (q->queue[i].stats.backlog_packets)
			earliest = min(earliest, q->queue[i].parms.peak_bps ?
				       div_u64(q->queue[i].held_ps + 999, 1000) : 0);
	return max(port_free_ns(q), q->peaks ? earliest : 0);
}

/* The queue furthest behind its promised rate, in the lowest level that has one. */
static struct port_queue *port_promised(struct port_sched *q, u64 now)
{
	struct port_queue *found = NULL, *queue;
	u32 i;

	for (i = 0; q->promises && i < q->queues; i++) {
		queue = &q->queue[i];
		if (!queue->stats.backlog_packets || !queue->parms.promised_bps ||
		    queue->due_ps > (s64)(now * 1000) || port_held(queue, now))
			continue;
		if (!found || queue->parms.level < found->parms.level ||
		    (queue->parms.level == found->parms.level && queue->due_ps < found->due_ps))
			found = queue;
	}
	return found;
}

/* The next queue in its level's round. Somebody is not held. */
static struct port_queue *port_round(struct port_sched *q, u64 now)
{
	struct port_queue *queue, *next;
	bool again;
	u32 i;

	for (i = 0; i < q->levels; i++) {
		do {
			again = false;
			list_for_each_entry_safe(queue, next, &q->round[i], turn) {
				if (port_held(queue, now))
					continue;
				if (queue->ring[queue->head].bytes <= queue->deficit)
					return queue;
				queue->deficit += queue->parms.quantum_bytes;
				list_move_tail(&queue->turn, &q->round[i]);
				again = true;
				break;
			}
		} while (again);
	}
	return NULL;
}

/* The free transmitter takes the next packet. */
static void port_serve(struct port_sched *q, u64 now)
{
	struct port_queue *queue = port_promised(q, now);
	struct port_queue_stats *stats;
	struct port_entry *entry;
	struct sk_buff *skb;
	u64 bits, wait_ns, delivery_ns;

	if (queue) {
		entry = &queue->ring[queue->head];
	} else {
		queue = port_round(q, now);
		if (WARN_ON_ONCE(!queue))
			return;
		entry = &queue->ring[queue->head];
		queue->deficit -= entry->bytes;
	}
	stats = &queue->stats;
	skb = entry->skb;
	wait_ns = now - entry->arrival_ns;
	bits = port_wire_bits(q, entry->bytes);

	if (++queue->head == queue->parms.limit_packets)
		queue->head = 0;
	stats->backlog_bytes -= entry->bytes;
	if (!--stats->backlog_packets)
		list_del_init(&queue->turn);
	q->waiting--;

	if (now > port_free_ns(q)) {	/* all that waited was held */
		q->free_ns = now;
		q->free_frac = 0;
	}
	if (q->parms.rate_bps)
		q->free_ns += div64_u64_rem(q->free_frac + bits * NSEC_PER_SEC,
					    q->parms.rate_bps, &q->free_frac);
	if (queue->parms.promised_bps)
		queue->due_ps = max_t(s64, queue->due_ps, now * 1000 - queue->burst_ps) +
			div64_u64(bits * 1000000000000ULL, queue->parms.promised_bps);
	if (queue->parms.peak_bps)
		queue->held_ps = now * 1000 +
			div64_u64(bits * 1000000000000ULL, queue->parms.peak_bps);

	if (!skb) {
		stats->background_packets++;
		stats->background_bytes += entry->bytes;
		stats->background_wait_ns += wait_ns;
		return;
	}
	q->waiting_real--;
	if (port_owned(skb)) {
		q->waiting_owned--;
		skb_orphan_partial(skb);
	}
	stats->packets++;
	stats->bytes += entry->bytes;
	stats->wait_ns += wait_ns;
	delivery_ns = max(port_free_ns(q) + q->parms.delay_ns, q->last_ns);
	q->last_ns = delivery_ns;
	port_cb(skb)->delivery_ns = delivery_ns;
	port_cb(skb)->lost = q->parms.loss &&
		(u32)(port_random(&q->random) >> 32) < q->parms.loss;
	skb->next = NULL;
	if (q->head)
		q->tail->next = skb;
	else
		q->head = skb;
	q->tail = skb;
}

/* An arrival, when everything before it is worked out. False: no room. */
static bool port_arrive(struct port_sched *q, struct port_queue *queue, struct sk_buff *skb,
			u32 bytes, u64 now)
{
	struct port_queue_stats *stats = &queue->stats;
	struct port_entry *entry;
	u32 at;
	bool at_once = port_free_ns(q) <= now && !port_held(queue, now);

	if (!at_once && (stats->backlog_packets >= queue->parms.limit_packets ||
			 (queue->parms.limit_bytes &&
			  stats->backlog_bytes + bytes > queue->parms.limit_bytes))) {
		if (skb)
			stats->drops++;
		else
			stats->background_drops++;
		return false;
	}
	at = queue->head + stats->backlog_packets;
	if (at >= queue->parms.limit_packets)
		at -= queue->parms.limit_packets;
	entry = &queue->ring[at];
	entry->skb = skb;
	entry->bytes = bytes;
	entry->arrival_ns = now;
	if (!stats->backlog_packets) {
		list_add_tail(&queue->turn, &q->round[queue->parms.level]);
		queue->deficit = queue->parms.quantum_bytes;
	}
	stats->backlog_packets++;
	stats->backlog_bytes += bytes;
	q->waiting++;
	q->waiting_real += !!skb;
	q->waiting_owned += skb && port_owned(skb);
	if (at_once) {
		q->free_ns = now;
		q->free_frac = 0;
		port_serve(q, now);
		return true;
	}
	stats->max_backlog_packets = max(stats->max_backlog_packets, stats->backlog_packets);
	stats->max_backlog_bytes = max(stats->max_backlog_bytes, stats->backlog_bytes);
	return true;
}

static struct port_source *port_next_source(struct port_sched *q)
{
	struct port_source *first = NULL;
	u32 i;

	for (i = 0; i < q->sources; i++)
		if (!first || q->source[i].next_ps < first->next_ps)
			first = &q->source[i];
	return first;
}

static void port_background(struct port_sched *q, struct port_source *s)
{
	u64 now = div_u64(s->next_ps, 1000);
	u32 i;

	for (i = 0; i < s->parms.burst; i++)
		port_arrive(q, s->queue, NULL, port_size(s), now);
	s->next_ps += port_gap(s);
	if (s->parms.stop_ns && div_u64(s->next_ps, 1000) >= s->parms.stop_ns)
		s->next_ps = U64_MAX;
}

/* Work out everything up to and including `now`. */
static void port_advance(struct port_sched *q, u64 now)
{
	struct port_source *source;
	u64 decision, arrival;

	for (;;) {
		source = port_next_source(q);
		arrival = source && source->next_ps != U64_MAX ?
			div_u64(source->next_ps, 1000) : U64_MAX;
		decision = port_decision_ns(q);
		if (min(decision, arrival) > now)
			return;
		if (decision <= arrival)
			port_serve(q, decision);
		else
			port_background(q, source);
	}
}

/* Queueing discipline operations */

static struct port_queue *port_find(struct port_sched *q, u32 id)
{
	u32 i;

	for (i = 0; i < q->queues; i++)
		if (q->queue[i].parms.id == id)
			return &q->queue[i];
	return NULL;
}

static struct port_queue *port_classify(struct Qdisc *sch, const struct sk_buff *skb)
{
	struct port_sched *q = qdisc_priv(sch);
	struct port_queue *queue = NULL;

	if (TC_H_MAJ(skb->priority) == sch->handle && TC_H_MIN(skb->priority))
		queue = port_find(q, TC_H_MIN(skb->priority) - 1);
	return queue ?: port_find(q, q->parms.default_queue);
}

static int port_enqueue(struct sk_buff *skb, struct Qdisc *sch, struct sk_buff **to_free)
{
	struct port_sched *q = qdisc_priv(sch);
	u64 now = ktime_get_ns();
	u32 bytes = qdisc_pkt_len(skb);

	if (unlikely(!q->queues))
		return qdisc_drop(skb, sch, to_free);
	port_advance(q, now);
	if (!port_arrive(q, port_classify(sch, skb), skb, bytes, now))
		return qdisc_drop(skb, sch, to_free);
	qdisc_qstats_backlog_inc(sch, skb);
	sch->q.qlen++;
	return NET_XMIT_SUCCESS;
}

static struct sk_buff *port_dequeue(struct Qdisc *sch)
{
	struct port_sched *q = qdisc_priv(sch);
	u64 now = ktime_get_ns(), wake = U64_MAX;
	struct sk_buff *skb;

	port_advance(q, now);
	while ((skb = q->head) && port_cb(skb)->delivery_ns <= now) {
		q->head = skb->next;
		skb_mark_not_on_list(skb);
		qdisc_qstats_backlog_dec(sch, skb);
		sch->q.qlen--;
		if (!port_cb(skb)->lost) {
			qdisc_bstats_update(sch, skb);
			return skb;
		}
		qdisc_qstats_drop(sch);
		qdisc_tree_reduce_backlog(sch, 1, qdisc_pkt_len(skb));
		kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_DROP);
	}
	/* nothing that waits is delivered before it is taken and the delay over */
	if (skb)
		wake = port_cb(skb)->delivery_ns;
	else if (q->waiting_real)
		wake = port_decision_ns(q) + q->parms.delay_ns;
	if (q->waiting_owned)
		wake = min(wake, port_decision_ns(q));
	if (wake != U64_MAX)
		qdisc_watchdog_schedule_ns(&q->watchdog, wake);
	return NULL;
}

static void port_empty(struct Qdisc *sch)
{
	struct port_sched *q = qdisc_priv(sch);
	struct port_queue *queue;
	struct sk_buff *skb;
	u32 i;

	for (i = 0; i < q->queues; i++) {
		queue = &q->queue[i];
		for (; queue->stats.backlog_packets; queue->stats.backlog_packets--) {
			kfree_skb(queue->ring[queue->head].skb);
			if (++queue->head == queue->parms.limit_packets)
				queue->head = 0;
		}
		queue->stats.backlog_bytes = 0;
		list_del_init(&queue->turn);
	}
	while ((skb = q->head)) {
		q->head = skb->next;
		skb_mark_not_on_list(skb);
		kfree_skb(skb);
	}
	q->waiting = 0;
	q->waiting_real = 0;
	q->waiting_owned = 0;
}

static void port_reset(struct Qdisc *sch)
{
	struct port_sched *q = qdisc_priv(sch);

	port_empty(sch);
	qdisc_watchdog_cancel(&q->watchdog);
}

static void port_free_queues(struct port_queue *queue, u32 queues)
{
	u32 i;

	for (i = 0; queue && i < queues; i++)
		kvfree(queue[i].ring);
	kvfree(queue);
}

static int port_check_queues(const struct port_queue_parms *parms, u32 count,
			     u32 default_queue, struct netlink_ext_ack *extack)
{
	bool found = false;
	u32 i, j;

	for (i = 0; i < count; i++) {
		found |= parms[i].id == default_queue;
		for (j = 0; j < i; j++)
			if (parms[i].id == parms[j].id) {
				NL_SET_ERR_MSG(extack, "two queues have one id");
				return -EINVAL;
			}
		if (parms[i].id >= 0xfffe || parms[i].level >= PORT_MAX_QUEUES ||
		    parms[i].quantum_bytes < 64 || !parms[i].limit_packets ||
		    parms[i].limit_packets > PORT_MAX_LIMIT ||
		    parms[i].promised_bps > PORT_MAX_RATE || parms[i].peak_bps > PORT_MAX_RATE ||
		    (parms[i].promised_bps && parms[i].promised_bps < 8) ||
		    (parms[i].peak_bps && parms[i].peak_bps < 8) ||
		    parms[i].burst_bytes > PORT_MAX_BURST) {
			NL_SET_ERR_MSG(extack, "a queue's id, level, quantum, limit or rate is out of range");
			return -EINVAL;
		}
	}
	if (!found) {
		NL_SET_ERR_MSG(extack, "the default queue does not exist");
		return -EINVAL;
	}
	return 0;
}

static int port_set_queues(struct Qdisc *sch, const struct port_queue_parms *parms, u32 count)
{
	struct port_sched *q = qdisc_priv(sch);
	struct port_queue *queue, *old;
	struct list_head *round;
	u32 i, old_count;

	queue = kvcalloc(count, sizeof(*queue), GFP_KERNEL);
	round = kvcalloc(PORT_MAX_QUEUES, sizeof(*round), GFP_KERNEL);
	if (!queue || !round)
		goto no_memory;
	for (i = 0; i < count; i++) {
		queue[i].parms = parms[i];
		queue[i].stats.id = parms[i].id;
		INIT_LIST_HEAD(&queue[i].turn);
		if (parms[i].promised_bps)
			queue[i].burst_ps = mul_u64_u64_div_u64(8000000000000ULL,
								parms[i].burst_bytes,
								parms[i].promised_bps);
		queue[i].ring = kvcalloc(parms[i].limit_packets, sizeof(struct port_entry),
					 GFP_KERNEL);
		if (!queue[i].ring)
			goto no_memory;
	}
	for (i = 0; i < PORT_MAX_QUEUES; i++)
		INIT_LIST_HEAD(&round[i]);

	sch_tree_lock(sch);
	if (q->queues) {
		qdisc_tree_reduce_backlog(sch, sch->q.qlen, sch->qstats.backlog);
		port_empty(sch);
		sch->q.qlen = 0;
		sch->qstats.backlog = 0;
	}
	old = q->queue;
	old_count = q->queues;
	swap(q->round, round);
	q->queue = queue;
	q->queues = count;
	q->levels = 0;
	q->promises = false;
	q->peaks = false;
	for (i = 0; i < count; i++) {
		q->levels = max(q->levels, parms[i].level + 1);
		q->promises |= !!parms[i].promised_bps;
		q->peaks |= !!parms[i].peak_bps;
	}
	for (i = 0; i < q->sources; i++)	/* they name queues that are gone */
		q->source[i].next_ps = U64_MAX;
	q->sources = 0;
	sch_tree_unlock(sch);
	port_free_queues(old, old_count);
	kvfree(round);
	return 0;

no_memory:
	port_free_queues(queue, count);
	kvfree(round);
	return -ENOMEM;
}

static bool port_same_queues(const struct port_sched *q, const struct port_queue_parms *parms,
			     u32 count)
{
	u32 i;

	if (count != q->queues)
		return false;
	for (i = 0; i < count; i++)
		if (memcmp(&q->queue[i].parms, &parms[i], sizeof(*parms)))
			return false;
	return true;
}

static int port_set_sources(struct Qdisc *sch, const struct port_source_parms *parms, u32 count,
			    struct netlink_ext_ack *extack)
{
	struct port_sched *q = qdisc_priv(sch);
	struct port_source *source = NULL;
	u64 bits, now = ktime_get_ns();
	u32 i, j;

	if (count)
		source = kvcalloc(count, sizeof(*source), GFP_KERNEL);
	if (count && !source)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		struct port_source *s = &source[i];

		s->parms = parms[i];
		s->queue = port_find(q, parms[i].queue);
		s->random = parms[i].seed;
		for (j = 0, bits = 0; j < PORT_SIZES; j++) {
			if (parms[i].size[j].bytes > PORT_MAX_PACKET ||
			    parms[i].size[j].weight > 10000)
				goto invalid;
			s->weights += parms[i].size[j].weight;
			bits += 8ULL * parms[i].size[j].bytes * parms[i].size[j].weight;
		}
		if (!s->queue || !bits || parms[i].arrivals > PORT_POISSON ||
		    !parms[i].burst || parms[i].burst > 10000 ||
		    !parms[i].rate_bps || parms[i].rate_bps > PORT_MAX_RATE)
			goto invalid;
		/* mean gap: burst * (bits / weights) / rate */
		s->gap_ps = mul_u64_u64_div_u64(bits * parms[i].burst, 1000000000000ULL,
						s->weights * parms[i].rate_bps);
		if (!s->gap_ps)
			goto invalid;
		s->next_ps = max(parms[i].start_ns, parms[i].start_ns ? 0 : now) * 1000;
		/* a periodic source starts anywhere in its first period */
		if (parms[i].arrivals == PORT_PERIODIC)
			s->next_ps += mul_u64_u64_shr(s->gap_ps, port_random(&s->random), 64);
		else
			s->next_ps += port_gap(s);
	}
	sch_tree_lock(sch);
	port_advance(q, now);
	swap(q->source, source);
	q->sources = count;
	sch_tree_unlock(sch);
	kvfree(source);
	return 0;

invalid:
	kvfree(source);
	NL_SET_ERR_MSG(extack, "a background source's queue, rate, sizes or arrivals are out of range");
	return -EINVAL;
}

static const struct nla_policy port_policy[TCA_PORT_MAX + 1] = {
	[TCA_PORT_PARMS] = NLA_POLICY_EXACT_LEN(sizeof(struct port_parms)),
	[TCA_PORT_QUEUES] = { .type = NLA_BINARY,
			      .len = PORT_MAX_QUEUES * sizeof(struct port_queue_parms) },
	[TCA_PORT_SOURCES] = { .type = NLA_BINARY,
			       .len = PORT_MAX_SOURCES * sizeof(struct port_source_parms) },
};

/* Queues that stay as they are keep their packets; new queues begin empty. */
static int port_change(struct Qdisc *sch, struct nlattr *opt, struct netlink_ext_ack *extack)
{
	struct port_sched *q = qdisc_priv(sch);
	struct nlattr *tb[TCA_PORT_MAX + 1];
	const struct port_queue_parms *queues;
	struct port_parms parms;
	u32 count;
	int err;

	if (!opt) {
		NL_SET_ERR_MSG(extack, "a port needs options");
		return -EINVAL;
	}
	err = nla_parse_nested_deprecated(tb, TCA_PORT_MAX, opt, port_policy, extack);
	if (err)
		return err;
	if (!tb[TCA_PORT_PARMS] || !tb[TCA_PORT_QUEUES]) {
		NL_SET_ERR_MSG(extack, "a port needs parameters and queues");
		return -EINVAL;
	}
	parms = *(struct port_parms *)nla_data(tb[TCA_PORT_PARMS]);
	if (parms.rate_bps > PORT_MAX_RATE || parms.delay_ns > 1000 * NSEC_PER_SEC) {
		NL_SET_ERR_MSG(extack, "rate or delay is out of range");
		return -ERANGE;
	}
	queues = nla_data(tb[TCA_PORT_QUEUES]);
	count = nla_len(tb[TCA_PORT_QUEUES]) / sizeof(*queues);
	err = port_check_queues(queues, count, parms.default_queue, extack);
	if (err)
		return err;
	if (!port_same_queues(q, queues, count)) {
		err = port_set_queues(sch, queues, count);
		if (err)
			return err;
	}
	sch_tree_lock(sch);
	port_advance(q, ktime_get_ns());
	if (parms.rate_bps != q->parms.rate_bps)
		q->free_frac = 0;
	if (parms.seed != q->parms.seed)
		q->random = parms.seed;
	q->parms = parms;
	sch_tree_unlock(sch);
	if (tb[TCA_PORT_SOURCES])
		err = port_set_sources(sch, nla_data(tb[TCA_PORT_SOURCES]),
				       nla_len(tb[TCA_PORT_SOURCES]) /
				       sizeof(struct port_source_parms), extack);
	return err;
}

static int port_init(struct Qdisc *sch, struct nlattr *opt, struct netlink_ext_ack *extack)
{
	struct port_sched *q = qdisc_priv(sch);

	qdisc_watchdog_init(&q->watchdog, sch);
	return port_change(sch, opt, extack);
}

static void port_destroy(struct Qdisc *sch)
{
	struct port_sched *q = qdisc_priv(sch);

	qdisc_watchdog_cancel(&q->watchdog);
	port_free_queues(q->queue, q->queues);
	kvfree(q->source);
	kvfree(q->round);
}

static int port_dump(struct Qdisc *sch, struct sk_buff *skb)
{
	struct port_sched *q = qdisc_priv(sch);
	struct nlattr *nest, *array;
	u32 i;

	nest = nla_nest_start_noflag(skb, TCA_OPTIONS);
	if (!nest || nla_put(skb, TCA_PORT_PARMS, sizeof(q->parms), &q->parms))
		return -EMSGSIZE;
	array = nla_reserve(skb, TCA_PORT_QUEUES, q->queues * sizeof(struct port_queue_parms));
	if (!array)
		return -EMSGSIZE;
	for (i = 0; i < q->queues; i++)
		((struct port_queue_parms *)nla_data(array))[i] = q->queue[i].parms;
	if (q->sources) {
		array = nla_reserve(skb, TCA_PORT_SOURCES,
				    q->sources * sizeof(struct port_source_parms));
		if (!array)
			return -EMSGSIZE;
		for (i = 0; i < q->sources; i++)
			((struct port_source_parms *)nla_data(array))[i] = q->source[i].parms;
	}
	return nla_nest_end(skb, nest);
}

static int port_dump_stats(struct Qdisc *sch, struct gnet_dump *d)
{
	struct port_sched *q = qdisc_priv(sch);
	struct port_queue_stats *stats;
	int err;
	u32 i;

	stats = kcalloc(q->queues, sizeof(*stats), GFP_KERNEL);
	if (!stats)
		return -ENOMEM;
	sch_tree_lock(sch);
	port_advance(q, ktime_get_ns());
	for (i = 0; i < q->queues; i++)
		stats[i] = q->queue[i].stats;
	sch_tree_unlock(sch);
	err = gnet_stats_copy_app(d, stats, q->queues * sizeof(*stats));
	kfree(stats);
	return err;
}

static struct Qdisc_ops port_qdisc_ops __read_mostly = {
	.id		= "port",
	.priv_size	= sizeof(struct port_sched),
	.enqueue	= port_enqueue,
	.dequeue	= port_dequeue,
	.peek		= qdisc_peek_dequeued,
	.init		= port_init,
	.reset		= port_reset,
	.destroy	= port_destroy,
	.change		= port_change,
	.dump		= port_dump,
	.dump_stats	= port_dump_stats,
	.owner		= THIS_MODULE,
};

static int __init port_module_init(void)
{
	return register_qdisc(&port_qdisc_ops);
}

static void __exit port_module_exit(void)
{
	unregister_qdisc(&port_qdisc_ops);
}

module_init(port_module_init)
module_exit(port_module_exit)
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Store-and-forward port: serialisation, scheduler, finite buffers, propagation");
