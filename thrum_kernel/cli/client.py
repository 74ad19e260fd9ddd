"""The thin client: asks the daemon to run a command, shows what comes back, and is gone.

The installed ``thrum`` script is a shell header and this file (``hatch_build.py`` puts them together), run by
``python -IS``, where nothing of ours can be imported. So this file imports four built-in modules and ``_socket``,
nothing else, ever: each further import costs about a tenth of what a whole command costs (``bench/cli.py``). The
kernel imports it for the frames and the constants.

A conversation: the client sends a *request*; the daemon answers *run*, *local* or *refused* before anything happens.
Then output comes in the order it was written, input is asked for, and *status* ends it; the client confirms with
*shown* once the last byte was taken.

Source: DESIGN.md D4; spec/decisions.md "Where one stands".
"""

from __future__ import annotations

import _socket
import errno
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable as _Iterable
    from collections.abc import Iterator
    from collections.abc import Mapping as _Mapping
    from typing import NoReturn

    Iterable = _Iterable[bytes]
    Mapping = _Mapping[bytes, bytes]
    Frames = Iterator[tuple[bytes, bytes]]
    Input = dict[bytes, bytes]
    Link = _socket.socket

VERSION = b""
"""Version of the distribution, filled in when the script is built; empty in the kernel, which knows its own."""

PROTOCOL = b"1"
MAX_ADDRESS = 100
"""Longest socket path in bytes that fits an address on every system."""

# Frames: one byte of kind, four of length, the payload. The first byte of a request is never that of JSON.
REQUEST, DATA, END, FAILED, SHOWN = b"\x01", b"D", b"Z", b"N", b"A"
RUN, LOCAL, REFUSED, OUT, ERR, WANT, STATUS = b"R", b"L", b"X", b"O", b"E", b"W", b"S"

NAMES = (b"TERM", b"LANG", b"TZ", b"NO_COLOR", b"COLUMNS", b"HOME")
PREFIXES = (b"THRUM_", b"TMUX", b"LC_")

FIRST_ANSWER_S = 15.0
RECONNECT_S = 5.0


def pack(items: Iterable) -> bytes:
    """A list of byte strings as one, each after its length."""
    return b"".join([len(item).to_bytes(4, "big") + item for item in items])


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame."""
    return kind + len(payload).to_bytes(4, "big") + payload


def request(request_id: bytes, argv: list[bytes], cwd: bytes, environ: Mapping, terminals: bytes) -> bytes:
    """The frame that asks for a command; *terminals* has ``0``, ``1``, ``2`` for each standard stream that is one."""
    env = [
        name + b"=" + value for name, value in environ.items() if name in NAMES or name.startswith(PREFIXES)
    ]
    fields = PROTOCOL, VERSION, request_id, terminals, cwd, pack(env), pack(argv)
    return frame(REQUEST, pack(fields))


def socket_path(argv: list[bytes], cwd: bytes, environ: Mapping) -> bytes:
    """Where the daemon of the place that the command stands in listens; empty when that takes a closer look."""
    if environ.get(b"THRUM_SOCKET"):
        return joined(cwd, environ[b"THRUM_SOCKET"])
    repo = repo_of(argv)
    found = thrum_above(plain(joined(cwd, repo)) if repo else cwd, environ)
    if not found and not repo and environ.get(b"THRUM_HOME"):
        found = thrum_above(plain(joined(cwd, environ[b"THRUM_HOME"].strip())), environ)
    return found + b"/var/thrum.sock" if found else b""


def repo_of(argv: list[bytes]) -> bytes:
    """What ``--repo`` says; empty when it is not given."""
    repo = b""
    for place, word in enumerate(argv):
        if word == b"--":
            break
        if word == b"--repo":
            repo = argv[place + 1] if place + 1 < len(argv) else b""
        elif word[:7] == b"--repo=":
            repo = word[7:]
    return repo


def thrum_above(folder: bytes, environ: Mapping) -> bytes:
    """The shared ``.thrum`` of the worktree that *folder* lies in; empty when there is none or it is not plain."""
    if folder[:1] != b"/":
        return b""
    while True:
        found = thrum_in(folder, environ)
        if found:
            return found
        git = folder + b"/.git"
        if exists(git):
            main = main_worktree(read(git), folder)
            return thrum_in(main, environ) if main else b""
        if not folder:
            return b""
        folder = folder[: folder.rfind(b"/")]


def plain(folder: bytes) -> bytes:
    """*folder* as the system knows it: absolute, no ``..``, no links. Changes the working folder and back."""
    try:
        back = posix.open(b".", posix.O_RDONLY)
        try:
            posix.chdir(folder)
            return posix.getcwdb().rstrip(b"/")
        finally:
            posix.fchdir(back)
            posix.close(back)
    except OSError:
        return b""


def thrum_in(folder: bytes, environ: Mapping) -> bytes:
    """The shared ``.thrum`` that the one in *folder* is or points to; never that of the home folder."""
    thrum = folder + b"/.thrum"
    target = read(thrum + b"/redirect").strip()
    if not target and not exists(thrum + b"/config.json"):
        return b""
    home = environ.get(b"HOME")
    if home and exists(home) and posix.stat(home)[1:3] == posix.stat(folder or b"/")[1:3]:
        return b""
    return target or thrum


def main_worktree(gitfile: bytes, folder: bytes) -> bytes:
    """The main worktree of a linked one, from the text of its ``.git`` file; empty for a main or a bare one."""
    if gitfile[:8] != b"gitdir: ":
        return b""
    git_dir = joined(folder, gitfile[8:].rstrip(b"\r\n"))
    common = read(git_dir + b"/commondir").rstrip(b"\r\n")
    common = plain(joined(git_dir, common)) if common else b""
    return common[:-5] if common[-5:] == b"/.git" else b""


def joined(folder: bytes, path: bytes) -> bytes:
    """*path* as seen from *folder*."""
    return path if path[:1] == b"/" else folder + b"/" + path


def exists(path: bytes) -> bool:
    """Whether there is something at *path*."""
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def is_open(descriptor: int) -> bool:
    """Whether a descriptor is open."""
    try:
        posix.fstat(descriptor)
    except OSError:
        return False
    return True


def read(path: bytes) -> bytes:
    """The first bytes of a small file; empty when there is none."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY)
    except OSError:
        return b""
    try:
        return posix.read(descriptor, 8192)
    except OSError:
        return b""
    finally:
        posix.close(descriptor)


def connect(path: bytes) -> Link | None:
    """A connection to *path*, however long it is; None when nobody listens."""
    link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    link.settimeout(FIRST_ANSWER_S)
    try:
        if len(path) > MAX_ADDRESS:
            connect_far(link, path)
        else:
            link.connect(path)
    except OSError:
        link.close()
        return None
    return link


def connect_far(link: Link, path: bytes) -> None:
    """Connect to a path that does not fit an address, through a descriptor of its folder or from inside it."""
    folder, _, name = path.rpartition(b"/")
    there, back = posix.open(folder, posix.O_RDONLY), posix.open(b".", posix.O_RDONLY)
    try:
        if exists(b"/proc/self/fd"):
            link.connect(b"/proc/self/fd/%d/%s" % (there, name))
        else:  # the daemon asks the system for our working folder once the request is there
            posix.fchdir(there)
            link.connect(name)
    finally:
        posix.fchdir(back)
        posix.close(there)
        posix.close(back)


def hold(link: Link, message: bytes, kept: Input, shown: list[bytes]) -> int | None:
    """Send a request and do what the answer says; the exit status, or None when the command has to run here.

    *kept* holds the input that was read, by file, so that a second try can send it again; *shown* is no longer empty
    once something was written.

    Raises:
        OSError: the daemon went away, or (`TimeoutError`) does not answer.
    """
    link.sendall(message)
    link.settimeout(FIRST_ANSWER_S)
    for kind, payload in frames(link):
        if kind in (OUT, ERR):
            shown.append(kind)
            write(1 if kind == OUT else 2, payload)
        elif kind == STATUS:
            link.sendall(frame(SHOWN))
            return payload[0]
        elif kind == RUN:
            link.settimeout(None)
        elif kind == WANT:
            send_input(link, payload, kept)
        else:
            break
    return None


def send_input(link: Link, payload: bytes, kept: Input) -> None:
    """Open the file that was asked for (standard input without a name) and send what is in it."""
    limit, path = int.from_bytes(payload[:8], "big"), payload[8:]
    try:
        if path not in kept:
            kept[path] = contents(path, limit)
    except OSError as error:
        link.sendall(frame(FAILED, b"%d" % (error.errno or 0)))
        return
    data = kept[path]
    for start in range(0, len(data), 65536):
        link.sendall(frame(DATA, data[start : start + 65536]))
    link.sendall(frame(END))


def contents(path: bytes, limit: int) -> bytes:
    """What is in a file, or comes by standard input when *path* is empty: at most one byte more than *limit*."""
    descriptor = posix.open(path, posix.O_RDONLY) if path else 0
    chunks = []
    size = 0
    while size <= limit:
        chunk = posix.read(descriptor, min(1 << 20, limit + 1 - size))
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    if path:
        posix.close(descriptor)
    return b"".join(chunks)


def frames(link: Link) -> Frames:
    """``(kind, payload)`` of each frame as it arrives, until the other side closes."""
    held = b""
    while True:
        while len(held) >= 5 and len(held) - 5 >= int.from_bytes(held[1:5], "big"):
            end = 5 + int.from_bytes(held[1:5], "big")
            yield held[:1], held[5:end]
            held = held[end:]
        more = link.recv(262144)
        if not more:
            raise ConnectionError
        held += more


def write(descriptor: int, data: bytes) -> None:
    """Write all of *data*; a reader that went away ends the command without a word, as it does elsewhere."""
    while data:
        try:
            data = data[posix.write(descriptor, data) :]
        except OSError as error:
            not_written(descriptor, error)


def not_written(descriptor: int, error: OSError) -> None:
    """Wait when somebody else made the terminal or pipe non-blocking, else end."""
    if error.errno == errno.EAGAIN:
        pause(0.005)
        return
    if error.errno == errno.EPIPE:
        posix._exit(141)
    if descriptor == 2:
        posix._exit(1)
    fail(b"cannot write the output: " + posix.strerror(error.errno or 0).encode(), b"")


def blocker(path: bytes) -> bytes:
    """Which plugin keeps the daemon behind a socket from answering, where its watchdog noted one."""
    text = read(path[: path.rfind(b"/") + 1] + b"blocked").strip()
    return b": " + text if text else b""


def pause(seconds: float) -> None:
    """Wait."""
    import time

    time.sleep(seconds)


def fail(text: bytes, hint: bytes) -> NoReturn:
    """Say what went wrong and end."""
    write(2, b"Error: " + text + b"\n" + (b"Hint: " + hint + b"\n" if hint else b""))
    posix._exit(1)


def run_here(argv: list[bytes], request_id: bytes) -> NoReturn:
    """Become the whole program: ``python -m thrum_kernel``, with the interpreter beside the script."""
    environ = dict(posix.environ)
    environ[b"THRUM_LAUNCHER"] = encoded(sys.argv[1])
    environ[b"THRUM_REQUEST_ID"] = request_id
    python = encoded(sys.executable)
    import _signal  # type: ignore[import-not-found]

    # Ctrl-C waits until the other side can end without a traceback.
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGINT])
    posix.execve(python, [python, b"-P", b"-m", b"thrum_kernel", *argv], environ)


def encoded(text: str) -> bytes:
    """The bytes that an argument was typed as."""
    return text.encode(sys.getfilesystemencoding(), "surrogateescape")


def again(path: bytes, message: bytes, kept: Input, shown: list[bytes]) -> int | None:
    """Ask a second time under the same request id, so that nothing happens twice; the daemon may be restarting."""
    if shown:
        fail(b"the daemon went away in the middle of its answer", b"thrum daemon status")
    for _ in range(int(RECONNECT_S / 0.05)):
        link = connect(path)
        if link is not None:
            try:
                return hold(link, message, kept, shown)
            except OSError:
                break
        pause(0.05)
    if shown or kept:
        fail(b"the daemon went away; whether it took the message is not known", b"thrum sent")
    return None


def main() -> NoReturn:
    """Run one command; does not return. The first argument is the script itself, as the header found it."""
    for stream in (0, 1, 2):  # one that is closed would be the socket
        if not is_open(stream):
            posix.open(b"/dev/null", posix.O_RDWR)
    argv = [encoded(word) for word in sys.argv[2:]]
    environ = posix.environ
    request_id = posix.urandom(16).hex().encode()
    try:
        cwd = posix.getcwdb()
    except OSError:
        cwd = b""
    path = socket_path(argv, cwd, environ)
    link = connect(path) if path else None
    status = None
    if link is not None:
        terminals = b"".join([b"%d" % stream for stream in (0, 1, 2) if posix.isatty(stream)])
        message = request(request_id, argv, cwd, environ, terminals)
        kept: Input = {}
        shown: list[bytes] = []
        try:
            status = hold(link, message, kept, shown)
        except TimeoutError:
            fail(b"the daemon does not answer" + blocker(path), b"thrum daemon status")
        except OSError:
            status = again(path, message, kept, shown)
    if status is None:
        run_here(argv, request_id)
    posix._exit(status)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        posix._exit(130)
