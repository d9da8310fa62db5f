"""The C header and the schemas of `wire/`, checked by a C compiler against <linux/...>.

Three parties know the same numbers: ovs_datapath.h, the kernel's headers (Debian: linux-libc-dev)
and our Python schemas. tests/c/header_check.c holds the first two together, the tests here the
third. A compiler is part of what `make test` needs: without one these tests fail.
"""

from __future__ import annotations

import importlib
import pkgutil
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from pathlib import Path

import pytest

from ovsdp_cuse import wire
from ovsdp_cuse.wire import (
    action_attributes,
    control,
    ct_limit,
    datapath,
    explain,
    fault,
    flow,
    genetlink,
    key,
    meter,
    netdev,
    netlink,
    nsh,
    ovsdp_control,
    packet,
    state,
    trace,
    tunnel,
    values,
    vport,
)

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "tests" / "c"
INCLUDE = ROOT / "ovsdp_cuse" / "include"
HEADER = INCLUDE / "ovs_datapath.h"
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{INCLUDE}"]

# What a 32-bit program needs to be built where gcc has no 32-bit C library.
FREESTANDING = [
    "-m32",
    "-static",
    "-nostdlib",
    "-ffreestanding",
    "-fno-pic",
    "-no-pie",
    "-fno-stack-protector",
]

Enumeration = type[IntEnum] | type[IntFlag]

C_PREFIX: dict[Enumeration, str] = {
    flow.FlowAttr: "OVS_FLOW_ATTR_",
    flow.FlowCmd: "OVS_FLOW_CMD_",
    flow.UfidFlag: "OVS_UFID_F_",
    packet.PacketAttr: "OVS_PACKET_ATTR_",
    packet.PacketCmd: "OVS_PACKET_CMD_",
    vport.TunnelAttr: "OVS_TUNNEL_ATTR_",
    vport.VportAttr: "OVS_VPORT_ATTR_",
    vport.VportCmd: "OVS_VPORT_CMD_",
    vport.VportType: "OVS_VPORT_TYPE_",
    vport.VportUpcallAttr: "OVS_VPORT_UPCALL_ATTR_",
    action_attributes.ActionAttr: "OVS_ACTION_ATTR_",
    action_attributes.CheckPktLenAttr: "OVS_CHECK_PKT_LEN_ATTR_",
    action_attributes.CtAttr: "OVS_CT_ATTR_",
    action_attributes.DecTtlAttr: "OVS_DEC_TTL_ATTR_",
    action_attributes.NatAttr: "OVS_NAT_ATTR_",
    action_attributes.SampleAttr: "OVS_SAMPLE_ATTR_",
    action_attributes.UserspaceAttr: "OVS_USERSPACE_ATTR_",
    control.ControlCmd: "OVS_CTRL_CMD_",
    control.McastAttr: "OVS_NL_ATTR_",
    control.PacketSubscribeAttr: "OVS_NL_ATTR_",
    control.SocketAttr: "OVS_NL_ATTR_",
    ct_limit.CtLimitAttr: "OVS_CT_LIMIT_ATTR_",
    ct_limit.CtLimitCmd: "OVS_CT_LIMIT_CMD_",
    datapath.DpAttr: "OVS_DP_ATTR_",
    datapath.DpCmd: "OVS_DP_CMD_",
    datapath.DpFeature: "OVS_DP_F_",
    genetlink.CtrlAttr: "CTRL_ATTR_",
    genetlink.CtrlAttrMcastGrp: "CTRL_ATTR_MCAST_GRP_",
    genetlink.CtrlAttrOp: "CTRL_ATTR_OP_",
    genetlink.CtrlAttrPolicy: "CTRL_ATTR_POLICY_",
    genetlink.CtrlCmd: "CTRL_CMD_",
    genetlink.OperationFlag: "GENL_",
    genetlink.PolicyAttr: "NL_POLICY_TYPE_ATTR_",
    explain.ExplainAttr: "OVSDP_EXPLAIN_ATTR_",
    explain.ExplainStep: "OVSDP_EXPLAIN_STEP_",
    fault.FaultAttr: "OVSDP_FAULT_ATTR_",
    fault.FaultEffect: "OVSDP_FAULT_EFFECT_",
    key.CtState: "OVS_CS_F_",
    key.FragType: "OVS_FRAG_TYPE_",
    key.KeyAttr: "OVS_KEY_ATTR_",
    meter.BandAttr: "OVS_BAND_ATTR_",
    meter.MeterAttr: "OVS_METER_ATTR_",
    meter.MeterCmd: "OVS_METER_CMD_",
    netdev.InterfaceFlag: "OVS_WIN_NETDEV_IFF_",
    netdev.NetdevAttr: "OVS_WIN_NETDEV_ATTR_",
    netdev.NetdevCmd: "OVS_WIN_NETDEV_CMD_",
    netlink.ControlType: "NLMSG_",
    netlink.ErrorAttr: "NLMSGERR_ATTR_",
    netlink.Flag: "NLM_F_",
    nsh.NshKeyAttr: "OVS_NSH_KEY_ATTR_",
    ovsdp_control.OvsdpCmd: "OVSDP_CMD_",
    state.DropAttr: "OVSDP_DROP_ATTR_",
    state.DropsAttr: "OVSDP_DROPS_ATTR_",
    state.HandleAttr: "OVSDP_HANDLE_ATTR_",
    state.InfoAttr: "OVSDP_INFO_ATTR_",
    state.MaskAttr: "OVSDP_MASK_ATTR_",
    trace.TraceAttr: "OVSDP_TRACE_ATTR_",
    trace.TraceFilterAttr: "OVSDP_TRACE_FILTER_ATTR_",
    trace.TraceKind: "OVSDP_TRACE_KIND_",
    tunnel.TunnelKeyAttr: "OVS_TUNNEL_KEY_ATTR_",
    tunnel.VxlanExt: "OVS_VXLAN_EXT_",
    values.PolicyType: "NL_ATTR_TYPE_",
}
"""Every enumeration of `wire/`, and the C prefix of its members' names."""

NEWER = {
    "OVS_VPORT_ATTR_UPCALL_STATS",
    "OVS_VPORT_UPCALL_ATTR_SUCCESS",
    "OVS_VPORT_UPCALL_ATTR_FAIL",
}
"""Names of Linux 6.3, which Debian 12's headers do not have."""


def size_of(attribute: datapath.DpAttr, value: object) -> int:
    """The bytes of a datapath attribute that is a fixed structure."""
    return len(datapath.DATAPATH.attributes.table[attribute].build(value))


C_EXPRESSIONS = {
    "sizeof(struct nlmsghdr)": netlink.NETLINK_HEADER.size,
    "NLMSG_HDRLEN + GENL_HDRLEN": netlink.GENERIC_HEADER.size,
    "sizeof(struct ovs_message)": netlink.OVS_MESSAGE_HEADER.size,
    "sizeof(struct ovs_dp_stats)": size_of(datapath.DpAttr.STATS, datapath.DpStats()),
    "sizeof(struct ovs_dp_megaflow_stats)": size_of(
        datapath.DpAttr.MEGAFLOW_STATS, datapath.MegaflowStats()
    ),
    "NLMSG_MIN_TYPE": netlink.NLMSG_MIN_TYPE,
    "NETLINK_GENERIC": netlink.NETLINK_GENERIC,
    "NETLINK_NETFILTER": netlink.NETLINK_NETFILTER,
    "GENL_NAMSIZ": genetlink.GENL_NAMSIZ,
    "GENL_ID_CTRL": genetlink.GENL_ID_CTRL,
    "OVS_DATAPATH_VERSION": datapath.OVS_DP_VERSION,
    "OVS_DP_VER_FEATURES": datapath.OVS_DP_VER_FEATURES,
    "sizeof(struct ovs_key_ethernet)": key.KEY_ETHERNET.size,
    "sizeof(struct ovs_key_ipv4)": key.KEY_IPV4.size,
    "sizeof(struct ovs_key_ipv6)": key.KEY_IPV6.size,
    "sizeof(struct ovs_key_tcp)": key.KEY_PORTS.size,
    "sizeof(struct ovs_key_udp)": key.KEY_PORTS.size,
    "sizeof(struct ovs_key_sctp)": key.KEY_PORTS.size,
    "sizeof(struct ovs_key_icmp)": key.KEY_ICMP.size,
    "sizeof(struct ovs_key_icmpv6)": key.KEY_ICMP.size,
    "sizeof(struct ovs_key_arp)": key.KEY_ARP.size,
    "sizeof(struct ovs_key_nd)": key.KEY_ND.size,
    "sizeof(struct ovs_key_mpls)": key.KEY_MPLS.size,
    "sizeof(struct ovs_key_ct_labels)": key.KEY_SIZES[key.KeyAttr.CT_LABELS],
    "sizeof(struct ovs_key_ct_tuple_ipv4)": key.KEY_CT_TUPLE_IPV4.size,
    "sizeof(struct ovs_key_ct_tuple_ipv6)": key.KEY_CT_TUPLE_IPV6.size,
    "sizeof(struct ovs_key_ipv6_exthdrs)": key.KEY_SIZES[key.KeyAttr.IPV6_EXTHDRS],
    "sizeof(struct ovs_nsh_key_base)": nsh.NSH_SIZES[nsh.NshKeyAttr.BASE],
    "sizeof(struct ovs_nsh_key_md1)": nsh.NSH_SIZES[nsh.NshKeyAttr.MD1],
    "OVS_WIN_NL_CTRL_FAMILY_ID": control.CONTROL.id,
    "OVS_WIN_CONTROL_VERSION": control.CONTROL.version,
    "OVS_WIN_NL_DATAPATH_FAMILY_ID": datapath.DATAPATH.id,
    "OVSDP_CONTROL_FAMILY_ID": ovsdp_control.OVSDP_CONTROL.id,
    "OVSDP_CONTROL_VERSION": ovsdp_control.OVSDP_CONTROL.version,
    "OVSDP_TRACE_MCGRP_ID": trace.TRACE_GROUP,
}
"""Other numbers and sizes that C and Python must agree on."""


def compiler(name: str = "cc") -> str:
    """The compiler's path; fails the test where there is none."""
    path = shutil.which(name)
    assert path, f"no {name}: a C and a C++ compiler are needed (Debian: gcc, g++, libc6-dev)"
    return path


def run(*command: str | Path) -> str:
    """The output of a program; fails with what it said, where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def build(output: Path, source: Path, *options: str, with_compiler: str = "cc") -> Path:
    """Compiles one file with every warning an error."""
    run(compiler(with_compiler), *WARNINGS, *options, "-o", output, source)
    return output


def freestanding() -> list[str]:
    """FREESTANDING, with the place of <asm/...>, which -m32 would look for elsewhere."""
    if platform.machine() != "x86_64":
        pytest.skip(f"-m32 is x86's: this machine is {platform.machine()}")
    triplet = run(compiler(), "-print-multiarch").strip()
    return [*FREESTANDING, "-isystem", f"/usr/include/{triplet}"]


def build_compat(output: Path) -> Path:
    """Builds tests/c/compat.c, the 32-bit client; skips where the processor has no 32-bit kind."""
    return build(output, SOURCES / "compat.c", "-std=c99", *freestanding())


def enumerations() -> Iterator[Enumeration]:
    """Every IntEnum and IntFlag that a module of `wire/` defines."""
    for module in pkgutil.iter_modules(wire.__path__):
        name = f"{wire.__name__}.{module.name}"
        for value in vars(importlib.import_module(name)).values():
            of_numbers = isinstance(value, type) and issubclass(value, IntEnum | IntFlag)
            if of_numbers and value.__module__ == name:
                yield value


@pytest.mark.parametrize(
    ("with_compiler", "standard", "source"),
    [
        ("cc", "c99", "header_check.c"),
        ("cc", "c11", "header_check.c"),
        ("c++", "c++11", "header_check.cc"),
        ("c++", "c++20", "header_check.cc"),
    ],
)
def test_header_compiles_and_every_number_is_checked(
    tmp_path: Path, with_compiler: str, standard: str, source: str
) -> None:
    program = build(
        tmp_path / "header_check", SOURCES / source, f"-std={standard}", with_compiler=with_compiler
    )
    printed = dict(line.split(" ", 1) for line in run(program).splitlines())
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    text = text.replace("#define OVS_DATAPATH_H 1", "")
    defined = set(re.findall(r"^#define ((?:OVS|OVSDP|NFNL)_\w+(?:\(len\))?) ", text, re.MULTILINE))
    defined |= set(re.findall(r"^\t(OVS(?:DP)?_\w+) = ", text, re.MULTILINE))
    assert {name.replace("(24)", "(len)") for name in printed} >= defined
    assert printed["OVS_DEVICE_PATH"] == "/dev/ovs-datapath"
    assert printed["OVS_WIN_CONTROL_FAMILY"] == control.CONTROL.name
    assert printed["OVSDP_CONTROL_FAMILY"] == ovsdp_control.OVSDP_CONTROL.name
    assert printed["OVSDP_TRACE_MCGRP"] == trace.TRACE_GROUP_NAME
    assert int(printed["OVS_IOCTL_GET_PID"]) == 0x8004C800
    assert int(printed["OVS_IOCTL_TRANSACT(24)"]) == 0xC018C805


def test_header_is_the_same_for_32_bit_programs(tmp_path: Path) -> None:
    build(
        tmp_path / "check.o",
        SOURCES / "header_check.c",
        "-std=c99",
        "-DCHECK_ONLY",
        "-c",
        *(option for option in freestanding() if option not in {"-static", "-no-pie"}),
    )


def test_schemas_have_the_numbers_of_the_kernel_headers(tmp_path: Path) -> None:
    """One C file of static assertions is written from the schemas and compiled."""
    missing = [enumeration for enumeration in enumerations() if enumeration not in C_PREFIX]
    assert not missing, f"C_PREFIX does not say how C names the members of {missing}"
    facts = dict(C_EXPRESSIONS) | {
        prefix + name: int(member)
        for enumeration, prefix in C_PREFIX.items()
        for name, member in enumeration.__members__.items()
        if prefix + name not in NEWER
    }
    source = tmp_path / "schemas.c"
    source.write_text(
        "#include <ovs_datapath.h>\n"
        + "".join(f'_Static_assert({c} == {number}, "{c}");\n' for c, number in facts.items())
    )
    build(tmp_path / "schemas.o", source, "-std=c11", "-c")


@pytest.mark.parametrize("standard", ["c99", "c17"])
def test_example_client_compiles(tmp_path: Path, standard: str) -> None:
    source = ROOT / "docs" / "examples" / "client.c"
    program = build(tmp_path / "client", source, f"-std={standard}", "-O2")
    refused = subprocess.run([program, tmp_path / "nothing"], capture_output=True, check=False)
    assert refused.returncode == 1
    assert b"No such file" in refused.stdout


def test_example_client_compiles_for_32_bit(tmp_path: Path) -> None:
    """With the 32-bit C library; compat.c is the 32-bit client that needs none."""
    empty = tmp_path / "empty.c"
    empty.write_text("#include <stdio.h>\nint main(void) { return 0; }\n")
    probe = [compiler(), "-m32", "-o", str(tmp_path / "empty"), str(empty)]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("gcc has no 32-bit C library here (Debian: gcc-multilib)")
    build(tmp_path / "client", ROOT / "docs" / "examples" / "client.c", "-std=c99", "-m32")


def test_compat_client_builds_and_says_what_failed(tmp_path: Path) -> None:
    program = build_compat(tmp_path / "compat")
    try:
        status = subprocess.run([program, tmp_path / "nothing"], check=False).returncode
    except OSError as error:  # ENOEXEC
        pytest.skip(f"this kernel runs no 32-bit programs: {error.strerror}")
    assert status == 2, "FAILED_OPEN"
