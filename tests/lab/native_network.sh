# On the bridge s1: h1 -- s1 -- h2: Open vSwitch's kernel datapath, 100 Mbit/s and 2 ms one way on each link
for n in 1 2; do
  ip netns add h$n
  ip link add s1-eth$n type veth peer name eth0 netns h$n
  ip -n h$n addr add 10.0.0.$n/24 dev eth0
  ip -n h$n link set eth0 up
  ip link set s1-eth$n up
  ovs-vsctl add-port s1 s1-eth$n
  tc qdisc add dev s1-eth$n root handle 1: htb default 1
  tc class add dev s1-eth$n parent 1: classid 1:1 htb rate 100mbit
  tc qdisc add dev s1-eth$n parent 1:1 netem delay 2ms limit 1000
done
ip netns exec h1 ping -q -c 20 -i 0.05 10.0.0.2 >/results/ping
ovs-appctl dpctl/show >/results/datapath
