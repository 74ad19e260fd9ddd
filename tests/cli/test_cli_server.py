"""The command server against a client that speaks its frames by hand."""

from __future__ import annotations

import os
import socket as sockets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli_daemon import BODY, SmallDaemon

from thrum_kernel.bus import address
from thrum_kernel.cli import client

Frames = list[tuple[bytes, bytes]]


@contextmanager
def asked(
    socket: Path, *words: bytes, request_id: bytes = b"r1", env: dict[bytes, bytes] | None = None
) -> Iterator[sockets.socket]:
    """A connection on which a command was asked for."""
    with address.connect(socket, timeout_s=20) as link:
        link.sendall(client.request(request_id, list(words), b"/claimed", env or {}, b""))
        yield link


def heard(link: sockets.socket, *, until: bytes = client.STATUS) -> Frames:
    """Frames up to one of a kind, or to the end."""
    found: Frames = []
    try:
        for kind, payload in client.frames(link):
            found.append((kind, payload))
            if kind == until:
                break
    except ConnectionError:
        pass
    return found


def output(frames: Frames) -> bytes:
    return b"".join(payload for kind, payload in frames if kind == client.OUT)


def test_the_first_answer_says_where_the_command_runs(daemon: SmallDaemon) -> None:
    for words, first in (
        ((b"who",), client.RUN),
        ((b"terminal",), client.LOCAL),
        ((b"send", b"-h"), client.LOCAL),
    ):
        with asked(daemon.socket, *words) as link:
            assert heard(link)[0][0] == first


def test_the_same_request_id_gets_the_first_answer_and_changes_nothing_again(daemon: SmallDaemon) -> None:
    answers = []
    for _ in range(2):
        with asked(daemon.socket, b"send", b"once", b"--json") as link:
            answers.append(output(heard(link)))
    with asked(daemon.socket, b"send", b"once", b"--json", request_id=b"r2") as link:
        heard(link)

    assert answers[0] == answers[1]
    assert daemon.kept.sent == ["once", "once"]
    assert daemon.kept.requests == ["r1.1", "r2.1"]


def test_the_same_request_id_of_another_caller_is_another_request(daemon: SmallDaemon) -> None:
    for name in (b"alice", b"bob"):
        with asked(daemon.socket, b"send", b"mine", env={b"THRUM_NAME": name}) as link:
            heard(link)

    assert daemon.kept.sent == ["mine", "mine"]


def test_a_retry_while_the_first_is_gone_finds_what_it_did(daemon: SmallDaemon) -> None:
    with asked(daemon.socket, b"send", b"once"):
        daemon.until(lambda: daemon.kept.sent == ["once"])
    with asked(daemon.socket, b"send", b"once") as link:
        assert heard(link)[-1] == (client.STATUS, b"\0")

    assert daemon.kept.sent == ["once"]


def test_effects_wait_for_the_confirmation_of_the_last_byte(daemon: SmallDaemon) -> None:
    daemon.kept.sent.append(BODY)
    with asked(daemon.socket, b"inbox") as link:
        heard(link)
    daemon.until(lambda: daemon.is_quiet)
    assert daemon.kept.read == 0

    with asked(daemon.socket, b"inbox") as link:
        heard(link)
        link.sendall(client.frame(client.SHOWN))
        daemon.until(lambda: daemon.kept.read == 1)


def test_closing_cancels_a_long_answer(daemon: SmallDaemon) -> None:
    with asked(daemon.socket, b"wait"):
        daemon.until(lambda: daemon.kept.waiting == 1)

    daemon.until(lambda: daemon.kept.canceled == 1 and daemon.is_quiet)


def test_a_client_that_never_reads_holds_nobody_up(daemon: SmallDaemon) -> None:
    with asked(daemon.socket, b"noisy", b"100000"), asked(daemon.socket, b"who") as other:
        assert output(heard(other)) == b"tester\n"


def test_input_is_asked_for_once_and_the_command_starts_again(daemon: SmallDaemon) -> None:
    with asked(daemon.socket, b"send", b"--stdin") as link:
        asking = heard(link, until=client.WANT)
        link.sendall(client.frame(client.DATA, b"in two ") + client.frame(client.DATA, b"pieces"))
        link.sendall(client.frame(client.END))
        rest = heard(link)

    assert [kind for kind, _ in asking] == [client.RUN, client.WANT]
    assert client.WANT not in [kind for kind, _ in rest]
    assert daemon.kept.sent == ["in two pieces"]


def test_a_file_that_the_client_cannot_read_is_told_with_its_reason(daemon: SmallDaemon) -> None:
    with asked(daemon.socket, b"send", b"--body-file", b"secret") as link:
        asking = heard(link, until=client.WANT)
        link.sendall(client.frame(client.FAILED, b"13"))
        rest = heard(link)

    assert asking[-1][1][8:] == b"secret", "the daemon opens nothing itself"
    told = b"Error: cannot read secret: Permission denied\nHint: name a file that you may read\n"
    assert (client.ERR, told) in rest
    assert rest[-1] == (client.STATUS, b"\1")


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\xff\xff\xff\xff",
        b"\x01" + (3).to_bytes(4, "big") + b"abc",
        client.frame(b"\x02", b"x"),
        client.frame(client.REQUEST, client.pack([b"1"] * 3)),
        client.frame(client.REQUEST, b"\0\0\0\x09x"),
    ],
)
def test_bytes_that_are_no_request_are_cut_off(daemon: SmallDaemon, data: bytes) -> None:
    with address.connect(daemon.socket, timeout_s=20) as link:
        link.sendall(data)
        assert heard(link) == []

    with asked(daemon.socket, b"who") as other:
        assert output(heard(other)) == b"tester\n"


def test_the_folder_that_the_client_claims_does_not_count_where_the_system_tells(daemon: SmallDaemon) -> None:
    with asked(daemon.socket, b"where") as link:
        shown = output(heard(link))

    assert shown == os.fsencode(Path.cwd()) + b"\n"


def test_a_stopping_daemon_answers_what_it_accepted_and_refuses_the_rest(socket: Path) -> None:
    with SmallDaemon(socket) as daemon, asked(socket, b"send", b"--stdin") as link:
        heard(link, until=client.WANT)
        daemon.on_loop(lambda: setattr(daemon.commands, "is_draining", True))
        with asked(socket, b"who") as late:
            assert heard(late) == [(client.REFUSED, b"")]
        link.sendall(client.frame(client.DATA, b"accepted") + client.frame(client.END))

        assert heard(link)[-1] == (client.STATUS, b"\0")
    assert daemon.kept.sent == ["accepted"]
