// SPDX-License-Identifier: GPL-2.0
/*
 * port: one direction of a link as physics has it, a store-and-forward port, as stages.
 *
 *     arrivals --> policers --> queues --> transmitter --> channel --> device
 *                  drop what    finite     one packet at   delay,
 *                  is too much  buffers    a time: bits    in order
 *                                          over rate
 *
 * skb->priority H:(N+1), with H the qdisc's handle, selects policer N and queue N, as
 * OpenFlow set_queue:N does; everything else goes to the default queue, as does what
 * selects a queue that is not there. A packet is taken off its sender's send buffer when
 * its transmission begins, as a device takes it over, not when it arrives.
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
 * testbed/port states the same as an event model; the two agree packet by packet.
 */

#include <linux/module.h>

#include "port.h"

static const struct port_stage *port_stages[PORT_ATTRIBUTES] __ro_after_init;
static u32 port_stage_count __ro_after_init;

#define port_for_each(q, stage, i)							\
	for ((i) = 0; (i) < port_stage_count && ((stage) = port_stages[i]); (i)++)	\
		if ((q)->state[(stage)->attribute])

void __init port_register(const struct port_stage *stage)
{
	u32 at = port_stage_count++;

	BUG_ON(!stage->attribute || stage->attribute >= PORT_ATTRIBUTES);
	for (; at && port_stages[at - 1]->attribute > stage->attribute; at--)
		port_stages[at] = port_stages[at - 1];
	BUG_ON(at && port_stages[at - 1]->attribute == stage->attribute);
	port_stages[at] = stage;
}

static struct port_cb *port_cb(struct sk_buff *skb)
{
	qdisc_cb_private_validate(skb, sizeof(struct port_cb));
	return (struct port_cb *)qdisc_skb_cb(skb)->data;
}

/* The same numbers as testbed/port has them. */
u64 port_random(u64 *state)	/* splitmix64 */
{
	u64 z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

bool port_fits(const struct port_sched *q, const struct port_queue *queue, u32 bytes)
{
	const struct port_stage *stage;
	u32 i;

	port_for_each(q, stage, i)
		if (stage->fits && !stage->fits(q, queue, bytes))
			return false;
	return true;
}

u64 port_begin_ns(const struct port_sched *q, const struct port_queue *queue, u32 bytes, u64 from)
{
	const struct port_stage *stage;
	u32 i;

	if (!q->holds)
		return from;
	port_for_each(q, stage, i)
		if (stage->begin_ns)
			from = stage->begin_ns(q, queue, bytes, from);
	return from;
}

static u64 port_least_ns(const struct port_sched *q)
{
	const struct port_stage *stage;
	u64 least = 0;
	u32 i;

	port_for_each(q, stage, i)
		if (stage->least_ns)
			least += stage->least_ns(q->state[stage->attribute]);
	return least;
}

/* The free transmitter takes the next packet. */
static void port_serve(struct port_sched *q, u64 now)
{
	struct port_queue *queue = port_choose(q, now);
	const struct port_stage *stage;
	struct port_entry entry;
	struct sk_buff *skb;
	u64 at;
	u32 i;

	if (WARN_ON_ONCE(!queue))
		return;
	entry = port_take(q, queue, now);
	at = port_send(q, entry.bytes, now);
	skb = entry.skb;
	if (!skb)
		return;
	q->waiting_real--;
	if (port_owned(skb)) {
		q->waiting_owned--;
		skb_orphan_partial(skb);
	}
	port_cb(skb)->lost = false;
	port_for_each(q, stage, i)
		if (stage->arrives_ns)
			at = stage->arrives_ns(q->state[stage->attribute], port_cb(skb), at);
	port_cb(skb)->delivery_ns = at;
	skb->next = NULL;
	if (q->head)
		q->tail->next = skb;
	else
		q->head = skb;
	q->tail = skb;
}

/* An arrival, when everything before it is worked out. False: it is dropped. */
bool port_arrive(struct port_sched *q, u32 id, struct sk_buff *skb, u32 bytes, u64 now)
{
	struct port_queues *queues = port_queues(q);
	struct port_queue *queue = port_find(queues, id) ?: port_find(queues, queues->default_queue);
	struct port_queue_stats *stats = &queue->stats;
	bool fits = port_fits(q, queue, bytes), at_once = false;
	u32 wire_bytes = port_wire_bits(q, bytes) / 8, i;
	const struct port_stage *stage;

	port_for_each(q, stage, i) {
		if (stage->admits &&
		    !stage->admits(q->state[stage->attribute], id, wire_bytes, now)) {
			if (skb)
				stats->policed++;
			else
				stats->background_policed++;
			return false;
		}
	}
	if (port_idle(q, now))
		at_once = fits && !stats->backlog_packets &&
			(!queue->parms.peak_bps || queue->held_ps <= (s64)(now * 1000)) &&
			port_begin_ns(q, queue, bytes, now) == now;
	if (!fits || !port_put(q, queue, skb, bytes, now, at_once)) {
		if (skb)
			stats->drops++;
		else
			stats->background_drops++;
		return false;
	}
	if (at_once)
		port_serve(q, now);
	return true;
}

/* Work out everything up to and including `now`. */
static void port_advance(struct port_sched *q, u64 now)
{
	const struct port_stage *stage, *first;
	u64 decision, event, next;
	u32 i;

	if (unlikely(!port_queues(q)))
		return;
	for (;;) {
		first = NULL;
		event = U64_MAX;
		port_for_each(q, stage, i) {
			next = stage->next_ns ? stage->next_ns(q->state[stage->attribute]) : U64_MAX;
			if (next < event) {
				event = next;
				first = stage;
			}
		}
		decision = port_decision_ns(q);
		if (min(decision, event) > now)
			return;
		if (decision <= event)
			port_serve(q, decision);
		else
			first->happens(q, q->state[first->attribute]);
	}
}

/* Queueing discipline operations */

static u32 port_classify(struct Qdisc *sch, const struct sk_buff *skb)
{
	struct port_sched *q = qdisc_priv(sch);

	if (TC_H_MAJ(skb->priority) == sch->handle && TC_H_MIN(skb->priority))
		return TC_H_MIN(skb->priority) - 1;
	return port_queues(q)->default_queue;
}

static int port_enqueue(struct sk_buff *skb, struct Qdisc *sch, struct sk_buff **to_free)
{
	struct port_sched *q = qdisc_priv(sch);
	u64 now = ktime_get_ns();
	u32 bytes = qdisc_pkt_len(skb);

	if (unlikely(!port_queues(q)))
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
		wake = port_decision_ns(q) + port_least_ns(q);
	if (q->waiting_owned)
		wake = min(wake, port_decision_ns(q));
	if (wake != U64_MAX)
		qdisc_watchdog_schedule_ns(&q->watchdog, wake);
	return NULL;
}

static void port_reset(struct Qdisc *sch)
{
	struct port_sched *q = qdisc_priv(sch);
	struct sk_buff *skb;

	port_empty(q);
	while ((skb = q->head)) {
		q->head = skb->next;
		skb_mark_not_on_list(skb);
		kfree_skb(skb);
	}
	qdisc_watchdog_cancel(&q->watchdog);
}

/* Setting: what is asked for is made apart, then takes the place of what was. */

static void port_unmake(struct port_sched *q)
{
	const struct port_stage *stage;
	u32 i;

	port_for_each(q, stage, i) {
		if (stage->unmake)
			stage->unmake(q->state[stage->attribute]);
		else
			kvfree(q->state[stage->attribute]);
	}
	for (i = 0; i < PORT_ATTRIBUTES; i++)
		kvfree(q->parms[i]);
}

static int port_make(struct port_sched *made, const struct port_stage *stage,
		     const struct nlattr *attr, struct netlink_ext_ack *extack)
{
	u32 length, count = 0;
	void *parms;

	if (!attr && !stage->always)
		return 0;
	length = attr ? nla_len(attr) : 0;
	if (length >= stage->head && stage->size)
		count = (length - stage->head) / stage->size;
	if (!attr || length != stage->head + count * stage->size) {
		NL_SET_ERR_MSG(extack, "a stage that a port needs is not there, or not so long as it is");
		return -EINVAL;
	}
	if (count > stage->most) {
		NL_SET_ERR_MSG(extack, "the number of parameters of a stage is out of range");
		return -ERANGE;
	}
	parms = kvmemdup(nla_data(attr), length, GFP_KERNEL);
	if (!parms)
		return -ENOMEM;
	made->parms[stage->attribute] = parms;
	made->length[stage->attribute] = length;
	return stage->make(made, parms, count, extack);
}

static void port_replace(struct Qdisc *sch, struct port_sched *made)
{
	struct port_sched *q = qdisc_priv(sch);
	const struct port_stage *stage;
	u64 now = ktime_get_ns();
	u32 i;

	sch_tree_lock(sch);
	port_advance(q, now);
	port_for_each(made, stage, i)
		if (stage->inherit)
			stage->inherit(sch, made);
	q->holds = made->holds;
	for (i = 0; i < PORT_ATTRIBUTES; i++) {
		swap(q->state[i], made->state[i]);
		swap(q->parms[i], made->parms[i]);
		swap(q->length[i], made->length[i]);
	}
	if (sch->q.qlen)	/* may be due earlier than it was */
		qdisc_watchdog_schedule_ns(&q->watchdog, now);
	sch_tree_unlock(sch);
}

/* Everything is given anew: what is not in `opt` is none. */
static int port_change(struct Qdisc *sch, struct nlattr *opt, struct netlink_ext_ack *extack)
{
	struct nlattr *tb[PORT_ATTRIBUTES];
	struct port_sched *made;
	u32 i, known = 0;
	int err;

	if (!opt) {
		NL_SET_ERR_MSG(extack, "a port needs options");
		return -EINVAL;
	}
	err = nla_parse_nested_deprecated(tb, PORT_ATTRIBUTES - 1, opt, NULL, extack);
	if (err)
		return err;
	for (i = 0; i < port_stage_count; i++)
		known |= 1U << port_stages[i]->attribute;
	for (i = 0; i < PORT_ATTRIBUTES; i++)
		if (tb[i] && !(known >> i & 1)) {
			NL_SET_ERR_MSG(extack, "this kernel's port has no such stage");
			return -EINVAL;
		}
	made = kzalloc(sizeof(*made), GFP_KERNEL);
	if (!made)
		return -ENOMEM;
	for (i = 0; i < port_stage_count && !err; i++)
		err = port_make(made, port_stages[i], tb[port_stages[i]->attribute], extack);
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

static int port_dump(struct Qdisc *sch, struct sk_buff *skb)
{
	struct port_sched *q = qdisc_priv(sch);
	struct nlattr *nest = nla_nest_start_noflag(skb, TCA_OPTIONS);
	const struct port_stage *stage;
	u32 i;

	if (!nest)
		return -EMSGSIZE;
	port_for_each(q, stage, i)
		if (nla_put(skb, stage->attribute, q->length[stage->attribute],
			    q->parms[stage->attribute]))
			return -EMSGSIZE;
	return nla_nest_end(skb, nest);
}

static int port_dump_stats(struct Qdisc *sch, struct gnet_dump *d)
{
	struct port_sched *q = qdisc_priv(sch);
	struct port_queues *queues = port_queues(q);
	struct port_queue_stats *stats;
	int err;
	u32 i;

	stats = kcalloc(queues->count, sizeof(*stats), GFP_KERNEL);
	if (!stats)
		return -ENOMEM;
	sch_tree_lock(sch);
	port_advance(q, ktime_get_ns());
	for (i = 0; i < queues->count; i++)
		stats[i] = queues->queue[i].stats;
	sch_tree_unlock(sch);
	err = gnet_stats_copy_app(d, stats, queues->count * sizeof(*stats));
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
