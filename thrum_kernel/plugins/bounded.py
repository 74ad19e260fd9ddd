"""Foreign code that may hang, end the process or raise anything, run where it can do none of that.

It runs in a thread of its own that nobody has to wait for. One that hangs is left behind: Python cannot end it, but it
keeps no lock of ours and does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Overrun(Exception):
    """It did not end in its time."""


class Contained(Exception):
    """It raised something that is no ordinary exception, e.g. SystemExit; the text names it."""


async def in_time(work: Callable[[], T], limit_s: float | None, *, what: str) -> T:
    """The result of blocking *work*; without a limit it takes as long as it takes.

    Raises:
        Overrun: it takes longer than *limit_s* seconds; it is left behind.
        Contained: it raised a BaseException that is no Exception.
        Exception: what it raised.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = attempt(work)
        if isinstance(
            error, KeyboardInterrupt
        ):  # Ctrl-C reaches the main thread only: this is the code's own
            error = _contained(error)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=run, name=f"plugin {what}", daemon=True).start()
    done, _ = await asyncio.wait((future,), timeout=limit_s)
    if not done:
        raise Overrun(f"took longer than {limit_s:g} s")
    return future.result()


def attempt(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """What *work* gave, or what it raised with everything that would end the process made harmless."""
    try:
        return work(), None
    except StopIteration as error:  # a future cannot carry it
        return None, RuntimeError(f"it raised StopIteration({error})")
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - handed to the one who asked
        return None, error
    except BaseException as error:  # noqa: BLE001 - SystemExit of a plugin must not end the daemon
        return None, _contained(error)


def _contained(error: BaseException) -> Contained:
    told = f"{type(error).__name__}({error})" if str(error) else type(error).__name__
    contained = Contained(f"it raised {told}")
    contained.__cause__ = error
    return contained
