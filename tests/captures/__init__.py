"""Real conversations of Open vSwitch with Linux's openvswitch module: see README.md."""
