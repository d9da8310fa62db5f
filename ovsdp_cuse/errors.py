"""The one exception that a request may fail with."""

from __future__ import annotations

import errno as _errno
import os
from types import TracebackType


def errno_name(number: int) -> str:
    """The symbol of an error number, such as "EEXIST"; the number where it has none."""
    # Linux gives 95 two names, and netlink knows it by the one that Python does not prefer.
    if number == _errno.EOPNOTSUPP:
        return "EOPNOTSUPP"
    return _errno.errorcode.get(number, str(number))


class DatapathError(Exception):
    """A request was refused.

    errno: a positive error number, as in <errno.h>.
    message: what was wrong, in words; it becomes NLMSGERR_ATTR_MSG.
    path: the attribute numbers that lead to the offending attribute, outermost first; empty when
        no attribute is to blame. It becomes NLMSGERR_ATTR_OFFS.
    """

    def __init__(self, errno: int, message: str, path: tuple[int, ...] = ()) -> None:
        super().__init__(errno, message, path)
        self.errno = errno
        self.message = message
        self.path = path

    @property
    def errno_name(self) -> str:
        """The symbol of the error number, such as "EEXIST"."""
        return errno_name(self.errno)

    def __str__(self) -> str:
        where = f" (attribute {'/'.join(map(str, self.path))})" if self.path else ""
        return f"{self.errno_name}: {self.message or os.strerror(self.errno)}{where}"


class LayoutError(DatapathError):
    """Attributes whose lengths contradict the message that holds them; always EINVAL.

    The device door refuses such a message before any handler sees it; the stream door does what
    the kernel does, which is to ignore the rest.
    """

    def __init__(self, message: str, path: tuple[int, ...] = ()) -> None:
        super().__init__(_errno.EINVAL, message, path)
        self.args = (message, path)


class within:
    """`with within(A, B):` leads the path of an error from inside through attributes A and B."""

    __slots__ = ("_path",)

    def __init__(self, *path: int) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, DatapathError):
            error.path = (*self._path, *error.path)
