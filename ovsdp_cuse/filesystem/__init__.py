"""The file system of live state: what the daemon tells by netlink, as files for `cat` and `grep`.

Served by pyfuse3 in the daemon's own loop, and read-only. Whatever it shows it asks of the families
as any other client does. `tree` says which files there are, `operations` answers the kernel.
"""
