"""Scenario and network to Plan. Pure; everything a lab carries out is decided here.

model.py     the Plan, and what it is made of
compile.py   compile_plan: the steps below in order
validate.py  refuses scenarios and networks that cannot be, before anything else
wiring.py    addresses, interface names, ifindexes, port numbers, delays, buffers
routing.py   asks the policy for paths, numbers them, gives slices their queues
protection.py  backups of paths
pacing.py    when senders begin, and how fast their clocks run
traffic.py   probes to STAMP sessions, flows to loads
budget.py    where the delay of a message goes
session_bounds.py  the delay that no conforming packet exceeds, the backlog no queue does
background.py  modelled background: the sources of each port
policing.py  what slices send beyond their maximum is dropped where it enters
rules.py     OpenFlow entries: classify, label, forward; best effort between all hosts
matches.py   which packets belong to a session or load
pairs.py     paths for all packets between each two hosts
afterwards.py  the bounds of the states that events leave
admission.py  orders at run time as deltas of a state, step by step
placing.py   their packets, paths, labels and queue numbers
served.py    ports and rates with orders
holding.py   whether all that is promised holds in a state
uncarried.py  terms that orders are not carried with
offers.py    what would be carried instead
refusal.py   why an order is not carried
memory.py    how much memory the plan takes in a lab
offered.py   what traffic offers each port, against its rate
unkept.py    promises that the plan cannot keep, for whoever reads its results
show.py      the plan as tables for people
"""
