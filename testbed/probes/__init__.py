"""Measurement with STAMP (RFC 8762, RFC 8972), kernel timestamps, open loop.

stamp.py         packets: bytes in, bytes out                        [pure]
messages.py      the other packets of a message                      [pure]
clock.py         clocks, timer slack, and dying with the parent
sockets.py       UDP sockets with kernel timestamps
batches.py       many packets a system call
schedule.py      when packets are meant to be sent                   [pure]
eliminator.py    elimination of copies (IEEE 802.1CB)
events.py        the binary log that the processes write             [pure]
events_read.py   the one reader of that log
sender.py        sends every session's packets on its schedule
receiver.py      reads replies, transmit timestamps, packets that need no answer
reflector.py     answers (any RFC 8762 sender, standalone too)
child.py         how the engine and its processes talk
engine.py        opens the sockets in the hosts and runs the three
single.py        one session to any reflector, from the command line
null_path.py     one bare wire beside the network
clocks.py        whether a program sets the lab's clock
carried.py       how many packets of each session arrived
samples.py       the logs as one table a session                     [host, numpy]
arrivals.py      when each message was there, all of it              [host, numpy]
capture_read.py  packet captures held against the plan               [host, scapy]
"""
