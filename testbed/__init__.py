"""A network slicing and edge-access emulation testbed.

From what is asked to what is shown, each importing only those before it:

errors.py    every error a user can meet
text.py      text from outside, made safe to show
units.py     quantities as users write them, and the one unit each has inside
frames.py    sizes of packets, labels, full frames
files.py     files that are whole or not there
folders.py   folders removed, whatever is in them
process.py   processes that end with the one that started them
scenario/    the question: probes, flows, slices, events; orders in others' formats
traffic/     application classes, and the background loads
port/        one direction of a link, as stages
links/       kinds of link
topology/    sites and devices: from a Mininet Topo to a network with delays
net/         the network at a moment, and what changes it
slices/      paths, network calculus, admission
plan/        scenario and network to plan
lab/         the kernels a plan runs on
door.py      a program in a lab asks one on the host, and no time passes
emulation/   a plan carried out, and read back
probes/      STAMP sessions
northbound/  slices ordered over HTTP
stages/      what a run does inside a lab, a stage a file
results/     run folders
analysis/    samples to verdicts
report/      table, page, headline
reference/   what the lab must agree with, stated apart from it
prepare.py   an experiment's name to its plan
repeat.py    a stored run, ready to be carried out again
keep.py      what a run leaves is kept, however it ended
memory.py    how much memory a plan's lab is given
terminal.py  a run and its user's terminal
heard.py     what a lab's programs tell the host, who believes none of it
run.py       a run from the host's side
guest.py     a run inside the lab
cli/         the verbs
"""

__version__ = "0.1.0"
