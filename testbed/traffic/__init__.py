"""What is sent: application classes (data files) and the background loads.

classes.py, classes/*.toml   one application class a file, with its spec clause
kinds/                       one kind of load a file
loads.py                     the loads of a plan: started, ended, and what they carried
constant.py                  the process that sends those of a constant rate
"""
