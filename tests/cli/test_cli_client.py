"""The thin client against a daemon: what it shows, what it sends, and what happens when either goes away."""

from __future__ import annotations

import os
import signal
import socket as sockets
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_daemon import BODY, SmallDaemon
from cli_program import Program, environment, project

from thrum_kernel.cli import client
from thrum_kernel.cli.protocol import FrameReader, parse_request


def test_bytes_that_are_not_utf8_are_refused_as_text_and_taken_as_paths(
    daemon: SmallDaemon, thrum: Program
) -> None:
    (thrum.cwd / os.fsdecode(b"caf\xe9")).write_bytes(b"in a strange file")

    refused = thrum("send", b"caf\xe9")
    sent = thrum("send", "--body-file", b"caf\xe9")

    assert (refused.status, refused.err) == (
        1,
        b"Error: text is not valid UTF-8\nHint: only paths may be other than UTF-8 text\n",
    )
    assert sent.status == 0
    assert daemon.kept.sent == ["in a strange file"]


def test_huge_output_and_input_arrive_whole(daemon: SmallDaemon, thrum: Program) -> None:
    body = b"y" * (3 << 20)

    assert thrum("send", "--stdin", stdin=body).status == 0
    shown = thrum("inbox", "-n", "5")

    assert shown.out == (body + b"\n") * 5


def test_input_above_the_limit_is_refused(daemon: SmallDaemon, thrum: Program) -> None:
    ran = thrum("send", "--stdin", stdin=b"y" * ((16 << 20) + 1))

    told = b"Error: standard input is longer than 16777216 bytes\nHint: send a path to the file instead\n"
    assert ran.err == told
    assert daemon.kept.sent == []


def test_a_reader_that_goes_away_ends_the_command_silently_and_marks_nothing(
    daemon: SmallDaemon, thrum: Program
) -> None:
    daemon.kept.sent.append(BODY)
    reading = thrum.start("inbox", "-n", "100000", stderr=subprocess.PIPE)
    assert reading.stdout is not None and reading.stderr is not None

    reading.stdout.read(10)
    reading.stdout.close()

    assert reading.stderr.read() == b""
    reading.stderr.close()
    assert reading.wait(20) == 141
    daemon.until(lambda: daemon.is_quiet)
    assert daemon.kept.read == 0


def test_a_client_killed_while_its_answer_streams_leaves_effects_unapplied(
    daemon: SmallDaemon, thrum: Program
) -> None:
    daemon.kept.sent.append(BODY)
    reading = thrum.start("inbox", "-n", "200000")
    assert reading.stdout is not None

    reading.stdout.read(10)
    reading.kill()
    reading.wait(20)
    reading.stdout.close()
    daemon.until(lambda: daemon.is_quiet)

    assert daemon.kept.read == 0
    assert thrum("inbox").out == BODY.encode() + b"\n"
    daemon.until(lambda: daemon.kept.read == 1)


def test_an_interrupt_ends_with_130_and_cancels_what_was_awaited(daemon: SmallDaemon, thrum: Program) -> None:
    waiting = thrum.start("wait", stderr=subprocess.PIPE)
    daemon.until(lambda: daemon.kept.waiting == 1)

    assert waiting.stderr is not None
    assert waiting.stderr.readline() == b"waiting\n"
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=20)

    assert (waiting.returncode, out, err) == (130, b"", b"")
    daemon.until(lambda: daemon.kept.canceled == 1)


def test_only_the_allowed_environment_is_sent(daemon: SmallDaemon, thrum: Program) -> None:
    ran = thrum("where", "--json", SECRET="s", TMUX_PANE="%1", THRUM_ROLE="r", AWS_TOKEN="t")

    assert ran.json["env"] == ["HOME", "LC_ALL", "THRUM_ROLE", "TMUX_PANE"]


def test_the_folder_is_the_one_the_system_tells(daemon: SmallDaemon, thrum: Program, tmp_path: Path) -> None:
    deep = thrum.cwd / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "link").symlink_to(deep)

    ran = Program(thrum.words, tmp_path / "link", thrum.env)("where", PWD="/somewhere/else")

    assert ran.out == f"{deep}\n".encode()


def test_a_socket_path_too_long_for_an_address_works(script: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    with SmallDaemon(project(deep)):
        ran = Program((str(script),), deep, environment(tmp_path / "home"))("where")

    assert (ran.status, ran.out) == (0, f"{deep}\n".encode())


@pytest.mark.parametrize("words", [("terminal",), ("send", "--help"), ("team", "--help"), ("help",)])
def test_local_commands_are_handed_back(daemon: SmallDaemon, thrum: Program, words: tuple[str, ...]) -> None:
    ran = thrum(*words, THRUM_NAME="x")

    # The kernel's own commands answer in process: the tree of the small daemon is not theirs.
    assert b"local True" not in ran.out
    assert daemon.kept.callers == []


def test_another_version_is_refused_before_anything_happens(socket: Path, thrum: Program) -> None:
    with SmallDaemon(socket, version="0.0.1") as daemon:
        ran = thrum("noisy", "1")

        assert daemon.kept.sent == []
    assert b"unknown command" in ran.err  # told by the kernel's own commands, in process


# --- a daemon that goes away ------------------------------------------------------------------------------------------

Answer = Callable[[sockets.socket], None]


class Scripted:
    """Listens like a daemon and answers each connection by the next of *answers*; keeps the requests."""

    def __init__(self, path: Path, *answers: Answer) -> None:
        self.requests: list[str] = []
        self.inputs: list[bytes] = []
        self._listener = sockets.socket(sockets.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, args=(answers,))
        self._thread.start()

    def _serve(self, answers: tuple[Answer, ...]) -> None:
        for answer in answers:
            link, _ = self._listener.accept()
            with link:
                reader = FrameReader()
                frames = reader.feed(link.recv(1 << 20))
                self.requests.append(parse_request(frames[0][1]).request_id)
                answer(link)

    def close(self) -> None:
        self._thread.join(20)
        self._listener.close()


def _vanish(link: sockets.socket) -> None:
    """End without a word."""


def _answer(link: sockets.socket) -> None:
    frames = (client.RUN, b""), (client.OUT, b"done\n"), (client.STATUS, b"\x05")
    link.sendall(b"".join(client.frame(kind, payload) for kind, payload in frames))
    link.recv(100)


def _begin_and_vanish(link: sockets.socket) -> None:
    link.sendall(client.frame(client.RUN) + client.frame(client.OUT, b"half"))


def _want_input_and_vanish(link: sockets.socket) -> None:
    link.sendall(client.frame(client.RUN) + client.frame(client.WANT, (100).to_bytes(8, "big")))
    link.recv(1000)


def _want_input_and_answer(link: sockets.socket) -> None:
    link.sendall(client.frame(client.RUN) + client.frame(client.WANT, (100).to_bytes(8, "big")))
    reader, frames = FrameReader(), []
    while not frames or frames[-1][0] != client.END:
        frames += reader.feed(link.recv(1000))
    echo = b"".join(payload for _, payload in frames)
    link.sendall(client.frame(client.OUT, echo) + client.frame(client.STATUS, b"\0"))
    link.recv(100)


def test_a_lost_connection_is_tried_again_under_the_same_request_id(socket: Path, thrum: Program) -> None:
    daemon = Scripted(socket, _vanish, _answer)

    ran = thrum("send", "hello")
    daemon.close()

    assert (ran.status, ran.out, ran.err) == (5, b"done\n", b"")
    assert len(daemon.requests) == 2
    assert daemon.requests[0] == daemon.requests[1]
    assert len(daemon.requests[0]) == 32


def test_input_that_was_read_is_sent_again(socket: Path, thrum: Program) -> None:
    daemon = Scripted(socket, _want_input_and_vanish, _want_input_and_answer)

    ran = thrum("send", "--stdin", stdin=b"once")
    daemon.close()

    assert (ran.status, ran.out) == (0, b"once")


def test_an_answer_cut_in_the_middle_is_not_asked_for_again(socket: Path, thrum: Program) -> None:
    daemon = Scripted(socket, _begin_and_vanish)

    ran = thrum("inbox")
    daemon.close()

    assert (ran.status, ran.out) == (1, b"half")
    assert ran.err.startswith(b"Error: the daemon went away in the middle of its answer\n")


def test_every_try_has_a_request_id_of_its_own_command(socket: Path, thrum: Program) -> None:
    daemon = Scripted(socket, _answer, _answer)

    thrum("send", "one")
    thrum("send", "two")
    daemon.close()

    assert daemon.requests[0] != daemon.requests[1]


def test_standard_streams_that_are_closed_are_empty(daemon: SmallDaemon, thrum: Program) -> None:
    closed = Program(("sh", "-c", 'exec "$0" "$@" <&- 2>&-', *thrum.words), thrum.cwd, thrum.env)

    ran = closed("send", "--stdin")

    assert (ran.status, ran.out) == (thrum("send", "--stdin").status, thrum("send", "--stdin").out)
    assert ran.err == b""
