"""Flows as `ovs-dpctl dump-flows` writes them, from what is on the wire.

The spelling is that of Open vSwitch 3.1 to the letter, tests hold it to that program's own output:

    flow.py       whole lines
    key.py        keys and masks; a key may also stand alone
    kinds.py      the attributes of a key, by fields.py and formats.py
    tunnel.py     tunnel keys, with tunnel_options.py
    nsh.py        service headers
    actions.py    lists of actions, with userspace.py and conntrack.py
    layout.py     attributes as they lie in a payload
    numbers.py    numbers, flags and names

Texts are made of payloads as they came, not of decoded values: whatever the bytes are, there is a
text for them, and what has no text of its own is shown in hexadecimal.

Two things that Open vSwitch 3.1 misreads are written as later versions do, as it knows their
numbers as something else and would read memory that is not the attribute's: the actions DEC_TTL and
DROP, and the tunnel's IPV4_INFO_BRIDGE.
"""
