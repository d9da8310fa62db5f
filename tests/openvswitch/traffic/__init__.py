"""Traffic through Open vSwitch, unmodified, with its datapath on the device.

hosts.py       namespaces with one interface each, and what programs in them do
ping.py        ICMP echo, without the program
capture.py     the frames that come out of a wire
bridges.py     a bridge of ovs-vswitchd: its ports, flows and counters
openflow.py    a controller
collectors.py  what sFlow and IPFIX send
ftp.py         a server of files that opens the data connection itself
frames.py      the frames that tests send
scenarios.py  which scenario of Open vSwitch's own system tests is covered by which test
"""
