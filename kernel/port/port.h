/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the stages of a port share. A stage is a file that says, in a struct port_stage,
 * what it does with a packet at which point; hooks that it leaves away do nothing. Its
 * parameters are one netlink attribute: a head, then an array. testbed/port has the same
 * stages in files of the same names.
 */
#ifndef _PORT_H
#define _PORT_H

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/overflow.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include <net/pkt_sched.h>
#include <net/sock.h>

#define PORT_MAX_QUEUES		64
#define PORT_MAX_RATE		10000000000000ULL	/* 10 Tbit/s: products fit 64 bits */
#define PORT_MAX_PACKET		(1 << 17)
#define PORT_MAX_BURST		(1 << 28)
#define PORT_MAX_SECONDS	1000			/* of delay, of a cycle of gates */
#define PORT_MAX_BURST_SECONDS	1000000			/* its picoseconds fit 63 bits */

#define PORT_ATTRIBUTES		32

enum {		/* stages that others know; a number is an attribute and a place */
	PORT_QUEUES		= 3,
	PORT_TRANSMITTER	= 5,
};

struct port_queue_parms {
	__u32 id;
	__u32 level;		/* 0 is served first */
	__u32 quantum_bytes;	/* on the wire, per turn among queues of one level */
	__u32 limit_packets;
	__u64 limit_bytes;	/* 0: packets only */
	__u64 promised_bps;	/* 0: none */
	__u64 peak_bps;		/* 0: the port's */
	__u32 burst_bytes;	/* promised rate not used that may be used later */
	__u32 pad;
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
	__u64 policed;		/* dropped by a stage before */
	__u64 background_policed;
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

struct port_queues {
	u32 default_queue;
	u32 count, levels;
	bool promises, peaks;	/* of any queue */
	struct port_queue *queue;
	struct list_head round[PORT_MAX_QUEUES];	/* per level: its queues that are not empty */
};

struct port_sched {
	void *state[PORT_ATTRIBUTES];	/* of each stage that the port has */
	void *parms[PORT_ATTRIBUTES];	/* as they were given */
	u32 length[PORT_ATTRIBUTES];
	bool holds;			/* some stage may hold up a free transmitter */
	u32 waiting;			/* packets in queues, background included */
	u32 waiting_real;
	u32 waiting_owned;		/* in a sender's send buffer */
	struct sk_buff *head, *tail;	/* in the channel or in transmission */
	struct qdisc_watchdog watchdog;
};

struct port_cb {
	u64 delivery_ns;
	bool lost;		/* in the channel */
};

struct port_stage {
	u16 attribute;
	bool always;		/* every port has it */
	u32 head;		/* bytes of the parameters before the array */
	u32 size;		/* of each of the array */
	u32 most;		/* of them */

	/* Makes made->state[attribute] of parameters of the right lengths. */
	int (*make)(struct port_sched *made, const void *parms, u32 count,
		    struct netlink_ext_ack *extack);
	void (*unmake)(void *state);		/* NULL: kvfree() */
	/* What is made takes over the state of what was, under the lock. */
	void (*inherit)(struct Qdisc *sch, struct port_sched *made);

	/* A packet of so many bytes on the wire, for queue `id`, arrives. False: it is dropped. */
	bool (*admits)(void *state, u32 id, u32 bytes, u64 now);
	/* Whether a packet of the queue can ever begin. */
	bool (*fits)(const struct port_sched *q, const struct port_queue *queue, u32 bytes);
	/* The first moment, not before `from`, at which the packet, which fits, may begin. */
	u64 (*begin_ns)(const struct port_sched *q, const struct port_queue *queue, u32 bytes,
			u64 from);
	/* When a packet is there that has left at `sent`; it may be marked as lost. */
	u64 (*arrives_ns)(void *state, struct port_cb *packet, u64 sent);
	u64 (*least_ns)(const void *state);	/* between the two */

	/* What happens by itself: when next (U64_MAX: never), and its happening. */
	u64 (*next_ns)(const void *state);
	void (*happens)(struct port_sched *q, void *state);
};

void port_register(const struct port_stage *stage);

/* Stages of one hook act in the order of their attributes. */
#define PORT_STAGE(stage)					\
	static int __init stage##_register(void)		\
	{							\
		port_register(&stage);				\
		return 0;					\
	}							\
	core_initcall(stage##_register)

/* port.c */
bool port_fits(const struct port_sched *q, const struct port_queue *queue, u32 bytes);
u64 port_begin_ns(const struct port_sched *q, const struct port_queue *queue, u32 bytes, u64 from);
bool port_arrive(struct port_sched *q, u32 id, struct sk_buff *skb, u32 bytes, u64 now);
u64 port_random(u64 *state);

static inline bool port_owned(const struct sk_buff *skb)
{
	return skb->destructor && skb->destructor != sock_efree;
}

/* queues.c */
static inline struct port_queues *port_queues(const struct port_sched *q)
{
	return q->state[PORT_QUEUES];
}

struct port_queue *port_find(struct port_queues *queues, u32 id);
u64 port_decision_ns(const struct port_sched *q);
struct port_queue *port_choose(struct port_sched *q, u64 now);
struct port_entry port_take(struct port_sched *q, struct port_queue *queue, u64 now);
bool port_put(struct port_sched *q, struct port_queue *queue, struct sk_buff *skb, u32 bytes,
	      u64 now, bool at_once);
void port_empty(struct port_sched *q);

/* transmitter.c */
u64 port_free_ns(const struct port_sched *q);
u64 port_wire_bits(const struct port_sched *q, u32 bytes);
u64 port_lasts_ns(const struct port_sched *q, u32 bytes, u64 frac);
u64 port_end_ns(const struct port_sched *q, u32 bytes, u64 start);
bool port_idle(struct port_sched *q, u64 now);
u64 port_send(struct port_sched *q, u32 bytes, u64 now);

#endif
