"""Sites, fibre and devices: from a Mininet Topo to a network with one-way delays.

model.py     the network's data
elements.py  device constants, and where each comes from
limits.py    what names, rates and delays may be
topo.py      MetroTopo, the base of topologies/: fibre(), lan(), radio(), connect()
drawing.py   positions on a plane
describe.py  describe(topo) -> Network, for any mininet.topo.Topo
zoo.py       real graphs by name (topohub)
"""
