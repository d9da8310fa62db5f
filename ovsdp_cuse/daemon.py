"""The daemon: puts switch, families, sessions and a node together, and runs them."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncIterator, Callable

import structlog
import trio

from ovsdp_cuse import __version__
from ovsdp_cuse.configuration import Configuration
from ovsdp_cuse.device.channel import ChannelClosed
from ovsdp_cuse.device.cuse import CuseNode
from ovsdp_cuse.device.fuse import FuseNode
from ovsdp_cuse.device.node import Node, NodeError, cuse_problem, refusals_of
from ovsdp_cuse.device.serve import Server
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.describe import printable
from ovsdp_cuse.families.dispatch import Dispatcher
from ovsdp_cuse.families.information import Information
from ovsdp_cuse.families.registry import Registry, installed_families
from ovsdp_cuse.families.request import Context
from ovsdp_cuse.families.session import SessionTable
from ovsdp_cuse.families.tap import Watcher
from ovsdp_cuse.ports.host import BUILT_IN as BUILT_IN_KINDS
from ovsdp_cuse.ports.host import HostPorts, installed_kinds
from ovsdp_cuse.ports.memory import MemoryPorts
from ovsdp_cuse.service import Notifier, take_descriptors
from ovsdp_cuse.state import STORED_NAME, LiveState
from ovsdp_cuse.switch.port import PortProvider
from ovsdp_cuse.switch.switch import Switch

log = structlog.get_logger(__name__)

COLLECTOR_THRESHOLDS = (50_000, 20, 1_000)
"""New objects before a collection, and of how many of them one goes to the next generation."""

REBALANCE_INTERVAL_S = 4.0
"""How often masks are put in order of their hits: DP_MASKS_REBALANCE_INTERVAL of datapath.h."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def load_registry() -> Registry:
    """The families of this package and of all installed ones; RegistryError where they clash."""
    return Registry((*BUILT_IN, *installed_families()))


def describe(configuration: Configuration, node: Node) -> Information:
    """What clients are told of this daemon; ConfigurationError for an unknown owner or group."""
    permissions = configuration.permissions()
    return Information(
        __version__,
        node.kind,
        printable(str(node.path)),
        permissions.mode,
        permissions.uid,
        permissions.gid,
        configuration.interfaces,
    )


def make_context(
    configuration: Configuration, registry: Registry, information: Information
) -> Context:
    """A new switch with the families and no handle open."""
    return Context(
        Switch(make_ports(configuration), cpu_count=os.cpu_count() or 1),
        registry,
        SessionTable(
            configuration.handle_limit,
            configuration.queue_limit,
            queue_maximum=configuration.queue_maximum,
        ),
        information,
    )


def make_ports(configuration: Configuration) -> PortProvider:
    """What opens the ports of datapaths."""
    if configuration.interfaces == "memory":
        return MemoryPorts()
    return HostPorts((*BUILT_IN_KINDS, *installed_kinds()))


def choose_node(configuration: Configuration) -> tuple[Node, str | None]:
    """The node to serve, and why it is not a CUSE node where that was left to us."""
    problem = cuse_problem() if configuration.node == "auto" else None
    if configuration.node == "cuse" or (configuration.node == "auto" and problem is None):
        return CuseNode(configuration.name, configuration.permissions()), None
    return FuseNode(configuration.fuse_path(), configuration.permissions()), problem


async def run(
    configuration: Configuration,
    registry: Registry,
    tap: Watcher | None = None,
    on_ready: Callable[[Node, str], None] = lambda node, state: None,
) -> None:
    """Serve until SIGTERM or SIGINT; then withdraw the node and return.

    on_ready is called once clients can open the node, with it and the path where its state is shown
    as files, "" for nowhere. Raises NodeError where there can be no node, or where the kernel takes
    it away.
    """
    notifier = Notifier()
    mounted = take_descriptors().get(STORED_NAME)
    if mounted is not None:
        # What else has it must not outlive this process, or its file system would hang, not end.
        notifier.forget(STORED_NAME)
    node, problem = choose_node(configuration)
    context = make_context(configuration, registry, describe(configuration, node))
    state = LiveState(configuration, mounted)
    if problem is not None:
        log.warning("no CUSE node, serving a FUSE file instead", why=problem)
    with trio.open_signal_receiver(*STOP_SIGNALS) as signals:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_on_signal, signals, nursery.cancel_scope)
                with refusals_of(node):
                    channel = await node.attach()
                context.information.state = await state.attach()
                dispatcher = Dispatcher(context, tap)
                server = Server(channel, node.connection, dispatcher, node.wait_limit_s)
                nursery.start_soon(_serve, server, node)
                nursery.start_soon(state.serve, context, dispatcher)
                nursery.start_soon(context.ports.run)
                nursery.start_soon(_rebalance, context.switch)
                with refusals_of(node):
                    await node.publish()
                nursery.start_soon(notifier.feed_watchdog)
                status = f"serving {printable(str(node.path))}"  # a path is bytes, and any but two
                notifier.notify(READY=1, STATUS=status, MAINPID=os.getpid())
                log.info("serving", node=node.kind, path=str(node.path))
                on_ready(node, context.information.state)
        finally:
            notifier.notify(STOPPING=1)
            try:
                await state.withdraw()
                await _withdraw(node)
            finally:
                _close(context)


def _close(context: Context) -> None:
    """Give all interfaces back, and tell what was dropped."""
    for datapath in context.switch:
        if datapath.drops:
            dropped = {reason.value: number for reason, number in datapath.drops.most_common()}
            log.info("packets were dropped", datapath=datapath.name, **dropped)
    context.switch.close()
    context.ports.close()


async def _withdraw(node: Node) -> None:
    """Take the node away. What stays then keeps nobody from stopping: it is told."""
    with trio.CancelScope(shield=True):
        try:
            await node.withdraw()
        except OSError as error:
            log.error("the node could not be removed", path=str(node.path), error=str(error))


async def _cancel_on_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for number in signals:
        log.info("stopping", signal=signal.Signals(number).name)
        scope.cancel()


async def _rebalance(switch: Switch) -> None:
    while True:
        await trio.sleep(REBALANCE_INTERVAL_S)
        for datapath in switch:
            datapath.flows.rebalance()


async def _serve(server: Server, node: Node) -> None:
    try:
        await server.serve()
    except ChannelClosed:
        problem = node.connection.problem or (
            f"the kernel has taken {node.path} away: it was unmounted, or the connection aborted; "
            "a CUSE device is refused where its name is taken"
        )
        raise NodeError(problem) from None


def main(
    configuration: Configuration,
    registry: Registry,
    tap: Watcher | None,
    on_ready: Callable[[Node, str], None],
) -> None:
    """Run the daemon in the foreground; NodeError as `run` raises it."""
    # A full collection looks at every flow, and stops the switch for 0.1 s where there are 200,000.
    # What has cycles here (exceptions, tasks) is young when it goes; it is found all the same.
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    try:
        trio.run(run, configuration, registry, tap, on_ready)
    except BaseExceptionGroup as group:
        raise _single(group) from None


def _single(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception in a group, however deep; else the group.

    Where the node fails several tasks may tell, and the first of them says enough.
    """
    _failures, others = group.split(NodeError)
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and (others is None or len(error.exceptions) == 1):
        error = error.exceptions[0]
    return error
