// SPDX-License-Identifier: GPL-2.0
/*
 * The queues, and who is served first.
 *
 * - A packet whose queue is full is dropped. The packet in transmission no longer counts
 *   as queued.
 * - The free transmitter serves first the queues that are behind their promised rate,
 *   lowest level first, then the one furthest behind; then all others, lowest level first
 *   (strict priority), queues of one level sharing by deficit round robin, quantum bytes a
 *   turn on the wire. What a queue had beyond its promise is not held against it.
 * - A queue with a peak rate begins no packet before the one before it has taken
 *   bits / peak since it began.
 */

#include "port.h"

#define PORT_MAX_LIMIT	(1 << 20)

struct port_queues_parms {
	__u32 default_queue;
	__u32 pad;
};

struct port_queue *port_find(struct port_queues *queues, u32 id)
{
	u32 i;

	for (i = 0; i < queues->count; i++)
		if (queues->queue[i].parms.id == id)
			return &queues->queue[i];
	return NULL;
}

/* When the free transmitter may begin the queue's first packet, not before `from`. */
static u64 port_ready_ns(const struct port_sched *q, const struct port_queue *queue, u64 from)
{
	if (queue->parms.peak_bps)
		from = max(from, div_u64(queue->held_ps + 999, 1000));
	return port_begin_ns(q, queue, queue->ring[queue->head].bytes, from);
}

static bool port_ready(const struct port_sched *q, const struct port_queue *queue, u64 now)
{
	return port_ready_ns(q, queue, now) == now;
}

/* When the transmitter takes its next packet, if no more arrive. */
u64 port_decision_ns(const struct port_sched *q)
{
	struct port_queues *queues = port_queues(q);
	u64 free_ns, earliest = U64_MAX;
	u32 i;

	if (!q->waiting)
		return U64_MAX;
	free_ns = port_free_ns(q);
	if (!queues->peaks && !q->holds)
		return free_ns;
	for (i = 0; i < queues->count; i++)
		if (queues->queue[i].stats.backlog_packets)
			earliest = min(earliest, port_ready_ns(q, &queues->queue[i], free_ns));
	return earliest;
}

/* The queue furthest behind its promised rate, in the lowest level that has one. */
static struct port_queue *port_promised(struct port_sched *q, u64 now)
{
	struct port_queues *queues = port_queues(q);
	struct port_queue *found = NULL, *queue;
	u32 i;

	for (i = 0; queues->promises && i < queues->count; i++) {
		queue = &queues->queue[i];
		if (!queue->stats.backlog_packets || !queue->parms.promised_bps ||
		    queue->due_ps > (s64)(now * 1000) || !port_ready(q, queue, now))
			continue;
		if (!found || queue->parms.level < found->parms.level ||
		    (queue->parms.level == found->parms.level && queue->due_ps < found->due_ps))
			found = queue;
	}
	return found;
}

/* What the queue's first packet takes on the wire. */
static s64 port_first_bytes(const struct port_sched *q, const struct port_queue *queue)
{
	return port_wire_bits(q, queue->ring[queue->head].bytes) / 8;
}

/* The next queue in its level's round. Somebody is ready. */
static struct port_queue *port_round(struct port_sched *q, u64 now)
{
	struct port_queues *queues = port_queues(q);
	struct port_queue *queue, *next;
	bool again;
	u32 i;

	for (i = 0; i < queues->levels; i++) {
		do {
			again = false;
			list_for_each_entry_safe(queue, next, &queues->round[i], turn) {
				if (!port_ready(q, queue, now))
					continue;
				if (port_first_bytes(q, queue) <= queue->deficit)
					return queue;
				queue->deficit += queue->parms.quantum_bytes;
				list_move_tail(&queue->turn, &queues->round[i]);
				again = true;
				break;
			}
		} while (again);
	}
	return NULL;
}

/* The queue whose first packet is served now. */
struct port_queue *port_choose(struct port_sched *q, u64 now)
{
	struct port_queue *queue = port_promised(q, now);

	if (queue)
		return queue;
	queue = port_round(q, now);
	if (queue)
		queue->deficit -= port_first_bytes(q, queue);
	return queue;
}

/* Takes a queue's first packet to be sent. */
struct port_entry port_take(struct port_sched *q, struct port_queue *queue, u64 now)
{
	struct port_entry entry = queue->ring[queue->head];
	struct port_queue_stats *stats = &queue->stats;
	u64 bits = port_wire_bits(q, entry.bytes), wait_ns = now - entry.arrival_ns;

	if (++queue->head == queue->parms.limit_packets)
		queue->head = 0;
	stats->backlog_bytes -= entry.bytes;
	if (!--stats->backlog_packets)
		list_del_init(&queue->turn);
	q->waiting--;
	if (queue->parms.promised_bps)
		queue->due_ps = clamp_t(s64, queue->due_ps, now * 1000 - queue->burst_ps,
					now * 1000) +
			div64_u64(bits * 1000000000000ULL, queue->parms.promised_bps);
	if (queue->parms.peak_bps)
		queue->held_ps = now * 1000 +
			div64_u64(bits * 1000000000000ULL, queue->parms.peak_bps);
	if (entry.skb) {
		stats->packets++;
		stats->bytes += entry.bytes;
		stats->wait_ns += wait_ns;
	} else {
		stats->background_packets++;
		stats->background_bytes += entry.bytes;
		stats->background_wait_ns += wait_ns;
	}
	return entry;
}

/* Last into a queue, whatever its limits if it is served at once. False: no room. */
bool port_put(struct port_sched *q, struct port_queue *queue, struct sk_buff *skb, u32 bytes,
	      u64 now, bool at_once)
{
	struct port_queue_stats *stats = &queue->stats;
	struct port_entry *entry;
	u32 at;

	if (!at_once && (stats->backlog_packets >= queue->parms.limit_packets ||
			 (queue->parms.limit_bytes &&
			  stats->backlog_bytes + bytes > queue->parms.limit_bytes)))
		return false;
	at = queue->head + stats->backlog_packets;
	if (at >= queue->parms.limit_packets)
		at -= queue->parms.limit_packets;
	entry = &queue->ring[at];
	entry->skb = skb;
	entry->bytes = bytes;
	entry->arrival_ns = now;
	if (!stats->backlog_packets) {
		list_add_tail(&queue->turn, &port_queues(q)->round[queue->parms.level]);
		queue->deficit = queue->parms.quantum_bytes;
	}
	stats->backlog_packets++;
	stats->backlog_bytes += bytes;
	q->waiting++;
	q->waiting_real += !!skb;
	q->waiting_owned += skb && port_owned(skb);
	if (at_once)
		return true;
	stats->max_backlog_packets = max(stats->max_backlog_packets, stats->backlog_packets);
	stats->max_backlog_bytes = max(stats->max_backlog_bytes, stats->backlog_bytes);
	return true;
}

/* Frees all that waits. */
void port_empty(struct port_sched *q)
{
	struct port_queues *queues = port_queues(q);
	struct port_queue *queue;
	u32 i;

	for (i = 0; queues && i < queues->count; i++) {
		queue = &queues->queue[i];
		for (; queue->stats.backlog_packets; queue->stats.backlog_packets--) {
			kfree_skb(queue->ring[queue->head].skb);
			if (++queue->head == queue->parms.limit_packets)
				queue->head = 0;
		}
		queue->stats.backlog_bytes = 0;
		list_del_init(&queue->turn);
	}
	q->waiting = 0;
	q->waiting_real = 0;
	q->waiting_owned = 0;
}

static int port_check_queues(const struct port_queue_parms *parms, u32 count, u32 default_queue,
			     struct netlink_ext_ack *extack)
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

static int port_make_queues(struct port_sched *made, const void *given, u32 count,
			    struct netlink_ext_ack *extack)
{
	const struct port_queues_parms *head = given;
	const struct port_queue_parms *parms = given + sizeof(*head);
	struct port_queues *queues;
	int err;
	u32 i;

	err = port_check_queues(parms, count, head->default_queue, extack);
	if (err)
		return err;
	queues = kvzalloc(sizeof(*queues), GFP_KERNEL);
	made->state[PORT_QUEUES] = queues;
	if (!queues)
		return -ENOMEM;
	for (i = 0; i < PORT_MAX_QUEUES; i++)
		INIT_LIST_HEAD(&queues->round[i]);
	queues->default_queue = head->default_queue;
	queues->queue = kvcalloc(count, sizeof(*queues->queue), GFP_KERNEL);
	if (!queues->queue)
		return -ENOMEM;
	queues->count = count;
	for (i = 0; i < count; i++) {
		struct port_queue *queue = &queues->queue[i];

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
		queues->levels = max(queues->levels, parms[i].level + 1);
		queues->promises |= !!parms[i].promised_bps;
		queues->peaks |= !!parms[i].peak_bps;
	}
	return 0;
}

static void port_unmake_queues(void *state)
{
	struct port_queues *queues = state;
	u32 i;

	for (i = 0; i < queues->count; i++)
		kvfree(queues->queue[i].ring);
	kvfree(queues->queue);
	kvfree(queues);
}

/* A queue's packets go where they still fit. */
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
		list_add_tail(&queue->turn, &port_queues(made)->round[queue->parms.level]);
}

static void port_inherit_queues(struct Qdisc *sch, struct port_sched *made)
{
	struct port_queues *before = port_queues(qdisc_priv(sch)), *queues = port_queues(made);
	struct port_queue *old, *queue;
	u32 i;

	if (!before)
		return;
	for (i = 0; i < before->count; i++) {
		old = &before->queue[i];
		queue = port_find(queues, old->parms.id);
		if (!queue)
			continue;
		queue->deficit = old->deficit;
		queue->due_ps = old->due_ps;
		queue->held_ps = old->held_ps;
		queue->stats = old->stats;
		queue->stats.backlog_packets = 0;
		queue->stats.backlog_bytes = 0;
	}
	for (i = 0; i < before->levels; i++)
		list_for_each_entry(old, &before->round[i], turn)
			port_move(sch, old, made, port_find(queues, old->parms.id));
}

static const struct port_stage port_queues_stage = {
	.attribute	= PORT_QUEUES,
	.always		= true,
	.head		= sizeof(struct port_queues_parms),
	.size		= sizeof(struct port_queue_parms),
	.most		= PORT_MAX_QUEUES,
	.make		= port_make_queues,
	.unmake		= port_unmake_queues,
	.inherit	= port_inherit_queues,
};
PORT_STAGE(port_queues_stage);
