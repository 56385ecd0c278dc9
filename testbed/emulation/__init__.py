"""Carries a plan out on a kernel and Open vSwitch, and reads back what they have.

network.py      LabNet: the network, with Mininet's face
nodes.py        Mininet's nodes and links over what netlink made
links.py        links and addresses, batched
netlink.py      many requests in one system call, their errors together
netns.py        namespaces without processes
modules.py      no module requests where the kernel is the lab's own
qdisc.py        how packets leave a port: set, changed, read back
lab_qdisc.py    a port by the lab kernel's own discipline
stock_qdisc.py  a port by netem and HTB
police.py       policers of a stock port
tc.py           what all disciplines share: messages, dumps
requeue.py      other queues at ports that carry traffic
readback.py     what the kernel has, held against what was asked
ovs.py          a private Open vSwitch
ovsdb.py        its database
bridges.py      its bridges
appctl.py       commands to it
control.py      the controller and its channel
proof.py        every path, as the switches say it
schedule.py     deltas at their times, into the timeline
become.py       the difference of two states on links and ports
acts/           how deltas are carried out that do more than that
capture.py      tcpdump at ports
recovery.py     what happens at the prompt, and how it is answered
watch.py        processes that end before they were to
prompt.py       the `mininet>` prompt
iperf.py        its `iperf`
"""
