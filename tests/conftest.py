"""What all tests share: the same randomness and the same signals, however they were started."""

from __future__ import annotations

import signal

from hypothesis import settings

# hypothesis derives its examples from each test, the same in every run.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

# A shell starts background jobs with Ctrl-C ignored, which the programs of the tests would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
