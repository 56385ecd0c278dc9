"""Run folders: how a run is kept, and how it is read back.

    staging.py     a hidden folder that vanishes unless it is committed or measured
    janitor.py     the process that sees to it, and what a measurement is
    samples.py     raw records of all sessions -> one tidy table, Parquet in and out
    stamps.py      when probes left the ports of their ways, from captures
    provenance.py  who measured what, with which versions, where and how
    older.py       what older versions wrote, as it is now
    folder.py      collect() writes a run folder, RunFolder reads one, find_run() finds one

A run folder is `results/<experiment>/<UTC>-<id>/`; its files carry the number of
the stage that left them, so that a listing tells the story.
"""
