"""Scenario -> Plan: addresses, ports, queues, delays, rules, sessions, budgets. Pure.

    model.py    the plan's data, JSON in and out
    compile.py  compile(scenario, ...) -> Plan
"""
