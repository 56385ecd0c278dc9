// SPDX-License-Identifier: GPL-2.0
/*
 * sch_port: one direction of a link as physics has it, a store-and-forward port.
 *
 *     arrivals --> policers --> queues --> transmitter --> fibre --> device
 *                  drop what    finite     one packet at   delay,
 *                  is too much  buffers    a time: bits    in order
 *                                          over rate
 *
 * - A policer is a token bucket, full at first, that saves up at most its burst. A packet
 *   takes its bytes at its committed rate, or is dropped and takes none.
 * - A packet whose queue is full is dropped. The packet in transmission no longer
 *   counts as queued.
 * - The transmitter never stops a packet it has begun. When it is free it serves
 *   first the queues that are behind their promised rate, lowest level first, then the
 *   one furthest behind; then all others, lowest level first (strict priority), queues
 *   of one level sharing by deficit round robin, quantum bytes a turn. What a queue had
 *   beyond its promise is not held against it.
 * - A queue with a peak rate begins no packet before the one before it has taken
 *   bits / peak since it began.
 * - With gates (IEEE 802.1Q-2022 8.6.8.4), a cycle of intervals that say which queues are
 *   open, a queue begins a packet only if its gate stays open until the last bit is sent.
 *   A packet that no opening of its queue is long enough for is dropped.
 * - A packet is delivered to the device when its last bit has travelled the fibre.
 * - skb->priority H:(N+1), with H the qdisc's handle, selects policer N and queue N, as
 *   OpenFlow set_queue:N does; everything else goes to the default queue, as does what
 *   selects a queue that is not there.
 *
 * - A packet is taken off its sender's send buffer when its transmission begins, as a
 *   device takes it over, not when it arrives.
 *
 * A change takes effect at one moment. Queues, known by their ids, keep the packets that
 * still fit, and background sources that stay the same go on.
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
#include <linux/overflow.h>
#include <linux/skbuff.h>
#include <net/netlink.h>
#include <net/pkt_sched.h>
#include <net/sock.h>

#define PORT_MAX_QUEUES		64
#define PORT_MAX_SOURCES	64
#define PORT_MAX_GATES		256
#define PORT_MAX_POLICERS	64
#define PORT_MAX_LIMIT		(1 << 20)
#define PORT_MAX_RATE		10000000000000ULL	/* 10 Tbit/s: products fit 64 bits */
#define PORT_MAX_PACKET		(1 << 17)
#define PORT_MAX_BURST		(1 << 28)
#define PORT_MAX_SECONDS	1000			/* of delay, of a cycle of gates */
#define PORT_MAX_BURST_SECONDS	1000000			/* its picoseconds fit 63 bits */
#define PORT_MAX_GAP_SECONDS	100000			/* so do 45 times its picoseconds */
#define PORT_SIZES		4

enum {
	TCA_PORT_UNSPEC,
	TCA_PORT_PARMS,		/* struct port_parms */
	TCA_PORT_QUEUES,	/* array of struct port_queue_parms */
	TCA_PORT_SOURCES,	/* array of struct port_source_parms */
	TCA_PORT_GATES,		/* array of struct port_gate_parms; none: always open */
	TCA_PORT_POLICERS,	/* array of struct port_policer_parms */
	__TCA_PORT_MAX,
};
#define TCA_PORT_MAX (__TCA_PORT_MAX - 1)

struct port_parms {
	__u64 rate_bps;		/* 0: infinitely fast */
	__u64 delay_ns;		/* propagation */
	__u64 seed;		/* of losses */
	__u64 gate_base_ns;	/* CLOCK_MONOTONIC: a cycle begins here, before and after too */
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

struct port_gate_parms {
	__u64 interval_ns;
	__u64 open;		/* bit N: the Nth of the queues */
};

struct port_policer_parms {
	__u64 rate_bps;		/* of packets without overhead */
	__u32 id;
	__u32 burst_bytes;
};

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
	__u64 policed;		/* dropped by a policer before */
	__u64 background_policed;
};

struct port_entry {
	struct sk_buff *skb;	/* NULL: background */
	u64 arrival_ns;
	u32 bytes;
};

struct port_window {		/* from a cycle's start; the last may reach into the next */
	u64 open_ns, close_ns;
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
	bool gated;		/* has a gate that is sometimes closed */
	u32 windows;
	u64 widest_ns;
	struct port_window *window;
	struct port_queue_stats stats;
};

struct port_policer {
	struct port_policer_parms parms;
	s64 burst_ps;
	s64 spent_ps;		/* all tokens up to here are taken */
};

struct port_source {
	struct port_source_parms parms;
	u64 random;
	u64 next_ps;		/* next arrival; U64_MAX: none */
	u64 gap_ps;		/* mean, between bursts */
	u32 weights;
};

struct port_sched {
	struct port_parms parms;
	u32 queues, levels, policers, sources, gates;
	struct port_queue *queue;
	struct port_policer *policer;
	struct port_source *source;
	struct port_gate_parms *gate;
	struct list_head *round;	/* per level: its queues that are not empty */
	u64 cycle_ns;
	bool promises, peaks, gated;	/* of any queue */
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

static struct port_queue *port_find(struct port_sched *q, u32 id)
{
	u32 i;

	for (i = 0; i < q->queues; i++)
		if (q->queue[i].parms.id == id)
			return &q->queue[i];
	return NULL;
}

static struct port_policer *port_find_policer(struct port_sched *q, u32 id)
{
	u32 i;

	for (i = 0; i < q->policers; i++)
		if (q->policer[i].parms.id == id)
			return &q->policer[i];
	return NULL;
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

/* How long a packet is sent, from `frac` / rate after a whole nanosecond to the next whole. */
static u64 port_lasts_ns(const struct port_sched *q, u32 bytes, u64 frac)
{
	if (!q->parms.rate_bps)
		return 0;
	return DIV64_U64_ROUND_UP(frac + port_wire_bits(q, bytes) * NSEC_PER_SEC,
				  q->parms.rate_bps);
}

/* When a packet has left that begins at `start`, the port being free. */
static u64 port_end_ns(const struct port_sched *q, u32 bytes, u64 start)
{
	u64 frac = start == port_free_ns(q) ? q->free_frac : 0;

	return start - !!frac + port_lasts_ns(q, bytes, frac);
}

/* Whether any opening of the queue's gate is long enough. */
static bool port_fits(const struct port_sched *q, const struct port_queue *queue, u32 bytes)
{
	return !queue->gated ||
		(queue->widest_ns && port_lasts_ns(q, bytes, 0) <= queue->widest_ns);
}

/* The first moment, not before `from`, at which the gate lets the packet begin. It fits. */
static u64 port_gate_ns(const struct port_sched *q, const struct port_queue *queue, u32 bytes,
			u64 from)
{
	u64 into, base;
	s64 cycle, start, close;
	u32 turn, i;

	if (!queue->gated)
		return from;
	div64_u64_rem(q->parms.gate_base_ns, q->cycle_ns, &base);
	div64_u64_rem(from + q->cycle_ns - base, q->cycle_ns, &into);
	cycle = from - into - q->cycle_ns;	/* the one before, which may reach here */
	for (turn = 0; turn < 3; turn++, cycle += q->cycle_ns) {
		for (i = 0; i < queue->windows; i++) {
			start = max_t(s64, cycle + queue->window[i].open_ns, from);
			close = cycle + queue->window[i].close_ns;
			if (start < close && (s64)port_end_ns(q, bytes, start) <= close)
				return start;
		}
	}
	WARN_ON_ONCE(1);
	return U64_MAX;
}

/* When the free transmitter may begin the queue's first packet, not before `from`. */
static u64 port_ready_ns(const struct port_sched *q, const struct port_queue *queue, u64 from)
{
	if (queue->parms.peak_bps)
		from = max(from, div_u64(queue->held_ps + 999, 1000));
	return port_gate_ns(q, queue, queue->ring[queue->head].bytes, from);
}

static bool port_ready(const struct port_sched *q, const struct port_queue *queue, u64 now)
{
	return port_ready_ns(q, queue, now) == now;
}

/* When the transmitter takes its next packet, if no more arrive. */
static u64 port_decision_ns(const struct port_sched *q)
{
	u64 free_ns = port_free_ns(q), earliest = U64_MAX;
	u32 i;

	if (!q->waiting)
		return U64_MAX;
	if (!q->peaks && !q->gated)
		return free_ns;
	for (i = 0; i < q->queues; i++)
		if (q->queue[i].stats.backlog_packets)
			earliest = min(earliest, port_ready_ns(q, &q->queue[i], free_ns));
	return earliest;
}

/* The queue furthest behind its promised rate, in the lowest level that has one. */
static struct port_queue *port_promised(struct port_sched *q, u64 now)
{
	struct port_queue *found = NULL, *queue;
	u32 i;

	for (i = 0; q->promises && i < q->queues; i++) {
		queue = &q->queue[i];
		if (!queue->stats.backlog_packets || !queue->parms.promised_bps ||
		    queue->due_ps > (s64)(now * 1000) || !port_ready(q, queue, now))
			continue;
		if (!found || queue->parms.level < found->parms.level ||
		    (queue->parms.level == found->parms.level && queue->due_ps < found->due_ps))
			found = queue;
	}
	return found;
}

/* The next queue in its level's round. Somebody is ready. */
static struct port_queue *port_round(struct port_sched *q, u64 now)
{
	struct port_queue *queue, *next;
	bool again;
	u32 i;

	for (i = 0; i < q->levels; i++) {
		do {
			again = false;
			list_for_each_entry_safe(queue, next, &q->round[i], turn) {
				if (!port_ready(q, queue, now))
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

	if (now > port_free_ns(q)) {	/* nothing that waited was ready */
		q->free_ns = now;
		q->free_frac = 0;
	}
	if (q->parms.rate_bps)
		q->free_ns += div64_u64_rem(q->free_frac + bits * NSEC_PER_SEC,
					    q->parms.rate_bps, &q->free_frac);
	if (queue->parms.promised_bps)
		queue->due_ps = clamp_t(s64, queue->due_ps, now * 1000 - queue->burst_ps,
					now * 1000) +
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

/* Whether the packet has tokens, which it takes. */
static bool port_conforms(struct port_policer *policer, u32 bytes, u64 now)
{
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

/* An arrival, when everything before it is worked out. False: it is dropped. */
static bool port_arrive(struct port_sched *q, u32 id, struct sk_buff *skb, u32 bytes, u64 now)
{
	struct port_queue *queue = port_find(q, id) ?: port_find(q, q->parms.default_queue);
	struct port_queue_stats *stats = &queue->stats;
	struct port_entry *entry;
	bool fits = port_fits(q, queue, bytes), at_once = false;
	u32 at;

	if (!port_conforms(port_find_policer(q, id), bytes, now)) {
		if (skb)
			stats->policed++;
		else
			stats->background_policed++;
		return false;
	}
	if (port_free_ns(q) <= now) {
		q->free_ns = now;
		q->free_frac = 0;
		at_once = fits && !stats->backlog_packets &&
			(!queue->parms.peak_bps || queue->held_ps <= (s64)(now * 1000)) &&
			port_gate_ns(q, queue, bytes, now) == now;
	}
	if (!fits || (!at_once && (stats->backlog_packets >= queue->parms.limit_packets ||
				   (queue->parms.limit_bytes &&
				    stats->backlog_bytes + bytes > queue->parms.limit_bytes)))) {
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

static void port_wait(struct port_source *s, u64 ps)
{
	if (check_add_overflow(s->next_ps, ps, &s->next_ps) ||
	    (s->parms.stop_ns && div_u64(s->next_ps, 1000) >= s->parms.stop_ns))
		s->next_ps = U64_MAX;
}

static void port_background(struct port_sched *q, struct port_source *s)
{
	u64 now = div_u64(s->next_ps, 1000);
	u32 i;

	for (i = 0; i < s->parms.burst; i++)
		port_arrive(q, s->parms.queue, NULL, port_size(s), now);
	port_wait(s, port_gap(s));
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

static u32 port_classify(struct Qdisc *sch, const struct sk_buff *skb)
{
	struct port_sched *q = qdisc_priv(sch);

	if (TC_H_MAJ(skb->priority) == sch->handle && TC_H_MIN(skb->priority))
		return TC_H_MIN(skb->priority) - 1;
	return q->parms.default_queue;
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

/* Setting: what is asked for is made apart, then takes the place of what was. */

static void port_unmake(struct port_sched *q)
{
	u32 i;

	for (i = 0; q->queue && i < q->queues; i++) {
		kvfree(q->queue[i].ring);
		kvfree(q->queue[i].window);
	}
	kvfree(q->queue);
	kvfree(q->round);
	kvfree(q->policer);
	kvfree(q->gate);
	kvfree(q->source);
}

static int port_check(const struct port_parms *parms, struct netlink_ext_ack *extack)
{
	if (parms->rate_bps > PORT_MAX_RATE ||
	    parms->delay_ns > PORT_MAX_SECONDS * (u64)NSEC_PER_SEC ||
	    parms->overhead_bytes > PORT_MAX_PACKET || parms->overhead_bytes < -PORT_MAX_PACKET) {
		NL_SET_ERR_MSG(extack, "rate, delay or overhead is out of range");
		return -ERANGE;
	}
	return 0;
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
		    parms[i].burst_bytes > PORT_MAX_BURST ||
		    (parms[i].promised_bps &&
		     div64_u64(8ULL * parms[i].burst_bytes, parms[i].promised_bps) >=
		     PORT_MAX_BURST_SECONDS)) {
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

static int port_make_queues(struct port_sched *made, const struct port_queue_parms *parms,
			    u32 count)
{
	u32 i;

	made->queue = kvcalloc(count, sizeof(*made->queue), GFP_KERNEL);
	made->round = kvcalloc(PORT_MAX_QUEUES, sizeof(*made->round), GFP_KERNEL);
	if (!made->queue || !made->round)
		return -ENOMEM;
	made->queues = count;
	for (i = 0; i < PORT_MAX_QUEUES; i++)
		INIT_LIST_HEAD(&made->round[i]);
	for (i = 0; i < count; i++) {
		struct port_queue *queue = &made->queue[i];

		queue->parms = parms[i];
		queue->stats.id = parms[i].id;
		INIT_LIST_HEAD(&queue->turn);
		if (parms[i].promised_bps)
			queue->burst_ps = mul_u64_u64_div_u64(8000000000000ULL,
							      parms[i].burst_bytes,
							      parms[i].promised_bps);
		queue->ring = kvcalloc(parms[i].limit_packets, sizeof(struct port_entry),
				       GFP_KERNEL);
		if (!queue->ring)
			return -ENOMEM;
		made->levels = max(made->levels, parms[i].level + 1);
		made->promises |= !!parms[i].promised_bps;
		made->peaks |= !!parms[i].peak_bps;
	}
	return 0;
}

static int port_make_policers(struct port_sched *made, const struct port_policer_parms *parms,
			      u32 count, struct netlink_ext_ack *extack)
{
	u32 i;

	if (!count)
		return 0;
	made->policer = kvcalloc(count, sizeof(*made->policer), GFP_KERNEL);
	if (!made->policer)
		return -ENOMEM;
	for (i = 0; i < count; made->policers = ++i) {
		struct port_policer *policer = &made->policer[i];

		if (port_find_policer(made, parms[i].id) || parms[i].rate_bps < 8 ||
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

/* When one queue's gate is open, within a cycle. */
static int port_make_windows(struct port_sched *made, u32 place)
{
	struct port_queue *queue = &made->queue[place];
	struct port_window *window;
	u64 now = 0;
	u32 i, n = 0;

	window = kvcalloc(made->gates, sizeof(*window), GFP_KERNEL);
	if (!window)
		return -ENOMEM;
	for (i = 0; i < made->gates; now += made->gate[i++].interval_ns) {
		if (!(made->gate[i].open & BIT_ULL(place)))
			continue;
		if (!n || window[n - 1].close_ns != now)
			window[n++].open_ns = now;
		window[n - 1].close_ns = now + made->gate[i].interval_ns;
	}
	if (n > 1 && !window[0].open_ns && window[n - 1].close_ns == made->cycle_ns) {
		window[n - 1].close_ns += window[0].close_ns;
		memmove(window, window + 1, --n * sizeof(*window));
	}
	for (i = 0; i < n; i++)
		queue->widest_ns = max(queue->widest_ns, window[i].close_ns - window[i].open_ns);
	queue->gated = queue->widest_ns < made->cycle_ns;
	queue->window = window;
	queue->windows = n;
	made->gated |= queue->gated;
	return 0;
}

static int port_make_gates(struct port_sched *made, const struct port_gate_parms *parms,
			   u32 count, struct netlink_ext_ack *extack)
{
	u32 i;
	int err = 0;

	for (i = 0; i < count; i++) {
		made->cycle_ns += parms[i].interval_ns;
		if (!parms[i].interval_ns ||
		    parms[i].interval_ns > PORT_MAX_SECONDS * (u64)NSEC_PER_SEC ||
		    made->cycle_ns > PORT_MAX_SECONDS * (u64)NSEC_PER_SEC ||
		    (made->queues < 64 && parms[i].open >> made->queues)) {
			NL_SET_ERR_MSG(extack, "a gate's interval or queues are out of range");
			return -EINVAL;
		}
	}
	if (!count)
		return 0;
	made->gate = kvmemdup(parms, count * sizeof(*parms), GFP_KERNEL);
	if (!made->gate)
		return -ENOMEM;
	made->gates = count;
	for (i = 0; i < made->queues && !err; i++)
		err = port_make_windows(made, i);
	return err;
}

static int port_make_source(struct port_sched *made, struct port_source *s,
			    const struct port_source_parms *parms, u64 now)
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

static int port_make_sources(struct port_sched *made, const struct port_source_parms *parms,
			     u32 count, struct netlink_ext_ack *extack)
{
	u64 now = ktime_get_ns();
	u32 i;
	int err;

	if (!count)
		return 0;
	made->source = kvcalloc(count, sizeof(*made->source), GFP_KERNEL);
	if (!made->source)
		return -ENOMEM;
	made->sources = count;
	for (i = 0; i < count; i++) {
		err = port_make_source(made, &made->source[i], &parms[i], now);
		if (err) {
			NL_SET_ERR_MSG(extack, "a background source's queue, rate, sizes, arrivals or start are out of range");
			return err;
		}
	}
	return 0;
}

static void port_move(struct Qdisc *sch, struct port_queue *old, struct port_sched *made,
		      struct port_queue *queue)
{
	struct port_sched *q = qdisc_priv(sch);
	struct port_entry *entry;
	u32 i, at = old->head;

	for (i = 0; i < old->stats.backlog_packets; i++) {
		entry = &old->ring[at];
		if (++at == old->parms.limit_packets)
			at = 0;
		if (queue && queue->stats.backlog_packets < queue->parms.limit_packets &&
		    port_fits(made, queue, entry->bytes)) {
			queue->ring[queue->stats.backlog_packets++] = *entry;
			queue->stats.backlog_bytes += entry->bytes;
			continue;
		}
		q->waiting--;
		if (!entry->skb) {
			if (queue)
				queue->stats.background_drops++;
			continue;
		}
		if (queue)
			queue->stats.drops++;
		q->waiting_real--;
		q->waiting_owned -= port_owned(entry->skb);
		sch->q.qlen--;
		qdisc_qstats_backlog_dec(sch, entry->skb);
		qdisc_tree_reduce_backlog(sch, 1, entry->bytes);
		rtnl_qdisc_drop(entry->skb, sch);
	}
	old->stats.backlog_packets = 0;
	if (queue && queue->stats.backlog_packets)
		list_add_tail(&queue->turn, &made->round[queue->parms.level]);
}

/* What is made takes over packets and state of what stays. */
static void port_inherit(struct Qdisc *sch, struct port_sched *made)
{
	struct port_sched *q = qdisc_priv(sch);
	struct port_queue *old, *queue;
	struct port_policer *policer;
	u32 i, j;

	for (i = 0; i < q->queues; i++) {
		old = &q->queue[i];
		queue = port_find(made, old->parms.id);
		if (!queue)
			continue;
		queue->deficit = old->deficit;
		queue->due_ps = old->due_ps;
		queue->held_ps = old->held_ps;
		queue->stats = old->stats;
		queue->stats.backlog_packets = 0;
		queue->stats.backlog_bytes = 0;
	}
	for (i = 0; i < q->levels; i++)
		list_for_each_entry(old, &q->round[i], turn)
			port_move(sch, old, made, port_find(made, old->parms.id));
	for (i = 0; i < q->policers; i++) {
		policer = port_find_policer(made, q->policer[i].parms.id);
		if (policer)
			policer->spent_ps = q->policer[i].spent_ps;
	}
	for (i = 0; i < made->sources; i++)
		for (j = 0; j < q->sources; j++)
			if (!memcmp(&made->source[i].parms, &q->source[j].parms,
				    sizeof(struct port_source_parms))) {
				made->source[i].random = q->source[j].random;
				made->source[i].next_ps = q->source[j].next_ps;
			}
}

static void port_replace(struct Qdisc *sch, struct port_sched *made)
{
	struct port_sched *q = qdisc_priv(sch);
	u64 now = ktime_get_ns();

	sch_tree_lock(sch);
	port_advance(q, now);
	port_inherit(sch, made);
	if (made->parms.rate_bps != q->parms.rate_bps) {
		q->free_ns = port_free_ns(q);
		q->free_frac = 0;
	}
	if (made->parms.seed != q->parms.seed)
		q->random = made->parms.seed;
	q->parms = made->parms;
	q->levels = made->levels;
	q->cycle_ns = made->cycle_ns;
	q->promises = made->promises;
	q->peaks = made->peaks;
	q->gated = made->gated;
	swap(q->queues, made->queues);
	swap(q->queue, made->queue);
	swap(q->round, made->round);
	swap(q->policers, made->policers);
	swap(q->policer, made->policer);
	swap(q->gates, made->gates);
	swap(q->gate, made->gate);
	swap(q->sources, made->sources);
	swap(q->source, made->source);
	if (sch->q.qlen)	/* may be due earlier than it was */
		qdisc_watchdog_schedule_ns(&q->watchdog, now);
	sch_tree_unlock(sch);
}

static const struct nla_policy port_policy[TCA_PORT_MAX + 1] = {
	[TCA_PORT_PARMS] = NLA_POLICY_EXACT_LEN(sizeof(struct port_parms)),
	[TCA_PORT_QUEUES] = { .type = NLA_BINARY,
			      .len = PORT_MAX_QUEUES * sizeof(struct port_queue_parms) },
	[TCA_PORT_SOURCES] = { .type = NLA_BINARY,
			       .len = PORT_MAX_SOURCES * sizeof(struct port_source_parms) },
	[TCA_PORT_GATES] = { .type = NLA_BINARY,
			     .len = PORT_MAX_GATES * sizeof(struct port_gate_parms) },
	[TCA_PORT_POLICERS] = { .type = NLA_BINARY,
				.len = PORT_MAX_POLICERS * sizeof(struct port_policer_parms) },
};

#define port_array(tb, kind, type, count)						\
	((count) = (tb)[kind] ? nla_len((tb)[kind]) / sizeof(type) : 0,			\
	 (tb)[kind] ? (const type *)nla_data((tb)[kind]) : NULL)

/* Everything is given anew: what is not in `opt` is none. */
static int port_change(struct Qdisc *sch, struct nlattr *opt, struct netlink_ext_ack *extack)
{
	const struct port_policer_parms *policers;
	const struct port_source_parms *sources;
	const struct port_queue_parms *queues;
	const struct port_gate_parms *gates;
	struct nlattr *tb[TCA_PORT_MAX + 1];
	struct port_sched *made;
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
	made = kzalloc(sizeof(*made), GFP_KERNEL);
	if (!made)
		return -ENOMEM;
	made->parms = *(struct port_parms *)nla_data(tb[TCA_PORT_PARMS]);
	queues = port_array(tb, TCA_PORT_QUEUES, struct port_queue_parms, count);
	err = port_check(&made->parms, extack) ?:
		port_check_queues(queues, count, made->parms.default_queue, extack) ?:
		port_make_queues(made, queues, count);
	policers = port_array(tb, TCA_PORT_POLICERS, struct port_policer_parms, count);
	err = err ?: port_make_policers(made, policers, count, extack);
	gates = port_array(tb, TCA_PORT_GATES, struct port_gate_parms, count);
	err = err ?: port_make_gates(made, gates, count, extack);
	sources = port_array(tb, TCA_PORT_SOURCES, struct port_source_parms, count);
	err = err ?: port_make_sources(made, sources, count, extack);
	if (!err)
		port_replace(sch, made);
	port_unmake(made);
	kfree(made);
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
	port_unmake(q);
}

/* An array of the parameters of all objects. */
#define port_put(skb, kind, object, objects)						\
({											\
	struct nlattr *array = nla_reserve(skb, kind, (objects) * sizeof((object)->parms));	\
	u32 at;										\
											\
	for (at = 0; array && at < (objects); at++)					\
		memcpy(nla_data(array) + at * sizeof((object)->parms), &(object)[at].parms,	\
		       sizeof((object)->parms));					\
	!array;										\
})

static int port_dump(struct Qdisc *sch, struct sk_buff *skb)
{
	struct port_sched *q = qdisc_priv(sch);
	struct nlattr *nest = nla_nest_start_noflag(skb, TCA_OPTIONS);

	if (!nest || nla_put(skb, TCA_PORT_PARMS, sizeof(q->parms), &q->parms) ||
	    port_put(skb, TCA_PORT_QUEUES, q->queue, q->queues) ||
	    port_put(skb, TCA_PORT_POLICERS, q->policer, q->policers) ||
	    port_put(skb, TCA_PORT_SOURCES, q->source, q->sources) ||
	    nla_put(skb, TCA_PORT_GATES, q->gates * sizeof(*q->gate), q->gate))
		return -EMSGSIZE;
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
