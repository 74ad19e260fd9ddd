"""Bad input through the installed command and through raw connections: one clear line, and nothing changed."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from daemon_house import House, command_frame, connected, frames_of, health, lines, read_all

from thrum_kernel.testing.harness import Cli, Repo
from thrum_kernel.testing.waiting import until

MIB = 1024 * 1024
CAUSED = "message.create,message.edit,message.delete,agent.register,agent.delete,thread.create,session.start"


def refused(cli: Cli, *words: str, stdin: bytes = b"", status: int = 1) -> str:
    """The one ``Error:`` line of a command that has to fail; nothing on standard output."""
    done = cli.run(*words, stdin=stdin)
    assert done.status == status, (done.out, done.err)
    assert done.out == ""
    errors = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and "Traceback" not in done.err, done.err
    return errors[0]


def events(house: House) -> int:
    """How many lines of the log somebody caused."""
    return int(house.alice.json("log", "show", "--type", CAUSED, "--limit", "1")["total"])


# --- where one stands ------------------------------------------------------------------------------------------------


def test_not_a_git_repository(cli: Cli, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    at = cli.at(nowhere)

    for words in (
        ("init",),
        ("inbox",),
        ("daemon", "start"),
        ("quickstart", "a", "--role", "r", "--module", "m"),
    ):
        assert "git repository" in (error := refused(at, *words)) or "not initialized" in error
    assert list(nowhere.iterdir()) == []


def test_a_bare_repository(cli: Cli, repo: Repo, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    repo.git("init", "-q", "--bare", str(bare))
    before = sorted(bare.iterdir())

    assert "bare" in refused(cli.at(bare), "init")
    assert "bare" in refused(cli.at(bare), "inbox")

    assert sorted(bare.iterdir()) == before


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["Alice", "a/b", "../up", "everyone", "daemon", "thrum", "supervisor_x", "x" * 300, "a b", "a:b", "."],
)
def test_names_that_cannot_be(house: House, name: str) -> None:
    before = events(house)

    refused(house.person, "quickstart", "--name", name, "--role", "tester", "--module", "m")
    refused(house.person, "agent", "register", "--name", name, "--role", "tester", "--module", "m")

    assert events(house) == before
    assert not list((house.thrum / "identities").glob("*.json"))


def test_a_role_equal_to_the_name(house: House) -> None:
    before = events(house)

    error = refused(house.person, "quickstart", "--name", "tester", "--role", "tester", "--module", "m")

    assert "tester" in error
    assert events(house) == before


# --- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "stdin", "says"),
    [
        (("",), b"", "content is required"),
        (("   ",), b"", "content is required"),
        (("--stdin",), b"", "content is required"),
        (("--stdin",), b"x" * (MIB + 1), "1048576 bytes"),
        (("--stdin",), b"caf\xe9", "UTF-8"),
        (("--stdin",), b"a\0b", "NUL"),
        (("hello", "--structured", "{not json"), b"", "JSON"),
        (("hello", "--scope", "nonsense"), b"", "scope"),
        (("hello", "--priority", "urgent"), b"", "priority"),
        (("hello", "--thread", "thr_nowhere"), b"", "thr_nowhere"),
    ],
)
def test_messages_that_cannot_be(house: House, words: tuple[str, ...], stdin: bytes, says: str) -> None:
    before = events(house)

    error = refused(house.alice, "send", *words, "--to", "@bob", stdin=stdin)

    assert says.lower() in error.lower()
    assert events(house) == before


def test_a_body_of_exactly_one_mebibyte_arrives_whole(house: House) -> None:
    body = ("ä" * (MIB // 2)).encode()

    sent = json.loads(house.alice("send", "--stdin", "--to", "@bob", "--json", stdin=body))["message_id"]

    assert house.bob.json("message", "get", sent)["message"]["body"]["content"].encode() == body


@pytest.mark.parametrize(
    "words",
    [
        ("inbox", "--page", "0"),
        ("inbox", "--page", "-1"),
        ("inbox", "--page-size", "0"),
        ("inbox", "--scope", "nonsense"),
        ("sent", "--page", "0"),
        ("message", "get", "msg_nowhere"),
        ("reply", "msg_nowhere", "hello"),
        ("thread", "show", "thr_nowhere"),
        ("context", "show", "--agent", "../../etc/passwd"),
        ("log", "replay", "--to", "yesterday-ish"),
        ("config", "set", "daemon.no_such_key", "1"),
        ("config", "set", "daemon.sync_interval", "soon"),
        ("agent", "delete", "nobody-here", "--force"),
        ("no-such-command",),
        ("send",),
        ("inbox", "--no-such-flag"),
    ],
)
def test_words_that_mean_nothing(house: House, words: tuple[str, ...]) -> None:
    before = events(house)

    refused(house.alice, *words)

    assert events(house) == before


def test_wait_with_wrong_words_or_by_nobody_ends_with_2(house: House) -> None:
    refused(house.alice, "wait", "--timeout", "soon", status=2)
    refused(house.alice, "wait", "--scope", "nonsense", status=2)
    refused(house.person, "wait", "--timeout", "1s", status=2)


# --- raw connections -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{not json", -32700),
        (b"\xff\xfe\xfd{}", -32700),
        (b"[]", -32700),
        (b'"text"', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"health"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"no.such"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"health","params":{"no":1}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"message.list","params":{"page":"x"}}', -32602),
    ],
)
def test_malformed_requests_are_answered_and_the_connection_goes_on(
    house: House, line: bytes, code: int
) -> None:
    with connected(house.socket) as link:
        answers = lines(link)
        link.sendall(line + b"\n")
        assert next(answers)["error"]["code"] == code
        link.sendall(b'{"jsonrpc":"2.0","id":2,"method":"health"}\n')
        assert next(answers)["result"]["status"] == "ok"


def test_a_line_of_a_hundred_mebibytes_is_refused_without_being_held(house: House) -> None:
    pid = house.pid
    with connected(house.socket) as link:
        sent = pour(link, b'{"jsonrpc":"2.0","id":1,"method":"message.send","params":{"content":"', 100 * MIB)
        answered = read_all(link)

    assert sent < 100 * MIB or b"error" in answered
    assert highest_memory_mib(pid) < 200
    assert health(house.socket)["status"] == "ok"


def test_an_endless_line_of_the_command_protocol_is_cut(house: House) -> None:
    with connected(house.socket) as link:
        link.sendall(b"\x01" + (0xFFFFFFFF).to_bytes(4, "big"))
        pour(link, b"", 8 * MIB)
        assert read_all(link) == b""

    assert health(house.socket)["status"] == "ok"


def pour(link: socket.socket, start: bytes, size: int) -> int:
    """Send *start* and many more bytes without a newline; how many were taken before the other side closed."""
    sent = 0
    try:
        link.sendall(start)
        while sent < size:
            sent += link.send(b"x" * 65536)
    except OSError:
        pass
    return sent


def highest_memory_mib(pid: int) -> int:
    """The most memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def test_a_client_that_never_reads_is_no_matter_to_others(house: House) -> None:
    pid = house.pid
    before = highest_memory_mib(pid)
    with connected(house.socket, 1.0) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = b'{"jsonrpc":"2.0","id":1,"method":"rpc.describe"}\n' * 100
        with pytest.raises(TimeoutError):  # the daemon takes no more than it can answer
            for _ in range(4000):
                deaf.sendall(request)
        assert health(house.socket)["status"] == "ok"
        assert house.alice("send", "still served", "--to", "@bob").startswith("✓")
    assert highest_memory_mib(pid) - before < 60


def test_a_client_that_asks_much_and_goes_away_holds_up_nobody(house: House) -> None:
    with connected(house.socket) as link:
        link.sendall(b'{"jsonrpc":"2.0","id":1,"method":"message.list"}\n' * 15_000)
    with connected(house.socket, 5.0) as other:
        other.sendall(b'{"jsonrpc":"2.0","id":1,"method":"health"}\n')
        assert next(lines(other))["result"]["status"] == "ok"
    until(lambda: house.status()["connections"] <= 1)


def test_a_client_of_another_version_is_told_before_anything_happens(house: House) -> None:
    before = events(house)
    with connected(house.socket) as link:
        words = ["send", "hello", "--to", "@bob"]
        link.sendall(command_frame(words, cwd=house.alice.cwd, request_id="other", version=b"0.0.1"))
        (answer,) = frames_of(read_all(link))

    assert answer == (b"X", b"")
    assert events(house) == before


def test_an_unknown_command_protocol_is_refused(house: House) -> None:
    frame = command_frame(["health"], cwd=house.alice.cwd, request_id="other")
    with connected(house.socket) as link:
        link.sendall(frame.replace(b"\0\0\0\x011", b"\0\0\0\x019", 1))
        assert frames_of(read_all(link)) == [(b"X", b"")]
