"""What the lab must agree with: event models and formulas, stated apart from it.

port       a store-and-forward port: every departure and drop of given arrivals
sources    the port's modelled background traffic, the same numbers as the kernel's
waiting    mean waits by queueing theory: M/D/1, M/G/1, priorities (Cobham)
"""
