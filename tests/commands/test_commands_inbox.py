"""The inbox, and waiting for what comes into it."""

from __future__ import annotations

import pytest
from command_answers import NOW, message, page
from command_run import run

from thrum_kernel.cli.commands.reading import resumed
from thrum_kernel.cli.texts.messages import inbox_lines
from thrum_kernel.errors import NotFound

# --- inbox -----------------------------------------------------------------------------------------------------------


def test_inbox_asks_once_and_marks_what_it_shows() -> None:
    ran = run("inbox", answers={"message.list": page(message())})
    assert ran.calls == [
        ("message.list", {"exclude_self": True, "mark_shown": True, "mine": True, "page": 1, "page_size": 10})
    ]


def test_inbox_unread_only_looks() -> None:
    params = run("inbox", "--unread", answers={"message.list": page()}).params("message.list")
    assert params == {"exclude_self": True, "unread": True, "mine": True, "page": 1, "page_size": 10}


def test_inbox_passes_every_filter_on() -> None:
    ran = run(
        *(
            "inbox",
            "-a",
            "--from",
            "@bob",
            "--scope",
            "module:auth",
            "--mentions",
            "--chronological",
            "--oldest",
        ),
        *("--limit", "5", "--page", "2"),
        answers={"message.list": page()},
    )
    assert ran.params("message.list") == {
        "exclude_self": True,
        "author_id": "bob",
        "scope": {"type": "module", "value": "auth"},
        "mentions": True,
        "chronological": True,
        "sort_order": "asc",
        "mark_shown": True,
        "page": 2,
        "page_size": 5,
    }


def test_inbox_marks_on_purpose_where_it_would_only_look() -> None:
    found = page(message(), message(message_id="msg_2", is_read=True))
    ran = run("inbox", "--mark", answers={"message.list": found, "message.markRead": {"marked_count": 1}})
    assert ran.params("message.markRead") == {"message_ids": ["msg_1"]}


def test_inbox_json_is_the_answer_itself() -> None:
    found = page(message(), hidden_by_filter=2)
    assert run("inbox", "--json", answers={"message.list": found}).json == found


def test_inbox_text_shows_marks_and_never_a_deleted_text() -> None:
    found = page(
        message(priority="high", asserted=True),
        message(message_id="msg_2", is_read=True, reply_to="msg_0", updated_at="2026-06-23T11:30:00.000000Z"),
        message(message_id="msg_3", deleted=True, body={"format": "markdown", "content": "secret"}),
        message(message_id="msg_4", is_read=True, audiences=[{"type": "broadcast", "value": "everyone"}]),
        total=14,
        total_pages=2,
        hidden_by_filter=3,
    )
    assert inbox_lines(found, NOW, again="thrum inbox --from @bob", unread_only=False) == [
        "● msg_1  @bob → @alice  1h ago  [high priority] [sender asserted, not proven]",
        "    Hello",
        "",
        "○ msg_2  @bob → @alice  1h ago  [edited]",
        "    ↳ in reply to msg_0",
        "    Hello",
        "",
        "○ msg_3  @bob → @alice  1h ago",
        "    [deleted]",
        "",
        "○ msg_4  @bob → @everyone  1h ago",
        "    Hello",
        "",
        "14 messages · 2 unread · page 1 of 2 · next: thrum inbox --from @bob --page 2",
        "3 unread messages not shown by this filter: thrum inbox --unread",
    ]


def test_inbox_of_nothing() -> None:
    assert run("inbox", answers={"message.list": page()}).out == "No messages.\n"
    assert run("inbox", "--unread", answers={"message.list": page()}).out == "No unread messages.\n"


def test_inbox_beyond_the_last_page_says_so() -> None:
    found = page(total=12, page=5, total_pages=2)
    assert (
        run("inbox", "--page", "5", answers={"message.list": found}).out
        == "Nothing on page 5: the last is page 2.\n"
    )


def test_inbox_cuts_a_long_text_and_says_where_the_rest_is() -> None:
    found = page(message(body={"format": "plain", "content": "\n".join(str(n) for n in range(25))}))
    lines = inbox_lines(found, NOW, again="thrum inbox", unread_only=False)
    assert lines[20:22] == ["    19", "    … 5 more lines: thrum message get msg_1"]


# --- wait ------------------------------------------------------------------------------------------------------------


def test_wait_ends_with_what_came() -> None:
    answer = {"status": "received", "messages": [message()], "action": "thrum inbox --unread"}
    ran = run("wait", "--json", answers={"message.wait": answer})
    assert (ran.status, ran.json) == (0, answer)
    assert ran.params("message.wait") == {"timeout_ms": 30_000}


def test_wait_passes_every_flag_on() -> None:
    ran = run(
        *("wait", "--timeout", "5m", "--scope", "module:auth", "--mention", "@dev", "--after", "-30s"),
        *("--agent-name", "bob"),
        answers={"message.wait": {"status": "timeout"}},
    )
    assert ran.params("message.wait") == {
        "timeout_ms": 300_000,
        "scope": {"type": "module", "value": "auth"},
        "mention": "dev",
        "after": "-30s",
        "caller_agent_id": "bob",
    }


def test_wait_that_times_out_ends_with_1() -> None:
    ran = run("wait", "--timeout", "2s", answers={"message.wait": {"status": "timeout"}})
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("NO_MESSAGES_TIMEOUT")


def test_wait_that_times_out_still_prints_one_json_value() -> None:
    ran = run("wait", "--json", answers={"message.wait": {"status": "timeout"}})
    assert (ran.status, ran.json) == (1, {"status": "timeout", "messages": [], "action": ""})


@pytest.mark.parametrize(
    "words",
    [
        ("--timeout", "soon"),
        ("--timeout", "0s"),
        ("--scope", "x"),
        ("--after", "yesterday"),
        ("--bogus",),
        ("extra",),
    ],
)
def test_wait_with_wrong_words_ends_with_2(words: tuple[str, ...]) -> None:
    ran = run("wait", *words)
    assert (ran.status, ran.out, ran.calls) == (2, "", [])
    assert ran.err.startswith("Error: ")


@pytest.mark.parametrize("typed", ["garbage", "", "-", "--5s", "5x"])
def test_wait_with_a_wrong_offset_names_the_forms_that_there_are(typed: str) -> None:
    ran = run("wait", f"--after={typed}")
    assert ran.err == (
        f'Error: invalid value "{typed}" for --after\n'
        "Hint: -30s: also what came up to 30 s ago; +60s: only what comes after that time\n"
    )


def test_wait_that_goes_on_later_has_the_rest_of_its_time_from_the_same_moment_on() -> None:
    params = {"timeout_ms": 5_000, "after": "-30s", "mention": "dev"}
    assert resumed(params, 2.0) == {"timeout_ms": 3_000, "after": "-32000000us", "mention": "dev"}
    assert resumed({**params, "after": "+3s"}, 2.0)["after"] == "+1000000us"
    assert resumed({"timeout_ms": 5_000}, 60.0) == {"timeout_ms": 0}


def test_wait_that_is_refused_ends_with_2_and_no_json() -> None:
    ran = run("wait", "--json", answers={"message.wait": NotFound("agent", "x")})
    assert (ran.status, ran.out, ran.err) == (2, "", "Error: agent not found: x\n")
