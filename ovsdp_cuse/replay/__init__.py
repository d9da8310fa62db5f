"""Requests of a capture, sent again to somebody else, and the answers compared.

fields.py   the numbers in a message that mean something else elsewhere
numbers.py  which of them stands for which
compare.py  two answers to the same request
player.py   one replay; timing.py keeps the capture's times
channel.py  whom it may be sent to; device.py and netlink.py are the two that there are
"""
