"""How traffic is steered: an OpenFlow 1.3 app on os-ken or Ryu, and policies that choose paths.

policies/       one file a policy; a user's own in the same folder of their project
compat.py       one surface for the two frameworks
encode.py       rules and groups to bytes
slice_app.py    the app: puts a plan's rules on its switches, reads counters back
restoration.py  when paths take other ways, as links fail and come back
northbound.py   changes of rules that another process asks for
launch.py       the controller as a child process
"""
