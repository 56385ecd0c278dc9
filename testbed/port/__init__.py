"""A port: one direction of a link, as a tuple of stages that packets pass.

    stage.py        what every kind of stage says of itself
    background.py   modelled arrivals, only counted
    policers.py     token buckets that drop before the queues
    queues.py       finite buffers, and who is served first
    gates.py        when each queue may send
    transmitter.py  bits over rate
    channel.py      propagation, devices, loss
    kinds.py        all kinds
    pipeline.py     a tuple of stages, and a port of the network
    events.py       the event model: arrivals in, deliveries and drops out
    curves.py       token buckets and rate-latency servers
    wire.py         records of the lab kernel's netlink attributes

A kind of stage is one file here, with its data, its service curve, its least delay, its
wire form and its event model, and one C file of the same name in kernel/port. To add one,
write the two and name it in kinds.py.
"""
