"""Running a request: its handler, its dump, and what they lead to. Both doors use this.

No exception but DatapathError leaves, and cancellation: whatever else a handler raises is logged,
and its client is told EIO.
"""

from __future__ import annotations

from errno import EIO, EOPNOTSUPP, EPERM

import structlog

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.dump import Dump
from ovsdp_cuse.families.registry import Command, Family
from ovsdp_cuse.families.request import Body, Request
from ovsdp_cuse.families.session import Session
from ovsdp_cuse.wire.attributes import offset_of
from ovsdp_cuse.wire.netlink import build_error

log = structlog.get_logger(__name__)


def check_permission(session: Session, command: Command) -> None:
    """Raise EPERM where an admin command came through a handle not opened for writing."""
    if command.admin and not session.writable:
        raise DatapathError(EPERM, f"{command.name} needs a handle that was opened for writing")


async def execute(
    request: Request, exclude: Session | None = None, echo: bool = True
) -> tuple[bytes | None, int | None]:
    """Run the handler, notify the group of its answer, and return its message and the group.

    exclude: a session that is not notified, because it gets the message as its reply. echo:
    whether the message is wanted where it is a notification; otherwise it is built only if
    somebody is in the group. Raises what the handler raises, and what is wrong with the attributes.
    """
    command = request.command
    if request.fault is not None:
        request.fault.refuse()
    if command.handler is None:
        raise DatapathError(EOPNOTSUPP, f"{command.name} is for dumps (NLM_F_DUMP) only")
    if request.invalid is not None:
        raise request.invalid
    sessions = request.context.sessions
    try:
        answer = await command.handler(request)
        body, group = answer.body, answer.group
        if group is not None and not echo and not sessions.has_members(group):
            return None, group
        if callable(body):
            body = body()
        message = body.build(request) if isinstance(body, Body) else body or None
    except DatapathError:
        raise
    except Exception:
        raise _failed(request) from None
    if group is not None and message is not None:
        sessions.multicast(group, message, exclude)
    return message, group


def start_dump(request: Request) -> Dump:
    """Begin a dump; EOPNOTSUPP where the command has none."""
    command = request.command
    fault = request.fault
    if fault is not None:
        fault.refuse()
    if command.dump is None:
        raise DatapathError(EOPNOTSUPP, f"{command.name} has no dump")
    if command.validates_dump and request.invalid is not None:
        raise request.invalid
    try:
        bodies = command.dump(request)
        return Dump(request, bodies if fault is None else fault.cut_dump(bodies))
    except DatapathError:
        raise
    except Exception:
        raise _failed(request) from None


def error_reply(
    data: bytes, session: Session, error: DatapathError, family: Family | None, capped: bool
) -> bytes:
    """The NLMSG_ERROR for a request; its offset is found where the family is known.

    A handle whose extended acknowledgements are off gets neither text nor offset.
    """
    offset = None
    if session.ext_ack and error.path and family is not None:
        offset = offset_of(data, family.schema.attributes_start, error.path)
    return build_error(
        data,
        error.errno,
        capped=capped,
        portid=session.pid,
        message=(error.message or None) if session.ext_ack else None,
        offset=offset,
    )


def _failed(request: Request) -> DatapathError:
    """Log the exception that a handler has just raised; EIO is what its client learns of it."""
    command = request.command.name
    log.exception("a handler failed", command=command, pid=request.session.pid)
    return DatapathError(EIO, f"the handler of {command} failed; the daemon's log says why")
