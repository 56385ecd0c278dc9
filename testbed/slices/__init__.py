"""Slices: how a policy chooses paths and queues. Pure.

policy.py    Policy, the base class of every file in controllers/policies/, and Demand
costs.py     what messages take over a path that meet no others; the fastest path
sent.py      what is sent on a path, as a token bucket
paths.py     cheapest paths in order, within a delay; ties broken by name
disjoint.py  the pair of disjoint paths of least cost together
queues.py    the queues of each port, as its scheduler serves the slices that pass
gates.py     when each queue of a port may send
bounds.py    delay and backlog bounds by network calculus
along.py     of a whole path, the bursts of others paid once
tandem.py    servers in a row, and what crossing traffic leaves of them
promises.py  worst delays of all orders together, kept up as they enter
order.py     an order, its routes, its refusal, what it is offered
ledger.py    which orders are in, what is left, where one more fits, what would fit instead
joint.py     the most orders that fit, by CP-SAT (OR-Tools)
admission.py admits many orders, all weighed together or first come first served
"""
