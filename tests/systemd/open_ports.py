"""A program for the service's sandbox: opens the ports sandbox0, which exists, and sandbox1."""

from ovsdp_cuse.ports.host import HostPorts
from ovsdp_cuse.switch.port import PORT_TYPE_INTERNAL, PORT_TYPE_NETDEV, PortSpec

ports = HostPorts()
names = [
    ports.open(PortSpec(kind, name)).name
    for kind, name in ((PORT_TYPE_NETDEV, "sandbox0"), (PORT_TYPE_INTERNAL, "sandbox1"))
]
assert all(ports.interface(name).is_promiscuous for name in names)
print(*names, sep=" and ", end=" are ports\n")
ports.close()
