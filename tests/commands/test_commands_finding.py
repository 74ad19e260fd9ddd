"""Search, threads, subscriptions and purge."""

from __future__ import annotations

import json
from typing import Any

import pytest
from command_answers import SENT, message, page
from command_run import run

from thrum_kernel.errors import NotFound


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
