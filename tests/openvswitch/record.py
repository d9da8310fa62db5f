"""Record what Open vSwitch says on the kernel's own datapath: python -m tests.openvswitch.record

    python -m tests.vm --results DIR -- .venv/bin/python -m tests.openvswitch.record DIR

and then copy DIR/*.txt to `recorded/`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.namespaces import Namespace, fresh_namespaces
from tests.openvswitch.sessions import DPCTL, INTERFACES
from tests.openvswitch.stack import Stack, running_stack
from tests.openvswitch.startup import of_interest, probed
from tests.openvswitch.transcript import transcribe

MODULES = ("openvswitch", "veth", "nf_conntrack")


def load_modules() -> None:
    """What the kernel's datapath needs."""
    subprocess.run(["modprobe", "-a", *MODULES], check=True)


def add_interfaces(namespace: Namespace) -> None:
    """What the sessions of ovs-dpctl need."""
    for name in INTERFACES:
        namespace.add_veth(name, f"{name}-far")


def record(stack: Stack) -> dict[str, str]:
    """All recordings, by their files' names."""
    features = probed(stack)
    startup = "\n".join((*of_interest(stack.log), ""))
    stack.clear()
    add_interfaces(stack.namespace)
    dpctl = transcribe(stack.programs, DPCTL)
    return {"dpctl.txt": dpctl, "features.txt": features, "startup.txt": startup}


def main() -> None:
    """Record into the directory that is named."""
    load_modules()
    with fresh_namespaces() as make, running_stack("kernel", make) as stack:
        for name, text in record(stack).items():
            (Path(sys.argv[1]) / name).write_text(text)
        stack.clear()


if __name__ == "__main__":
    main()
