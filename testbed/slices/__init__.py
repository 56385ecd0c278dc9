"""Slices: how a policy chooses paths and queues. Pure.

policy.py   Policy, the base class of every file in controllers/policies/, and Demand
paths.py    least-cost path with ties broken by name
"""
