"""What people see of a run; reads results only.

wording.py  the words and number formats of table and page
naming.py   what rows are called
headline.py  a run's answer to its question
isolation.py  the answer of an experiment that floods
remedies.py  what to type so that what was not shown is
beforehand.py  what is decided before anything runs
table.py    the summary on a terminal
over_runs.py  several runs as one table
hops.py      where each microsecond went, by hop and queue
lifecycle.py  slices that came, changed and left
style.py    colours of slices, verdicts and delay parts
map.py      the network with its slice paths
depth.py      how full ports were, over time
figures.py  CCDF, delay budget, time series
html.py     one self-contained page, its template in page.html.j2
"""
