"""A seeded fuzzer. The invariant, in one sentence:

    any bytes, through either door or through the channel, give exactly one reply each, no
    exception but DatapathError leaves the dispatcher and none the connection, and the daemon
    still answers a correct GET afterwards, with its memory bounded.

    python -m tests.fuzz [--count N] [--seed S] [--round R]

Inputs come in rounds. A round is a daemon of its own and INPUTS_PER_ROUND inputs, all derived from
the seed and the round's number; so a failure names both, and `--seed S --round R` repeats it.

    inputs.py    what is sent: messages and frames, correct, mutated and random
    doors.py     a round at the doors: Dispatcher and sessions, with no device
    channel.py   rounds at the channel: Connection alone, and Server over a socket pair
    record.py    the last inputs of a round
    rounds.py    which rounds there are, and what is told of one that fails
"""
