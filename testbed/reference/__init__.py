"""What the lab must agree with, stated apart from it.

waiting.py  mean waits by queueing theory (M/D/1, M/G/1, priorities by Cobham)

The event model of a port is testbed/port/events.py.
"""
