"""The controller's northbound service: slices ordered over HTTP while the network runs.

    python3 -m testbed.northbound --plan plan.json ...

A process beside the controller. An order goes this way:

    server.py       connections: who waits for what, and how long
    wire.py         HTTP/1.1 messages: bytes to requests, answers to bytes
    limits.py       token, host names, limits of size, rate, number and time
    restconf.py     paths, methods, media types, errors of RFC 8040
    conditions.py   entity-tags, and requests that depend on them
    library.py      what the service says of itself
    service.py      one change at a time: order -> delta -> steps -> journal
    journal.py      what is installed, and what has to be undone, in one file
    carrier.py      steps onto switches: queues by netlink, rules by the controller
    address.py      names that clients share
    child.py        the process, and what an experiment asks of it at set times
    problem.py      why a request is not carried out
    conformance.py  what the probes measured of a slice, against its promise

testbed/plan/admission.py decides, and says in which steps.
"""
