// SPDX-License-Identifier: GPL-2.0
/*
 * Gates (IEEE 802.1Q-2022 8.6.8.4): a cycle of intervals that say which queues are open. A
 * queue begins a packet only if its gate stays open until the last bit is sent. A packet
 * that no opening of its queue is long enough for is dropped.
 */

#include "port.h"

#define PORT_GATES	4
#define PORT_MAX_GATES	256

struct port_cycle_parms {
	__u64 base_ns;		/* CLOCK_MONOTONIC: a cycle begins here, before and after too */
};

struct port_gate_parms {
	__u64 interval_ns;
	__u64 open;		/* bit N: the Nth of the queues */
};

struct port_window {		/* from a cycle's start; the last may reach into the next */
	u64 open_ns, close_ns;
};

struct port_gate {		/* of one queue */
	bool gated;		/* it is sometimes closed */
	u32 windows;
	u64 widest_ns;
	struct port_window *window;
};

struct port_gates {
	u64 base_ns, cycle_ns;
	struct port_gate gate[PORT_MAX_QUEUES];
};

static const struct port_gate *port_gate(const struct port_sched *q, const struct port_queue *queue)
{
	const struct port_gates *gates = q->state[PORT_GATES];

	return &gates->gate[queue - port_queues(q)->queue];
}

static bool port_gate_fits(const struct port_sched *q, const struct port_queue *queue, u32 bytes)
{
	const struct port_gate *gate = port_gate(q, queue);

	return !gate->gated ||
		(gate->widest_ns && port_lasts_ns(q, bytes, 0) <= gate->widest_ns);
}

static u64 port_gate_ns(const struct port_sched *q, const struct port_queue *queue, u32 bytes,
			u64 from)
{
	const struct port_gates *gates = q->state[PORT_GATES];
	const struct port_gate *gate = port_gate(q, queue);
	u64 into, base;
	s64 cycle, start, close;
	u32 turn, i;

	if (!gate->gated)
		return from;
	div64_u64_rem(gates->base_ns, gates->cycle_ns, &base);
	div64_u64_rem(from + gates->cycle_ns - base, gates->cycle_ns, &into);
	cycle = from - into - gates->cycle_ns;	/* the one before, which may reach here */
	for (turn = 0; turn < 3; turn++, cycle += gates->cycle_ns) {
		for (i = 0; i < gate->windows; i++) {
			start = max_t(s64, cycle + gate->window[i].open_ns, from);
			close = cycle + gate->window[i].close_ns;
			if (start < close && (s64)port_end_ns(q, bytes, start) <= close)
				return start;
		}
	}
	WARN_ON_ONCE(1);
	return U64_MAX;
}

/* When one queue's gate is open, within a cycle. */
static int port_make_windows(struct port_gates *gates, const struct port_gate_parms *parms,
			     u32 count, u32 place)
{
	struct port_gate *gate = &gates->gate[place];
	struct port_window *window;
	u64 now = 0;
	u32 i, n = 0;

	window = kvcalloc(count, sizeof(*window), GFP_KERNEL);
	if (!window)
		return -ENOMEM;
	for (i = 0; i < count; now += parms[i++].interval_ns) {
		if (!(parms[i].open & BIT_ULL(place)))
			continue;
		if (!n || window[n - 1].close_ns != now)
			window[n++].open_ns = now;
		window[n - 1].close_ns = now + parms[i].interval_ns;
	}
	if (n > 1 && !window[0].open_ns && window[n - 1].close_ns == gates->cycle_ns) {
		window[n - 1].close_ns += window[0].close_ns;
		memmove(window, window + 1, --n * sizeof(*window));
	}
	for (i = 0; i < n; i++)
		gate->widest_ns = max(gate->widest_ns, window[i].close_ns - window[i].open_ns);
	gate->gated = gate->widest_ns < gates->cycle_ns;
	gate->window = window;
	gate->windows = n;
	return 0;
}

static int port_make_gates(struct port_sched *made, const void *given, u32 count,
			   struct netlink_ext_ack *extack)
{
	const struct port_cycle_parms *cycle = given;
	const struct port_gate_parms *parms = given + sizeof(*cycle);
	u32 queues = port_queues(made)->count, i;
	struct port_gates *gates;
	int err = 0;

	gates = kvzalloc(sizeof(*gates), GFP_KERNEL);
	made->state[PORT_GATES] = gates;
	if (!gates)
		return -ENOMEM;
	gates->base_ns = cycle->base_ns;
	for (i = 0; i < count; i++) {
		gates->cycle_ns += parms[i].interval_ns;
		if (!parms[i].interval_ns ||
		    parms[i].interval_ns > PORT_MAX_SECONDS * (u64)NSEC_PER_SEC ||
		    gates->cycle_ns > PORT_MAX_SECONDS * (u64)NSEC_PER_SEC ||
		    (queues < 64 && parms[i].open >> queues)) {
			NL_SET_ERR_MSG(extack, "a gate's interval or queues are out of range");
			return -EINVAL;
		}
	}
	for (i = 0; count && i < queues && !err; i++) {
		err = port_make_windows(gates, parms, count, i);
		made->holds |= gates->gate[i].gated;
	}
	return err;
}

static void port_unmake_gates(void *state)
{
	struct port_gates *gates = state;
	u32 i;

	for (i = 0; i < PORT_MAX_QUEUES; i++)
		kvfree(gates->gate[i].window);
	kvfree(gates);
}

static const struct port_stage port_gates_stage = {
	.attribute	= PORT_GATES,
	.head		= sizeof(struct port_cycle_parms),
	.size		= sizeof(struct port_gate_parms),
	.most		= PORT_MAX_GATES,
	.make		= port_make_gates,
	.unmake		= port_unmake_gates,
	.fits		= port_gate_fits,
	.begin_ns	= port_gate_ns,
};
PORT_STAGE(port_gates_stage);
