"""A trio loop in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import trio

from ovsdp_cuse.testing.calls import Call
from ovsdp_cuse.testing.thread import LoopEnded, LoopThread


async def serve(ready: Callable[[], None]) -> None:
    ready()
    await trio.sleep_forever()


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread(serve)
    loop.start()
    yield loop
    loop.stop()
    assert not loop.running
    assert loop.error is None


def test_calls(loop: LoopThread) -> None:
    async def fail() -> None:
        raise KeyError("x")

    async def name() -> str:
        await trio.lowlevel.checkpoint()
        return threading.current_thread().name

    assert loop.call(name) == "ovsdp-daemon"
    assert loop.run(threading.get_ident) == loop.identity
    with pytest.raises(KeyError):
        loop.call(fail)


def test_a_call_has_a_limit_and_is_cancelled(loop: LoopThread) -> None:
    ended = threading.Event()

    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        loop.call(wait, 0.01)
    assert ended.wait(60)


def test_who_waits_is_known_and_hears_of_the_end(loop: LoopThread) -> None:
    began = threading.Event()

    async def wait() -> None:
        began.set()
        await trio.sleep_forever()

    call = Call(lambda: loop.call(wait))
    assert began.wait(60)
    assert loop.waits(call.thread.ident)
    assert not loop.waits(threading.get_ident())
    loop.stop()
    with pytest.raises(LoopEnded):
        call.result()
    with pytest.raises(LoopEnded):
        loop.run(lambda: None)


def test_its_own_thread_cannot_wait_for_it(loop: LoopThread) -> None:
    with pytest.raises(RuntimeError, match="own thread"):
        loop.run(lambda: loop.run(lambda: None))


def test_sleepers(loop: LoopThread) -> None:
    with loop.sleeping():
        assert loop.waits(threading.get_ident())
    assert not loop.waits(threading.get_ident())


def test_a_failure_before_it_is_ready() -> None:
    async def fail(ready: Callable[[], None]) -> None:
        raise KeyError("x")

    loop = LoopThread(fail)
    with pytest.raises(KeyError):
        loop.start()
    loop.stop()


def test_one_that_was_not_started() -> None:
    loop = LoopThread(serve)
    loop.stop()
    with pytest.raises(LoopEnded):
        loop.run(lambda: None)


def test_a_failure_after_it_is_ready() -> None:
    async def fail(ready: Callable[[], None]) -> None:
        ready()
        raise KeyError("x")

    loop = LoopThread(fail)
    loop.start()
    loop.stop()
    assert isinstance(loop.error, KeyError)
