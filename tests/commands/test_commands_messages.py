"""Commands for messages: what they ask for, what they print, what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from command_run import run

from thrum_kernel.cli.commands.reading import resumed
from thrum_kernel.cli.render import View
from thrum_kernel.cli.texts.messages import inbox_lines, message_lines, sent_lines
from thrum_kernel.clock import parse_us
from thrum_kernel.errors import NotFound, UnknownRecipient

NOW = View(parse_us("2026-06-23T12:00:00Z"))
SENT = {"message_id": "msg_1", "created_at": "2026-06-23T11:00:00.000000Z", "resolved_to": 1}


def message(**more: Any) -> dict[str, Any]:
    """A message of a list, as the method gives it."""
    return {
        "message_id": "msg_1",
        "agent_id": "bob",
        "body": {"format": "markdown", "content": "Hello"},
        "created_at": "2026-06-23T11:00:00.000000Z",
        "deleted": False,
        "is_read": False,
        "audiences": [{"type": "agent", "value": "alice"}],
        **more,
    }


def page(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "messages": list(messages),
        "total": len(messages),
        "unread": sum(not each["is_read"] for each in messages),
        "page": 1,
        "page_size": 10,
        "total_pages": 1,
        **more,
    }


# --- send ------------------------------------------------------------------------------------------------------------


def test_send_passes_every_flag_on() -> None:
    ran = run(
        *("send", "Hi", "--to", "@bob", "--to", "carol", "--mention", "@reviewer", "--scope", "module:auth"),
        *("--ref", "pr:42", "--thread", "thr_1", "--priority", "high", "--format", "plain"),
        *("--structured", '{"a": [1]}'),
        answers={"message.send": SENT},
    )
    assert ran.status == 0
    assert ran.params("message.send") == {
        "content": "Hi",
        "to": ["bob", "carol"],
        "mentions": ["reviewer"],
        "scopes": [{"type": "module", "value": "auth"}],
        "refs": [{"type": "pr", "value": "42"}],
        "thread_id": "thr_1",
        "priority": "high",
        "format": "plain",
        "structured": {"a": [1]},
    }


def test_send_says_its_literal_line_and_to_whom() -> None:
    recipients = [{"agent_id": "bob", "delivered_at": ""}, {"agent_id": "eve@host2", "delivered_at": ""}]
    ran = run("send", "Hi", answers={"message.send": {**SENT, "recipients": recipients}})
    assert ran.out == "✓ Message sent: msg_1\n  To: @bob, @eve@host2\n"


def test_send_when_quiet_says_the_success_line_alone() -> None:
    recipients = [{"agent_id": "bob", "delivered_at": ""}]
    ran = run("--quiet", "send", "Hi", answers={"message.send": {**SENT, "recipients": recipients}})
    assert ran.out == "✓ Message sent: msg_1\n"


def test_send_json_is_the_answer_itself() -> None:
    ran = run(
        "send", "Hi", "--json", answers={"message.send": {**SENT, "warnings": ["@x resolved to a group"]}}
    )
    assert ran.json == {**SENT, "warnings": ["@x resolved to a group"]}
    assert ran.err == "Warning: @x resolved to a group\n"


def test_send_broadcast_goes_to_everyone() -> None:
    assert run("send", "Hi", "--broadcast", answers={"message.send": SENT}).params("message.send")["to"] == [
        "everyone"
    ]


@pytest.mark.parametrize("words", [("send", "-"), ("send", "--stdin"), ("send", "-", "--stdin")])
def test_send_reads_standard_input(words: tuple[str, ...]) -> None:
    ran = run(*words, stdin=b"Zeile eins\nZeile zwei\n", answers={"message.send": SENT})
    assert ran.params("message.send")["content"] == "Zeile eins\nZeile zwei"


def test_send_reads_a_file() -> None:
    ran = run("send", "--body-file", "n.md", files={"n.md": b"# Notes\n"}, answers={"message.send": SENT})
    assert ran.params("message.send")["content"] == "# Notes"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("send",), "no message text: give MESSAGE"),
        (("send", "a", "--stdin"), "MESSAGE and --stdin are mutually exclusive"),
        (("send", "a", "--body-file", "f"), "MESSAGE and --body-file are mutually exclusive"),
        (("send", "--stdin", "--body-file", "f"), "--stdin and --body-file are mutually exclusive"),
        (("send", "a", "--to", "b", "--broadcast"), "--to and --broadcast are mutually exclusive"),
        (("send", "a", "--to", ""), "a recipient is empty"),
        (("send", "a", "--to", "@"), "a recipient is empty"),
        (("send", "a", "--to", "b,@"), "a recipient is empty"),
        (("send", "a", "--mention", " "), "a recipient is empty"),
        (("send", "a", "--scope", "nocolon"), 'invalid value "nocolon" for --scope: must be type:value'),
        (("send", "a", "--structured", "{"), "--structured is not valid JSON"),
        (("send", "a", "--structured", "[1]"), "--structured must be a JSON object"),
        (("send", "a", "--format", "html"), "invalid format: html (must be 'markdown', 'plain', or 'json')"),
        (
            ("send", "a", "--priority", "urgent"),
            "invalid priority: urgent (must be 'low', 'normal', or 'high')",
        ),
        (("send", "--body-file", "gone"), "cannot read gone"),
        (("reply", "msg_1"), "no message text: give TEXT"),
        (("message", "delete", "msg_1"), "--force is required"),
        (("message", "read"), "nothing to mark"),
        (("message", "read", "msg_1", "--all"), "MSG_ID and --all are mutually exclusive"),
        (("inbox", "--page", "0"), "invalid --page 0"),
        (("inbox", "--scope", "x"), "must be type:value"),
        (("sent", "--page-size", "1000"), "invalid --page-size 1000"),
        (("search", " "), "nothing to search for"),
        (("thread", "create", "t", "--to", "bob"), "--to needs --message"),
        (("subscribe",), "what to subscribe to is missing"),
        (("subscribe", "--all", "--mention", "x"), "--mention and --all are mutually exclusive"),
        (("purge",), "either --before or --all is required"),
        (("purge", "--all", "--before", "2d"), "--before and --all are mutually exclusive"),
        (("sent", "--to", ""), "--to is empty"),
        (("sent", "--to", " @ "), "--to is empty"),
        (("inbox", "--from", ""), "--from is empty"),
        (("inbox", "--scope", ""), 'invalid value "" for --scope: must be type:value'),
        (("search", "x", "--from", ""), "--from is empty"),
        (("search", "x", "--thread", ""), "--thread is empty"),
        (("send", "x", "--thread", ""), "--thread is empty"),
        (("send", "x", "--priority", "p" * 9000), "invalid priority: " + "p" * 79 + "…"),
        (("subscribe", "--mention", ""), "--mention is empty"),
        (
            ("log", "replay", "--to", "garbage"),
            'invalid value "garbage" for --to: neither an event nor a time',
        ),
        (
            ("log", "replay", "--to", "evt_123"),
            'invalid value "evt_123" for --to: neither an event nor a time',
        ),
        (("log", "show", "--agent", ""), "--agent is empty"),
        (("context", "show", "--agent", ""), "--agent is empty"),
        (("agent", "set-status", "idle", "--agent", ""), "--agent is empty"),
        (("agent", "context", ""), "AGENT is empty"),
        (("agent", "context", "--branch", ""), "--branch is empty"),
        (("session", "list", "--agent", "@"), "--agent is empty"),
        (("session", "end", "--session-id", ""), "--session-id is empty"),
        (("daemon", "token", "--user", ""), "--user is empty"),
        (("daemon", "token", "--revoke", ""), "--revoke is empty"),
        (("purge", "--before", "soon"), 'invalid value "soon" for --before'),
    ],
)
def test_wrong_words_are_told_in_one_line_before_anything_is_asked(
    words: tuple[str, ...], error: str
) -> None:
    ran = run(*words)
    assert ran.status == 1
    assert ran.calls == []
    assert ran.out == ""
    told, hint = ran.err.splitlines()
    assert told.startswith("Error: ")
    assert error in told
    assert hint.startswith("Hint: ")


def test_wrong_usage_without_a_hint_of_its_own_names_the_help_of_the_command() -> None:
    ran = run("message", "read")
    assert ran.err == "Error: nothing to mark: give MSG_ID … or --all\nHint: thrum message read --help\n"


def test_send_that_is_not_utf8_is_refused() -> None:
    ran = run("send", "-", stdin=b"\xff\xfe")
    assert (ran.status, ran.calls) == (1, [])
    assert ran.err.startswith("Error: message body is not valid UTF-8 (byte 0)")


def test_send_to_nobody_shows_what_was_meant_and_no_json() -> None:
    error = UnknownRecipient(["bbo"], {"bbo": ["bob"]})
    ran = run("send", "x", "--to", "@bbo", "--json", answers={"message.send": error})
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == (
        "Error: unknown recipient: @bbo — send to agents directly with --to @agent_name\n"
        "Hint: did you mean @bob? nothing was sent\n"
    )


def test_reply_names_the_parent() -> None:
    ran = run("reply", "msg_0", "Yes", answers={"message.send": SENT})
    assert ran.params("message.send") == {"content": "Yes", "reply_to": "msg_0"}
    assert ran.out == "✓ Reply sent: msg_1\n"


# --- single messages -------------------------------------------------------------------------------------------------


def test_edit_says_the_version() -> None:
    done = {"message_id": "msg_1", "updated_at": "2026-06-23T11:00:00.000000Z", "version": 2}
    ran = run("message", "edit", "msg_1", "New", answers={"message.edit": done})
    assert ran.params("message.edit") == {"message_id": "msg_1", "content": "New"}
    assert ran.out == "✓ Message edited: msg_1 (version 2)\n"


def test_edit_of_structured_data_alone_leaves_the_text() -> None:
    done = {"message_id": "msg_1", "updated_at": "", "version": 1}
    ran = run("message", "edit", "msg_1", "--structured", "{}", answers={"message.edit": done})
    assert ran.params("message.edit") == {"message_id": "msg_1", "structured": {}}


def test_delete_with_force() -> None:
    ran = run(
        "message",
        "delete",
        "msg_1",
        "--force",
        answers={"message.delete": {"message_id": "msg_1", "deleted_at": ""}},
    )
    assert ran.out == "✓ Message deleted: msg_1\n"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"marked_count": 3}, "✓ Marked 3 messages as read\n"),
        ({"marked_count": 1}, "✓ Marked 1 message as read\n"),
        ({"marked_count": 0}, "No unread messages.\n"),
        ({"marked_count": 100, "markable_remaining": 7}, "✓ Marked 100 messages as read\n  7 still unread\n"),
    ],
)
def test_read_counts_what_it_marked(answer: dict[str, int], expected: str) -> None:
    ran = run("message", "read", "--all", answers={"message.markRead": answer})
    assert ran.params("message.markRead") == {"all": True}
    assert ran.out == expected


def test_get_marks_as_read_when_shown() -> None:
    detail = {
        **message(),
        "author": {"agent_id": "bob", "session_id": "ses_B"},
        "metadata": {},
        "scopes": [],
        "refs": [],
    }
    ran = run("message", "get", "msg_1", "--json", answers={"message.get": {"message": detail}})
    assert ran.params("message.get") == {"message_id": "msg_1", "mark_shown": True}
    assert ran.json == {"message": detail}


def test_get_of_nothing_fails() -> None:
    ran = run("message", "get", "msg_9", answers={"message.get": NotFound("message", "msg_9")})
    assert (ran.status, ran.err) == (1, "Error: message not found: msg_9\n")


def test_one_message_with_everything_known() -> None:
    detail = message(
        author={"agent_id": "bob", "session_id": "ses_B"},
        metadata={},
        scopes=[{"type": "module", "value": "auth"}],
        refs=[],
        reply_to="msg_0",
        updated_at="2026-06-23T11:30:00.000000Z",
        recipients=[{"agent_id": "alice", "delivered_at": "2026-06-23T11:00:00.000000Z", "state": "stored"}],
    )
    assert message_lines(detail, NOW) == [
        "msg_1  @bob  1h ago  [edited]",
        "  From:     @bob",
        "  To:       @alice",
        "  Sent:     1h ago",
        "  Edited:   30m ago",
        "  Reply to: msg_0",
        "  Scopes:   module:auth",
        "",
        "    Hello",
        "",
        "  Recipients (0 of 1 read):",
        "    @alice  stored  1h ago",
    ]


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


# --- sent ------------------------------------------------------------------------------------------------------------


def test_sent_shows_every_delivery_state() -> None:
    at = "2026-06-23T11:00:00.000000Z"
    step = {"state": "failed", "at": "2026-06-23T11:50:00.000000Z", "means": "tmux", "reason": "rate limited"}
    recipients = [
        {
            "agent_id": "bob",
            "delivered_at": at,
            "state": "answered",
            "states": [{"state": "answered", "at": at}],
        },
        {"agent_id": "carol", "delivered_at": at, "read_at": "2026-06-23T11:58:00.000000Z", "state": "read"},
        {"agent_id": "dave@host2", "delivered_at": at, "state": "failed", "states": [step]},
        {"agent_id": "eve", "delivered_at": at},
    ]
    found = page(
        message(agent_id="alice", recipients=recipients, audiences=[{"type": "role", "value": "dev"}])
    )
    assert sent_lines(found, NOW, again="thrum sent", unread_only=False) == [
        "msg_1  to @dev (role)  1h ago",
        "    Hello",
        "    → @bob         answered  1h ago",
        "    → @carol       read      2m ago",
        "    → @dave@host2  failed    10m ago  rate limited",
        "    → @eve         stored    1h ago",
        "",
        "1 message",
    ]


def test_sent_passes_its_filters_on() -> None:
    params = run("sent", "--to", "@everyone", "--unread", answers={"message.outbox": page()}).params(
        "message.outbox"
    )
    assert params == {"to": "everyone", "unread": True, "page": 1, "page_size": 10}


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


# --- search, threads, subscriptions, purge ---------------------------------------------------------------------------


def test_search_joins_its_words_and_shows_snippets() -> None:
    found = {
        "hits": [{"message": message(), "snippet": "say «Hello»"}],
        "total": "10000+",
        "page": 1,
        "page_size": 10,
    }
    ran = run("search", "hello", "world", "--from", "@bob", "--mine", answers={"message.search": found})
    assert ran.params("message.search") == {
        "query": "hello world",
        "from_agent": "bob",
        "mine": True,
        "page": 1,
        "page_size": 10,
    }
    assert "    say «Hello»" in ran.out
    assert "10000+ hits" in ran.out


def test_thread_create_with_a_message() -> None:
    made = {"thread_id": "thr_1", "message_id": "msg_1"}
    ran = run("thread", "create", "Login", "--message", "Hi", "--to", "@bob", answers={"thread.create": made})
    assert ran.params("thread.create") == {"title": "Login", "message": "Hi", "to": ["bob"]}
    assert ran.out == "✓ Thread created: thr_1\n✓ Message sent: msg_1\n"


def test_thread_list_shows_the_last_word() -> None:
    thread = {
        "thread_id": "thr_1",
        "title": "Login",
        "message_count": 3,
        "unread_count": 1,
        "last_sender": "bob",
        "preview": "Done",
    }
    found = {"threads": [thread], "total": 1, "page": 1, "page_size": 10, "total_pages": 1}
    ran = run("thread", "list", answers={"thread.list": found})
    assert "3 messages, 1 unread  Login — @bob: Done" in ran.out
    assert ran.out.endswith("1 thread\n")


def test_thread_show_gives_the_messages() -> None:
    thread = {
        "thread_id": "thr_1",
        "title": "Login",
        "created_by": "bob",
        "created_at": "2026-06-23T11:00:00Z",
    }
    ran = run("thread", "show", "thr_1", answers={"thread.get": {"thread": thread, "messages": [message()]}})
    assert ran.out.startswith("thr_1  Login\n  begun by @bob ")
    assert "    Hello\n" in ran.out


def test_subscriptions_come_and_go() -> None:
    made = {"subscription_id": 4, "created_at": "2026-06-23T11:00:00Z"}
    ran = run("subscribe", "--scope", "module:auth", answers={"subscribe": made})
    assert ran.params("subscribe") == {"scope": {"type": "module", "value": "auth"}}
    assert ran.out == "✓ Subscribed: 4\n"
    listed = {"subscriptions": [{"subscription_id": 4, "scope": {"type": "module", "value": "auth"}}]}
    assert run("subscriptions", answers={"subscriptions.list": listed}).out == "4  scope module:auth\n"


PURGED = {
    "before": "2026-06-01T00:00:00.000000Z",
    "messages_deleted": 12,
    "sessions_deleted": 0,
    "events_deleted": 30,
    "command_queue_deleted": 0,
    "sync_message_files": 0,
    "sync_events_filtered": 0,
}


def test_purge_previews_unless_confirmed() -> None:
    ran = run("purge", "--before", "2026-06-01", answers={"purge.execute": {**PURGED, "dry_run": True}})
    assert ran.params("purge.execute") == {"before": "2026-06-01T00:00:00.000000Z", "dry_run": True}
    assert (ran.status, ran.out) == (
        0,
        "Would remove everything before 2026-06-01 00:00:00 +0000:\n"
        "  12  messages\n"
        "  30  events\n"
        "\n"
        "Run with --confirm to execute.\n",
    )


def test_purge_counts_one_as_one() -> None:
    one = {**PURGED, "messages_deleted": 1, "sessions_deleted": 1, "events_deleted": 0, "dry_run": True}
    ran = run("purge", "--all", answers={"purge.execute": one})
    assert "  1  message\n  1  ended session\n" in ran.out


def test_purge_confirmed_says_that_nobody_has_to_register_again() -> None:
    ran = run("purge", "--all", "--confirm", answers={"purge.execute": {**PURGED, "dry_run": False}})
    assert ran.params("purge.execute")["dry_run"] is False
    assert "nobody has to register again" in ran.out


def test_control_characters_of_others_never_reach_the_terminal() -> None:
    found = page(message(body={"format": "plain", "content": "a\x1b[31mred\x07"}))
    ran = run("inbox", answers={"message.list": found})
    assert "\x1b" not in ran.out
    assert json.loads(run("inbox", "--json", answers={"message.list": found}).out) == found


def test_reading_a_message_that_does_not_exist_is_told_and_marks_nothing() -> None:
    ran = run("message", "read", "msg_no", answers={"message.get": NotFound("message", "msg_no")})
    assert (ran.status, ran.err.splitlines()[0]) == (1, "Error: message not found: msg_no")


HELD = {"event_id": "evt_1", "patterns": ["aws-access-key"], "release": "thrum sync release msg_1"}


@pytest.mark.parametrize(
    ("words", "method", "answer"),
    [
        (("send", "Hi", "--to", "@bob"), "message.send", SENT),
        (("reply", "msg_0", "Hi"), "message.send", SENT),
        (("message", "edit", "msg_1", "Hi"), "message.edit", {"message_id": "msg_1", "version": 1}),
    ],
)
def test_a_sender_is_told_at_once_what_stays_on_this_machine(
    words: tuple[str, ...], method: str, answer: dict[str, Any]
) -> None:
    held = {method: {**answer, "held": HELD}}
    ran = run(*words, "--quiet", answers=held)
    assert "looks like a secret (aws-access-key)" in ran.err and "thrum sync release msg_1" in ran.err
    ran = run(*words, "--json", answers=held)
    assert ran.err == "" and ran.json["held"] == HELD
    assert [hint["code"] for hint in ran.json["hints"]] == ["sync.held-back"]
    assert "secret" not in run(*words, answers={method: answer}).err


def test_sync_held_lists_and_sync_release_lets_go() -> None:
    entry = {
        "name": "msg_1",
        "event_id": "evt_1",
        "type": "message.create",
        "agent_id": "bob",
        "created_at": "2026-06-23T11:00:00.000000Z",
        "patterns": ["aws-access-key"],
        "excerpt": "the key is [aws-access-key]…",
    }
    ran = run("sync", "held", answers={"sync.held": {"held": [entry], "total": 1}})
    assert "msg_1" in ran.out and "@bob" in ran.out and "the key is [aws-access-key]…" in ran.out
    assert (
        run("sync", "held", answers={"sync.held": {"held": [], "total": 0}}).out == "Nothing is held back.\n"
    )
    released = {"sync.release": {"released": ["evt_1"], "already": ["msg_2"]}}
    ran = run("sync", "release", "msg_1", "msg_2", answers=released)
    assert ran.params("sync.release") == {"names": ["msg_1", "msg_2"]}
    assert ran.out == "✓ Released: evt_1\nReleased before: msg_2\n"
    assert run("sync", "release", "--all", answers=released).params("sync.release") == {"all": True}
    for words in ((), ("msg_1", "--all")):
        refused = run("sync", "release", *words)
        assert refused.status == 1 and refused.err.startswith("Error: ") and not refused.calls


def test_sync_status_tells_what_is_held_back() -> None:
    told = {
        "sync_state": "synced",
        "last_sync_at": "",
        "local_only": False,
        "held": [f"msg_{n}" for n in range(5)],
    }
    ran = run("sync", "status", answers={"sync.status": told})
    assert "5 events (msg_0, msg_1, msg_2, …): thrum sync held" in ran.out
