"""What is sent: application classes (data files) and the background loads.

classes.py, classes/*.toml   one application class a file, with its spec clause
loads.py                     iperf3 and flood senders of a plan
"""
