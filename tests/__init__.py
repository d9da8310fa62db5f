"""The tests mirror ovsdp_cuse/ folder by folder; live/, systemd/ and vm/ need a kernel's help.

wire/ families/ switch/   what each module promises, with no kernel
fuzz/                     any bytes: a seeded program that tries to break the seventh law
"""
