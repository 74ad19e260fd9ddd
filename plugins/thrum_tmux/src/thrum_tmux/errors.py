"""What goes wrong with tmux, each with what to do next."""

from __future__ import annotations

from thrum_kernel.errors import NotFound, Refused, ThrumError, Timeout


class TmuxError(ThrumError):
    """tmux refused a command; the sentence is tmux's own."""


class TmuxMissing(TmuxError):
    """There is no tmux on this machine, or it cannot be run."""

    def __init__(self, reason: str = "tmux was not found on PATH") -> None:
        super().__init__(reason, hint="install tmux 3.2 or newer: thrum doctor says how")


class NotASocket(TmuxError):
    """tmux must not be given a path to listen on; nothing was done.

    Attributes:
        path: the path.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} {reason}",
            hint="thrum config set tmux.socket NAME (tmux exec: --socket NAME), or move the file away",
        )


class SocketTooLong(TmuxError):
    """No socket can have such a path.

    Attributes:
        path: the path.
    """

    def __init__(self, path: str, longest: int) -> None:
        self.path = path
        super().__init__(
            f"{path} is too long for a socket, which may have {longest} bytes",
            hint="thrum config set tmux.socket NAME, or a shorter path; or set TMUX_TMPDIR to a shorter folder",
        )


class ServerGone(TmuxError):
    """No tmux server runs on a socket.

    Attributes:
        socket: where it was looked for.
    """

    def __init__(self, socket: str) -> None:
        self.socket = socket
        super().__init__(f"no tmux server runs on {socket}")

    @property
    def hint(self) -> str:
        return "thrum tmux create NAME starts one"


class ClientLost(TmuxError):
    """The control client that was asked is gone.

    Attributes:
        was_sent: the request had been handed over: nobody knows whether it was carried out.
    """

    def __init__(self, *, was_sent: bool) -> None:
        self.was_sent = was_sent
        told = "nobody knows whether it was carried out" if was_sent else "nothing was done"
        super().__init__(
            f"the connection to tmux was lost: {told}", hint="look first: thrum tmux capture NAME"
        )


class ServerSilent(Timeout):
    """A tmux server took a command and does not answer.

    Attributes:
        socket: where it listens.
    """

    def __init__(self, socket: str) -> None:
        self.socket = socket
        super().__init__(
            f"the tmux server on {socket} does not answer",
            hint=f"see whether it is stopped: tmux -S {socket} display-message -p '#{{pid}}'",
        )


class NotEntered(Refused):
    """A text was typed into a session, and Enter was not pressed behind it.

    Attributes:
        session: its name.
        reason: why.
        left: what stands in its pane.
    """

    def __init__(self, session: str, reason: str, left: str) -> None:
        self.session = session
        self.reason = reason
        self.left = left
        super().__init__(
            f'the text was typed into session "{session}", but Enter was not pressed: {reason}; {left}',
            hint=f"look first: thrum tmux capture {session}",
        )


class SessionMissing(NotFound):
    """No session is called so.

    Attributes:
        name: as it was asked for.
    """

    def __init__(self, name: str) -> None:
        super().__init__("session", name, hint="thrum tmux status")

    def __str__(self) -> str:
        return f'session "{self.name}" not found'


class PaneMissing(NotFound):
    """A pane that was known is there no more.

    Attributes:
        name: its id, e.g. ``%3``.
    """

    def __init__(self, pane: str) -> None:
        super().__init__("pane", pane, hint="thrum tmux launch NAME takes another pane of the session")

    def __str__(self) -> str:
        return f"pane {self.name} is gone"
