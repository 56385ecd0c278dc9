"""What people see of a run; reads results only.

wording.py  the words and number formats of table and page
table.py    the summary on a terminal
style.py    colours of slices, verdicts and delay parts
map.py      the network with its slice paths
figures.py  CCDF, delay budget, time series
html.py     one self-contained page, its template in page.html.j2
"""
