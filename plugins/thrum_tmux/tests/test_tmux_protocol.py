"""What tmux writes is read whatever pieces it comes in; what we write means what it says; quiet is what it claims."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thrum_tmux.control import words
from thrum_tmux.control.activity import Activity
from thrum_tmux.control.process import scrubbed, socket_path
from thrum_tmux.control.protocol import Block, Continued, Notice, Output, Parser, Paused
from thrum_tmux.live_pane import checked, chunks
from thrum_tmux.local_commands import attach_words
from thrum_tmux.names import session_name

from thrum_kernel.errors import InvalidName, Refused, UsageError
from thrum_kernel.testing.tmux import TmuxServer

STREAM = (
    b"%begin 1 10 0\n%end 1 10 0\n"
    b"%session-changed $0 my session\n"
    b"%extended-output %0 0 : x\\015\\012\n%extended-output %0 0 : y\n%output %12 z\n"
    b"%begin 1 11 1\nline one\n%end 1 12 1\n%error 9 11 1\n%output %0 no output\n\xc3\xa9\n%end 1 11 1\n"
    b"%pause %0\n%continue %0\n"
    b"%begin 1 13 1\nparse error: unknown command: bogus\n%error 1 13 1\n"
    b"no notification\n%exit\n"
)
EVENTS = [
    Block((), True, False),
    Notice("session-changed", "$0 my session"),
    Output("%0"),
    Output("%12"),
    Block(("line one", "%end 1 12 1", "%error 9 11 1", "%output %0 no output", "é"), True, True),
    Paused("%0"),
    Continued("%0"),
    Block(("parse error: unknown command: bogus",), False, True),
    Notice("", "no notification"),
    Notice("exit", ""),
]


def test_a_stream_is_read_as_it_stands() -> None:
    assert Parser().feed(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_pieces_make_no_difference_but_for_output_told_twice(cuts: list[int]) -> None:
    parser = Parser()
    places = [0, *sorted(cuts), len(STREAM)]

    found = [event for start, end in itertools.pairwise(places) for event in parser.feed(STREAM[start:end])]

    told = [
        event
        for at, event in enumerate(found)
        if at == 0 or event != found[at - 1] or not isinstance(event, Output)
    ]
    assert told == EVENTS


@given(st.text(max_size=3000), st.integers(4, 600))
def test_chunks_are_the_text_and_whole_characters(text: str, most: int) -> None:
    text = text.encode("utf-8", "ignore").decode()

    found = list(chunks(text, most))

    assert "".join(found) == text
    assert all(0 < len(chunk.encode()) <= most for chunk in found)


PRINTABLE = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=("Cc", "Cs", "Co", "Cn")),
    max_size=60,
)


def test_words_reach_tmux_as_they_are(tmux_server: TmuxServer) -> None:
    """Through its own parser, by a file of commands, and as arguments of the program."""
    texts: list[str] = [
        *"\"'\\$~#;{}%&|<>`!*?",
        "#{pid}",
        "a;",
        "\\;",
        "${HOME}",
        "-x",
        "é漢字🙂",
        "a\nb\tc",
        "%%",
        "~/x",
    ]

    @given(PRINTABLE)
    def collect(text: str) -> None:
        texts.append(text)

    collect()
    tmux_server("new-session", "-d", "-s", "x")
    for number, text in enumerate(texts[:60]):
        if not text:
            continue
        lines = words.line([("set-buffer", "-b", f"b{number}", "--", text), ("display-message", "-p", "ok")])
        source = tmux_server.path.with_name("commands")
        source.write_text(f"{lines}\n")
        tmux_server("source-file", str(source))
        assert tmux_server("show-buffer", "-b", f"b{number}") == text
        tmux_server(
            *words.arguments([("set-buffer", "-b", "argv", "--", text), ("display-message", "-p", "ok")])
        )
        assert tmux_server("show-buffer", "-b", "argv") == text


@pytest.mark.parametrize("text", ["\x1b[201~", "a\x03", "\x00", "x" * (1 << 20) + "y"])
def test_what_is_no_text_is_not_typed(text: str) -> None:
    with pytest.raises(UsageError):
        checked(text)


def test_line_ends_are_one_kind() -> None:
    assert checked("a\r\nb\rc\td\n") == "a\nb\nc\td\n"


@pytest.mark.parametrize(
    ("given_", "name"), [("my.repo", "my-repo"), ("a:b", "a-b"), ("x y", "x-y"), ("ünïx", "-n-x")]
)
def test_names_of_sessions(given_: str, name: str) -> None:
    if name.startswith("-"):
        with pytest.raises(InvalidName):
            session_name(given_)
    else:
        assert session_name(given_) == name == session_name(name)


def test_the_socket_is_where_tmux_has_it() -> None:
    assert socket_path("", env={}, uid=7) == "/tmp/tmux-7/default"
    assert socket_path("work", env={"TMUX_TMPDIR": "/run"}, uid=7) == "/run/tmux-7/work"
    assert socket_path("/a/b", env={}, uid=7) == "/a/b"


def test_nobodys_identity_goes_along() -> None:
    env = {"THRUM_NAME": "x", "TMUX": "y", "TMUX_PANE": "%1", "CLAUDE_PROJECT_DIR": "/", "SSH_AUTH_SOCK": "s"}
    assert scrubbed(env) == {"SSH_AUTH_SOCK": "s"}


def test_attaching_from_within_tmux() -> None:
    session = {"name": "one", "socket": "/run/tmux"}

    assert attach_words({}, session) == ["-S", "/run/tmux", "attach-session", "-t", "=one"]
    assert attach_words({"TMUX": "/run/tmux,1,0"}, session)[2] == "switch-client"
    with pytest.raises(Refused, match="inside another tmux"):
        attach_words({"TMUX": "/elsewhere,1,0"}, session)


class Ticking:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_quiet_is_what_is_known() -> None:
    clock = Ticking()
    activity = Activity(monotonic=clock)
    assert activity.quiet_s("%0") == 0

    activity.began("%0", quiet_s=5)
    clock.now += 2
    assert activity.quiet_s("%0") == 7
    activity.wrote("%0")
    clock.now += 3
    assert activity.quiet_s("%0") == 3
    activity.paused("%0")
    clock.now += 60
    assert activity.quiet_s("%0") == 0
    activity.continued("%0")
    clock.now += 1
    assert activity.quiet_s("%0") == 1
    activity.told("%0", quiet_s=9)
    clock.now += 50
    assert activity.quiet_s("%0") == 9
    activity.deaf(["%0"])
    assert activity.quiet_s("%0") == 0


def test_output_that_is_waited_for_is_noticed() -> None:
    async def scenario() -> None:
        activity = Activity()
        waiting = asyncio.create_task(activity.until_output("%0", deadline_s=10))
        await asyncio.sleep(0)
        await asyncio.to_thread(activity.wrote, "%0")
        assert await waiting
        assert not await activity.until_quiet("%0", 60, deadline_s=0.01)

    asyncio.run(scenario())
