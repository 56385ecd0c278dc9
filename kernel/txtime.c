// SPDX-License-Identifier: GPL-2.0
/*
 * A UDP packet that names its time (SO_TXTIME, SCM_TXTIME, CLOCK_MONOTONIC) leaves its
 * socket at that time: as if its program had slept until then and sent it.
 *
 * Stock Linux hands such a packet to the device's queue at once and leaves the waiting to
 * a qdisc (fq, etf), if there is one that does. Here it waits before the network. So its
 * transmit timestamps are those of its moment, every qdisc sees it arrive then, and one
 * waking of a program sends many packets. Packets of one moment leave in the order in
 * which they were handed over. A moment that is past means at once.
 */

#include <linux/hrtimer.h>
#include <linux/init.h>
#include <linux/rbtree.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <net/ip.h>
#include <net/sock.h>

static struct rb_root_cached waiting = RB_ROOT_CACHED;
static DEFINE_SPINLOCK(waiting_lock);
static struct hrtimer alarm;

static bool txtime_before(struct rb_node *a, const struct rb_node *b)
{
	return rb_to_skb(a)->tstamp < rb_to_skb(b)->tstamp;
}

/* True: the packet is kept until its time, and then sent. */
bool txtime_keeps(struct sk_buff *skb)
{
	ktime_t moment = skb->tstamp;

	if (!moment || skb->tstamp_type != SKB_CLOCK_MONOTONIC || !sock_flag(skb->sk, SOCK_TXTIME))
		return false;
	if (moment <= ktime_get()) {
		skb_set_delivery_time(skb, 0, SKB_CLOCK_REALTIME);
		return false;
	}
	spin_lock_bh(&waiting_lock);
	if (rb_add_cached(&skb->rbnode, &waiting, txtime_before))
		hrtimer_start(&alarm, moment, HRTIMER_MODE_ABS_SOFT);
	spin_unlock_bh(&waiting_lock);
	return true;
}

static struct sk_buff *txtime_next(ktime_t now)
{
	struct rb_node *first;

	spin_lock(&waiting_lock);
	first = rb_first_cached(&waiting);
	if (first && rb_to_skb(first)->tstamp > now) {
		hrtimer_start(&alarm, rb_to_skb(first)->tstamp, HRTIMER_MODE_ABS_SOFT);
		first = NULL;
	}
	if (first)
		rb_erase_cached(first, &waiting);
	spin_unlock(&waiting_lock);
	return first ? rb_to_skb(first) : NULL;
}

static enum hrtimer_restart txtime_due(struct hrtimer *timer)
{
	struct sk_buff *skb;

	while ((skb = txtime_next(ktime_get()))) {
		skb->next = NULL;
		skb->prev = NULL;
		skb->dev = NULL;
		skb_set_delivery_time(skb, 0, SKB_CLOCK_REALTIME);
		ip_local_out(sock_net(skb->sk), skb->sk, skb);
	}
	return HRTIMER_NORESTART;
}

static int __init txtime_init(void)
{
	hrtimer_init(&alarm, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_SOFT);
	alarm.function = txtime_due;
	return 0;
}
core_initcall(txtime_init);
