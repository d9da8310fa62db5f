"""A whole start of ovs-vswitchd, recorded, and replayed to others that have seen nothing: a fresh
device, and the kernel's own module."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.namespaces import Namespace
from tests.nodes.calls import wait_until
from tests.nodes.interface import DEADLINE_S
from tests.openvswitch.programs import LIMIT_S
from tests.openvswitch.stack import Stack, running_stack

pytestmark = pytest.mark.emulated

PROGRAM = (sys.executable, "-m", "ovsdp_cuse")
VETHS = ("v0", "v1")


class Recording(NamedTuple):
    """A recording of a start, and the stack that it is of, whose ovs-vswitchd has ended since."""

    file: Path
    stack: Stack


class Differing(NamedTuple):
    """A difference in the answers to a request, and what was asked."""

    command: str
    subject: str
    where: str
    recorded: str
    got: str


@contextmanager
def recording(stack: Stack, file: Path) -> Iterator[None]:
    """Record what crosses the device of a stack."""
    assert stack.daemon is not None
    log = file.with_suffix(".log")
    with log.open("wb") as told:
        process = subprocess.Popen(
            [*PROGRAM, "record", str(file), "--device", str(stack.daemon.path)], stderr=told
        )
    try:
        wait_until(lambda: b"recording" in log.read_bytes(), "it records")
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0, log.read_text()
        assert "lost" not in log.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def start(
    kind: str,
    new_shared_namespace: Callable[[], Namespace],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Recording]:
    """A start with a bridge, a port of type internal, and two that are interfaces."""
    file = tmp_path_factory.mktemp("recording") / "start.pcapng"
    with running_stack(kind, new_shared_namespace) as stack:
        stack.openvswitch.stop_vswitchd()
        assert stack.daemon is not None
        stack.daemon.stop()
        stack.namespace.add_veth(*VETHS)
        stack.start_daemon()
        with recording(stack, file):
            stack.openvswitch.start_vswitchd()
            stack.add_bridge("br0")
            stack.vsctl("add-port", "br0", "i0", "--", "set", "interface", "i0", "type=internal")
            for name in VETHS:
                stack.vsctl("add-port", "br0", name)
        stack.openvswitch.stop_vswitchd()
        yield Recording(file, stack)
        stack.openvswitch.start_vswitchd()  # and ends as it is used to
        stack.clear()


def replay(file: Path, to: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `ovsdp-cuse replay` to its end."""
    command = [*PROGRAM, "replay", str(file), "--to", to, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)


_MAXATTR = Differing("CTRL_CMD_GETFAMILY", "ovs_vport", "reply: CTRL_ATTR_MAXATTR", "10", "9")
_BLAMED = "reply: attribute to blame"
_NOBODY = "at byte None"
_ND = "set(nd_ext(nd_reserved=0x53535353,nd_options_type=83/0x7f))"
KNOWN = Counter(
    [
        # docs/differences.md: newer than Linux 6.1, another group, and not supported yet
        _MAXATTR,
        _MAXATTR,
        Differing(
            "CTRL_CMD_GETFAMILY",
            "ovs_packet",
            "reply: CTRL_ATTR_MCAST_GROUPS",
            '[{ID=106, NAME="ovs_packet"}]',
            "none",
        ),
        Differing("OVS_FLOW_CMD_NEW", "hash(sym_l4(0))", "reply", "none", "NLMSG_ERROR EINVAL"),
        Differing("OVS_FLOW_CMD_GET", "", "reply", "OVS_FLOW_CMD_GET", "NLMSG_ERROR ENOENT"),
        Differing("OVS_FLOW_CMD_DEL", "", "reply", "none", "NLMSG_ERROR ENOENT"),
        *(
            Differing("OVS_PACKET_CMD_EXECUTE", ct, "reply", "NLMSG_ERROR EOPNOTSUPP", "none")
            for ct in ("ct", "ct(timeout=ovs_test_tp)")
        ),
        # Our errors tell where the request is wrong in more of the cases.
        Differing("OVS_DP_CMD_NEW", "ovs-system", _BLAMED, "at byte 48", _NOBODY),
        Differing("OVS_DP_CMD_SET", "ovs-system", _BLAMED, "at byte 40", _NOBODY),
        Differing("OVS_PACKET_CMD_EXECUTE", _ND, _BLAMED, "at byte 80", _NOBODY),
        *(
            Differing("OVS_VPORT_CMD_GET", name, _BLAMED, "at byte 32", _NOBODY)
            for name in ("br0", "i0", *VETHS)
        ),
    ]
)
"""How Linux 6.1 differs from this recording: in nothing more, and in nothing less."""


def asked(document: dict[str, Any]) -> tuple[str, str]:
    """The command of a request, and the object or the actions that it is about."""
    (request,) = document["request"]
    attributes = request["attributes"]
    subject = attributes.get("FAMILY_NAME") or attributes.get("NAME") or attributes.get("ACTIONS")
    return request["command"], str(subject or "")


def differences(printed: str) -> Iterator[Differing]:
    """What `replay --json` has printed of what is not the same."""
    *documents, _counts = map(json.loads, printed.splitlines())
    for document in documents:
        for found in document["differences"]:
            yield Differing(*asked(document), **found)


def test_the_kernel_s_module_differs_in_what_is_known(
    start: Recording, kind: str, new_namespace: Callable[[], Namespace]
) -> None:
    if kind != "cuse":
        pytest.skip("the virtual machine's kernel has the module, and CUSE")
    subprocess.run(["modprobe", "openvswitch"], check=True)
    namespace = new_namespace()
    namespace.add_veth(*VETHS)
    with namespace:
        done = replay(start.file, "netlink", "--json")
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["requests"] > 100, "it is a whole start"
    assert Counter(differences(done.stdout)) == KNOWN
    assert done.returncode == 1


def test_a_fresh_device_differs_in_nothing(start: Recording) -> None:
    stack = start.stack
    assert stack.daemon is not None
    stack.daemon.stop()
    stack.start_daemon()
    device = str(stack.daemon.path)
    done = replay(start.file, device)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    summary = done.stdout.splitlines()[-1]
    assert " 0 differently" in summary
    assert int(summary.split()[0]) > 100, "it is a whole start"
    subprocess.run([*PROGRAM, "dp-del", "ovs-system", "--device", device], check=True)


def test_tshark_opens_it(start: Recording) -> None:
    def tshark(*options: str) -> list[str]:
        command = ("tshark", "-r", str(start.file), *options)
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.splitlines()

    assert tshark("-Y", "_ws.malformed") == []
    commands = set(tshark("-Y", "genl.cmd", "-T", "fields", "-e", "genl.family_id"))
    assert len(commands) > 5, "families are named"
