"""The command line.

main.py      the verbs
console.py   errors, progress, and a group that knows the nearest verb
listing.py   tables of list, plan and doctor
new.py       commented templates for `testbed new`
"""
