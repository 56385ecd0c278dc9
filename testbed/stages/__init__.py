"""What a run does inside a lab, a stage a file: the network is there, traffic comes and goes.

stage.py       what a stage is, and what all of a run share
kinds.py       all of them, in order
network.py     what all of them begin with
processes.py   what ends unasked
rules.py       the switches' tables: proved before traffic, counted after
ports.py       what the kernel has: read back before, begun with traffic, counted after
captures.py    packets kept at ports
loads.py       background flows
northbound.py  slices over HTTP, where any is ordered
events.py      the plan's deltas, and the timeline
port_samples.py  their depth and counts, each so many ms
seconds.py     progress, and the lab's clock
probes.py      STAMP sessions
"""
