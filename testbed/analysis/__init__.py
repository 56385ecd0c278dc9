"""From samples to verdicts; pure functions of numbers.

    percentiles.py  nearest-rank percentiles, their confidence, and when to refuse one
    shares.py       bounds of a share of messages, and of the share that is lost
    independence.py how many independent observations packets are worth
    sampling.py     which phases between senders a session sees, by plan
    deadline.py     miss ratio with its interval, and the verdict
    proof.py        what the bound or the budget decides without packets
    variation.py    IPDV, PDV, availability
    within_bounds.py measured maxima against the plan's bounds
    loads.py        which loads were not sent as planned
    overload.py     how full shared links were
    fidelity.py     the lab's own error, and which verdicts can bear it
    summary.py      one row per session and judged direction
    hops.py         where the delay of messages was spent, by hop and queue
    over_runs.py    several runs of one question as one result
    reproduction.py whether a repeated run measured the same
    outage.py       what each event interrupted, and for how long
    cut.py          what can be said of a run that was cut short
    phases.py       what each session saw between events
    terms.py        a promised term and what became of it
    promises.py     terms of slices against what their sessions saw
    rates.py        guaranteed and maximum rates, MTU
    structure.py    diversity, protection, isolation: the plan's

Delays are float nanoseconds, of messages; a lost one is +inf everywhere.
"""
