"""One light client of one session, in control mode: it hears the session's panes and runs commands.

It is attached with ``ignore-size`` (a person's terminal decides how large the session is) and ``pause-after=1`` (what
we do not take in time is held back by tmux, told as ``%pause``, and does not grow the server), and with ``-E``: a plain
attach would give the session our environment, and take away its ``SSH_AUTH_SOCK``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from thrum_tmux.control import words
from thrum_tmux.control.activity import Activity
from thrum_tmux.control.answers import Answer, Marks, printing
from thrum_tmux.control.protocol import Block, Continued, Event, Notice, Output, Parser, Paused
from thrum_tmux.control.reader import Reader
from thrum_tmux.errors import ClientLost, ServerGone, ServerSilent, TmuxError

ATTACH: Final = ("attach-session", "-E", "-f", "ignore-size,pause-after=1", "-t")
ANSWER_S: Final = 5.0


@dataclass(slots=True)
class _Request:
    """One line that was written: what came of it so far."""

    mark: str
    answered: asyncio.Future[Answer]
    lines: list[str] = field(default_factory=list)
    error: str = ""


class ControlClient:
    """Used from one loop; made by `attach`.

    Args:
        socket: of the server, for messages.
        activity: told of all output.
        on_notice: called on the loop for every notification but output.

    Attributes:
        ended: set when it is attached no more, whoever ended it.
        last_words: what tmux said before it ended.
    """

    def __init__(self, *, socket: str, activity: Activity, on_notice: Callable[[Notice], None]) -> None:
        self.ended = asyncio.Event()
        self.last_words = ""
        self._socket = socket
        self._activity = activity
        self._on_notice = on_notice
        self._loop = asyncio.get_running_loop()
        self._parser = Parser()
        self._marks = Marks()
        self._requests: deque[_Request] = deque()
        self._attached: asyncio.Future[str] = self._loop.create_future()
        self._session = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_live(self) -> bool:
        """Whether it can be asked."""
        return bool(self._session) and not self.ended.is_set()

    @property
    def pid(self) -> int:
        """Its process; 0 before `attach`."""
        return self._process.pid if self._process is not None else 0

    async def attach(
        self, program: Sequence[str], session: str, *, env: dict[str, str], reader: Reader, expected: str = ""
    ) -> str:
        """Start it and wait until it is attached; the id of its session, e.g. ``$3``.

        Args:
            program: ``tmux`` and how it finds its server.
            session: a session's name.
            expected: the id that it must have; a client that finds itself elsewhere leaves.

        Raises:
            TmuxError: there is no such session, or tmux does not know what we ask of it; says what.
            ServerSilent: the server does not answer.
        """
        argv = [*program, "-u", "-C", *ATTACH, f"={session}"]
        self._process = await asyncio.to_thread(_start, argv, env)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        reader.add(self._process.stdout.fileno(), self._read)
        try:
            async with asyncio.timeout(ANSWER_S):
                found = await self._attached
        except TimeoutError:
            self.kill()
            raise ServerSilent(self._socket) from None
        if expected and found != expected:
            self.leave()
            raise TmuxError(f"session {session} is {found} now, not {expected}")
        self._session = found
        return found

    async def ask(self, *commands: words.Words, timeout_s: float = ANSWER_S) -> Answer:
        """Run commands in a row, at one moment for tmux; what each printed.

        Raises:
            TmuxError: one failed, and those after it were not run.
            ClientLost: the client ended meanwhile.
            ServerSilent: no answer in time.
        """
        answered = self._post(*commands)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(answered)
        except TimeoutError:
            raise ServerSilent(self._socket) from None

    def leave(self) -> None:
        """Detach: tmux ends the client when its input ends."""
        self._session = ""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def kill(self) -> None:
        """End it although its server does not answer."""
        self.leave()
        if self._process is not None:
            self._process.kill()

    # --- the thread that reads ---------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        others: list[Event] = []
        for event in self._parser.feed(data):
            if isinstance(event, Output):
                self._activity.wrote(event.pane)
                continue
            if isinstance(event, Paused):
                self._activity.paused(event.pane)
            elif isinstance(event, Continued):
                self._activity.continued(event.pane)
            others.append(event)
        if not data and self._process is not None:
            self._process.wait()  # its output ended: it is about to
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            if others:
                self._loop.call_soon_threadsafe(self._hear, others)
            if not data:
                self._loop.call_soon_threadsafe(self._end)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def _hear(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Block):
                self._answer(event)
            elif isinstance(event, Paused):
                self._resume(event.pane)
            elif isinstance(event, Notice):
                self._notice(event)

    def _answer(self, block: Block) -> None:
        if not block.is_ours:
            if not block.ok:
                self.last_words = "; ".join(block.lines)
            return
        if not self._requests:
            return
        request = self._requests[0]
        if block.lines != (request.mark,):
            if block.ok:
                request.lines += block.lines
            else:
                request.error = request.error or "; ".join(block.lines) or "tmux refused it"
            return
        self._requests.popleft()
        if request.answered.done():
            return
        if request.error:
            request.answered.set_exception(TmuxError(request.error))
            request.answered.exception()  # whoever asked may be gone
        else:
            request.answered.set_result(self._marks.split(request.lines))

    def _resume(self, pane: str) -> None:
        with contextlib.suppress(TmuxError, ServerSilent):
            asked = self._post(("refresh-client", "-A", f"{pane}:continue"))
            # tmux 3.3a tells %continue within the command's own answer, where a notice is no notice.
            asked.add_done_callback(lambda done: self._resumed(pane, done))

    def _resumed(self, pane: str, asked: asyncio.Future[Answer]) -> None:
        if not asked.cancelled() and asked.exception() is None:
            self._activity.continued(pane)

    def _notice(self, notice: Notice) -> None:
        if notice.name == "session-changed":
            session = notice.text.partition(" ")[0]
            if not self._attached.done():
                self._attached.set_result(session)
            elif self._session and session != self._session:
                self.leave()  # somebody moved us: what we hear now is another agent's
        elif notice.name in ("", "exit"):
            self.last_words = self.last_words or notice.text
        self._on_notice(notice)

    def _end(self) -> None:
        self.leave()
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        error = ServerGone(self._socket) if not self.last_words else TmuxError(self.last_words)
        if not self._attached.done():
            self._attached.set_exception(error)
            self._attached.exception()
        for request in self._requests:
            if not request.answered.done():
                request.answered.set_exception(ClientLost(was_sent=True))
                request.answered.exception()
        self._requests.clear()
        self.ended.set()

    def _post(self, *commands: words.Words) -> asyncio.Future[Answer]:
        request = _Request(self._marks.end(), self._loop.create_future())
        self._write(
            f"{words.line(self._marks.separated(commands))}\n{words.line([printing(request.mark)])}\n"
        )
        self._requests.append(request)
        return request.answered

    def _write(self, text: str) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdin.closed:
            raise ClientLost(was_sent=False)
        data = text.encode("utf-8", "surrogateescape")
        try:
            written = os.write(process.stdin.fileno(), data)
        except BlockingIOError:
            raise ServerSilent(self._socket) from None
        except OSError:
            raise ClientLost(was_sent=False) from None
        if written != len(data):  # half a command: nothing that follows would mean what it says
            self.kill()
            raise ServerSilent(self._socket)


def _start(argv: Sequence[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        env=env,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C in the terminal of a daemon in the foreground is not for it
    )
