"""Commands that send messages and change them: what they ask for, what they print, what they refuse."""

from __future__ import annotations

import pytest
from command_answers import NOW, SENT, message, page
from command_run import run

from thrum_kernel.cli.texts.messages import message_lines, sent_lines
from thrum_kernel.errors import NotFound, UnknownRecipient

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
        (("send", "a", "--structured", '{"a":' * 20_000), "--structured is nested too deeply"),
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
