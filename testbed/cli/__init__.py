"""The command line.

main.py      the verbs
console.py   errors, progress, and a group that knows the nearest verb
runs.py      what `run` carries out: one run, a sweep, repetitions
cost.py      about how long they take, before many are begun
reproduce.py stored runs, carried out again
listing.py   tables of list, plan and doctor
orders.py    slice orders checked, shown and converted
parts.py     lab kernel and image
new.py       commented templates for `testbed new`
"""
