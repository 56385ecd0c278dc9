"""A link between two nodes: one file a kind.

    link.py     what every kind says of itself
    fibre.py    glass: kilometres, amplifiers, transponders
    lan.py      a patch cable at one site
    radio.py    a terminal and its gNB
    stated.py   a delay that somebody states, as stock Mininet's options do
    kinds.py    all kinds

To add a kind, write its file and name it in kinds.py; a topology lays one with
MetroTopo.connect().
"""
