"""A seeded fuzzer. The invariant, in one sentence:

    any bytes, through either door, through the channel or as frames through ports, give exactly
    one reply each, no exception but DatapathError leaves a handler and none the connection, no
    packet is processed without being sent, told or counted as dropped, no input takes longer than
    a second, and the daemon still answers a correct GET afterwards, with its memory bounded.

    python -m tests.fuzz [--count N] [--seed S] [--round R]

Inputs come in rounds. A round is a daemon of its own and INPUTS_PER_ROUND inputs, all derived from
the seed and the round's number; so a failure names both, and `--seed S --round R` repeats it.

    inputs.py    what is sent: messages and frames of the channel, correct, mutated and random
    requests.py  requests to a switch that fit its state: flows, packets, ports, meters
    control.py   requests of `ovsdp_control`: state, traces, faults
    corpus.py    requests of real Open vSwitch, from tests/captures/
    frames.py    frames for ports and EXECUTE, with what a virtio_net_hdr claims of them
    doors.py     a round at the doors: Dispatcher and sessions, with no device
    switch.py    a round at a switch: requests, frames, interfaces, all of them come and go
    faults.py    a round with faults, at the end of which each request has its one answer
    accounts.py  what becomes of packets
    channel.py   rounds at the channel: Connection alone, and Server over a socket pair
    record.py    the last inputs of a round, and the slowest
    rounds.py    which rounds there are, and what is told of one that fails
"""
