"""Work that blocks, of which a part is awaited in the loop that asks for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[Callable[[Coroutine[Any, Any, Any]], Any]], T]) -> T:
    """Do `work` in a thread and return what it returns, so that the loop goes on meanwhile.

    `work` is given a function that takes a coroutine, lets the loop await it in the context of the thread,
    and returns what it comes to. Where this is cancelled, the coroutine is, and `work` is waited for.
    """
    loop = asyncio.get_running_loop()
    is_cancelled = threading.Event()
    begun: list[Future[Any]] = []

    def awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
        begun.append(asyncio.run_coroutine_threadsafe(coroutine, loop))
        if is_cancelled.is_set():
            begun[-1].cancel()
        return begun[-1].result()

    # One of its own: what is awaited may do such work, too, and would wait for a thread that waits for it.
    thread = ThreadPoolExecutor(1, thread_name_prefix="art-awaiting")
    done = loop.run_in_executor(thread, copy_context().run, work, awaited)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        is_cancelled.set()
        for each in begun:
            each.cancel()
        await asyncio.wait([done])
        done.cancelled() or done.exception()  # nobody else asks for it
        raise
    finally:
        thread.shutdown(wait=False)
