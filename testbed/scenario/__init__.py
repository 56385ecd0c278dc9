"""The frozen question: what an experiment's build() collected, JSON in and out.

model.py       slices and their terms, traffic, recovery
delta.py       a change of the network: what, when, why, on whose word
events/        what can happen during an experiment, a kind of delta each
scenario.py    one run's question, with all of it
written.py     a slice as build() writes it
params.py      typed parameters of build()
terms.py       the terms of a promise: how each is planned, proved, measured and worded
promise.py     what no network can promise
orders/        orders in the formats of IETF, 3GPP and GSMA
experiment.py  Experiment, the one class users subclass
discovery.py   finds topologies, policies, experiments and classes by folder
"""
