"""A network slicing and edge-access emulation testbed.

Data flow, which is also the order of the packages:

    scenario -> topology -> slices -> plan -> lab -> emulation -> traffic, probes
             -> results -> analysis -> report
"""

__version__ = "0.1.0"
