"""The frozen question: what an experiment's build() collected, JSON in and out.

model.py       the data
events.py      what can happen during an experiment
experiment.py  Experiment, the one class users subclass
discovery.py   finds topologies, policies, experiments and classes by folder
"""
