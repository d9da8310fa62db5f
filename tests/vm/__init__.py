"""A virtual machine that runs one command on Debian's own kernel, and its result.

    python -m tests.vm [--systemd] -- COMMAND...

The guest's root directory is the host's, read-only through 9p, under an overlay that lives in the
guest's memory: the same programs, the same virtual environment, and nothing that the command does
reaches the host, except what it writes to the results directory.

    kernel.py      Debian's kernel package, fetched once into the user's cache
    initramfs.py   the archive that the kernel starts from
    machine.py     QEMU's command line, one boot, the command's output and exit status
    guest/         what runs inside: init (initramfs), systemd units

Only the standard library is used, so that `kernel.py` can run before there is an environment.
"""
