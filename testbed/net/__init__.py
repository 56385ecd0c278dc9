"""What the network is at a moment, and what changes it. Pure.

nodes.py      hosts, switches, links
tables.py     flow entries, groups and repairs, as data
legs.py       the legs of a session: path, budget, bound, what ends each; sums over them
paths.py      paths, their backups, the packets that take them; the book of orders
state.py      State: all of it at one moment; state + delta = state
deltas/       what each kind of change makes of a state
matches.py    the packets of a path by their OpenFlow fields
openflow.py   one OpenFlow switch in memory: tables, groups, actions
fabric.py     all switches of a state, and where a packet goes through them
restoration.py  which ways paths take that a controller restores
passage.py    how long what waits on its way may still take
timeline.py   what happened in a run, and when
history.py    the states one after the other, as far as they are known
ways.py       the ways that packets are sent by, and which are whole
walk.py       every packet of a state followed to its end: where it should be, or why not
"""

import testbed.net.deltas  # noqa: F401 - which kinds of change there are
