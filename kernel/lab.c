// SPDX-License-Identifier: GPL-2.0
/*
 * What programs cost in virtual time, and where randomness comes from.
 *
 * Under time-travel=inf-cpu the clock stands still while anything runs and jumps to
 * the next timer when everything sleeps. So work is free, and a program that waits
 * by asking again and again would wait for ever. Such a program is made to sleep a
 * little. Sleeping, it delays nobody: timers and other programs keep their exact times.
 *
 *     asked in vain    sched_yield, a poll or select that found nothing, a failed call:
 *                      32 in a row are free, each further one sleeps 10 us
 *     asked the time   1,000 in a row are free, each further one sleeps 1 us
 *     ... having sent  the first one after a datagram sleeps 1 us, and then reads
 *     any call         every 10,000th in a row sleeps 1 ms
 *     no call at all   every 500 ms of the host's CPU time sleeps 10 ms
 *     kernel loops     100,000 readings of the clock in a row are free, each further
 *                      one moves the clock 100 ns
 *
 * "In a row" ends whenever the program has slept by itself, and so does "after a datagram".
 * A program that waits in proper sleeps, as all those that measure do, therefore never pays.
 *
 * Having sent: a program that paces itself divides what it sent by the time since it
 * began. In the instant in which it began that is no rate, and it sends on. So it is in the
 * next instant when it looks. A stream is paced by its window, and datagrams that name
 * their time (txtime.c) are not sent yet.
 *
 * lab-seed=N makes the kernel draw its randomness from N instead of from the host.
 */

#include <linux/hrtimer.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <asm/archrandom.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/time-internal.h>
#include <net/sock.h>
#include <asm/unistd.h>
#include <os.h>

#define FREE_ASKS	32
#define ASK_NS		10000
#define FREE_TIMES	1000
#define TIME_NS		1000
#define SENT_NS		1000
#define MANY_CALLS	10000
#define CALLS_NS	1000000
#define SPIN_NS		10000000
#define FREE_READINGS	100000
#define READING_NS	100
#define WATCH_NS	250000000ULL	/* host time between looks for programs without calls */

static bool lab_active(void)
{
	return time_travel_mode == TT_MODE_INFCPU || time_travel_mode == TT_MODE_EXTERNAL;
}

static struct lab_patience *lab_mine(void)
{
	struct lab_patience *mine = &current->thread.patience;

	if (mine->sleeps != current->nvcsw)
		*mine = (struct lab_patience){ .sleeps = current->nvcsw };
	return mine;
}

static void lab_sleep(u64 ns)
{
	struct lab_patience *mine = &current->thread.patience;
	ktime_t time = ns_to_ktime(ns);

	set_current_state(TASK_INTERRUPTIBLE);
	schedule_hrtimeout(&time, HRTIMER_MODE_REL);
	mine->sleeps = current->nvcsw;		/* this one was ours */
}

static bool lab_in_vain(int nr, unsigned long ret)
{
	if (IS_ERR_VALUE(ret))
		return true;
	switch (nr) {
	case __NR_sched_yield:
		return true;
	case __NR_poll:
	case __NR_ppoll:
	case __NR_select:
	case __NR_pselect6:
	case __NR_epoll_wait:
	case __NR_epoll_pwait:
		return ret == 0;
	}
	return false;
}

static bool lab_asks_time(int nr)
{
	return nr == __NR_clock_gettime || nr == __NR_gettimeofday || nr == __NR_time;
}

/* A packet of a socket enters the network. */
void lab_sends(const struct sock *sk)
{
	if (in_task() && sk && sk_fullsock(sk) && sk->sk_type != SOCK_STREAM)
		lab_mine()->sent = true;
}

/* The call under way is door.c's: the host worked, not the program. */
void lab_was_the_host(void)
{
	lab_mine()->host = true;
}

/* Before every system call. */
void lab_calls(int nr)
{
	if (lab_active() && lab_asks_time(nr) && lab_mine()->sent) {
		lab_sleep(SENT_NS);
		current->thread.patience.sent = false;
	}
}

/* After every system call. */
void lab_called(int nr, unsigned long ret)
{
	struct lab_patience *mine;

	if (!lab_active())
		return;
	mine = lab_mine();
	if (mine->host) {
		mine->host = false;
		return;
	}
	if (lab_in_vain(nr, ret)) {
		if (++mine->asks > FREE_ASKS)
			lab_sleep(ASK_NS);
	} else if (lab_asks_time(nr)) {
		if (++mine->times > FREE_TIMES)
			lab_sleep(TIME_NS);
	}
	if (++mine->calls >= MANY_CALLS) {
		mine->calls = 0;
		lab_sleep(CALLS_NS);
	}
}

/* A program ran for long without a call. */
void lab_spun(void)
{
	if (lab_active())
		lab_sleep(SPIN_NS);
}

/* The kernel reads the clock outside interrupts: what that costs, in ns. */
unsigned long lab_reading_ns(void)
{
	struct lab_patience *mine = lab_mine();

	if (!lab_active())
		return TIMER_MULTIPLIER;
	return ++mine->readings > FREE_READINGS ? READING_NS : 0;
}

static int __init lab_watch(void)
{
	if (lab_active())
		os_timer_set_interval(WATCH_NS);
	return 0;
}
late_initcall(lab_watch);

static int __init lab_seed(char *text)
{
	return 1;	/* known: randomness is wanted before arguments are parsed */
}
__setup("lab-seed=", lab_seed);

ssize_t __ref lab_getrandom(void *buffer, size_t bytes)
{
	static bool looked, seeded;
	static u64 lab_random;
	u64 *words = buffer;
	const char *seed;
	size_t i;

	if (!looked) {
		looked = true;
		seed = strstr(boot_command_line, "lab-seed=");
		seeded = seed != NULL;
		if (seeded)
			lab_random = simple_strtoull(seed + strlen("lab-seed="), NULL, 0);
	}
	if (!seeded)
		return os_getrandom(buffer, bytes, 0);
	for (i = 0; i < bytes / sizeof(*words); i++) {
		u64 z = (lab_random += 0x9e3779b97f4a7c15ULL);	/* splitmix64 */

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
		words[i] = z ^ (z >> 31);
	}
	return bytes;
}
