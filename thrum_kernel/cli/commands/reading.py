"""``inbox``, ``wait``, ``search``: how messages reach the one who reads."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

import typer

from thrum_kernel.cli.arguments import filled, given, label_given, named, paging
from thrum_kernel.cli.command import Group, Pending, Run, command, refuse_together, run_of
from thrum_kernel.cli.commands.view import again, show, view_of
from thrum_kernel.cli.durations import parse_cutoff_us, parse_duration_us, parse_offset_us
from thrum_kernel.cli.render import at
from thrum_kernel.cli.texts.messages import hit_lines, inbox_lines, thread_messages_lines
from thrum_kernel.clock import format_us
from thrum_kernel.errors import ThrumError, UsageError

WAIT_TIMED_OUT = 1
WAIT_FAILED = 2

PageSize = Annotated[int, typer.Option("--page-size", metavar="N", help="Messages a page, at most 100.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", help="The same as --page-size.")]
Page = Annotated[int, typer.Option("--page", metavar="N", help="Which page, from 1.")]
Scope = Annotated[str | None, typer.Option("--scope", metavar="TYPE:VALUE", help="Only with this label.")]


def register(root: Group) -> None:
    """Add these commands."""
    command(root, "inbox", brief=True)(inbox)
    command(root, "wait", error_status=WAIT_FAILED)(wait)
    command(root, "search")(search)


def inbox(
    ctx: typer.Context,
    scope: Scope = None,
    mentions: Annotated[bool, typer.Option("--mentions", help="Only what names you or your role.")] = False,
    unread: Annotated[
        bool, typer.Option("--unread", help="Only unread messages; looks, without marking them.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Also what is not addressed to you.")
    ] = False,
    sender: Annotated[
        str | None, typer.Option("--from", metavar="@AGENT", help="Only from this agent.")
    ] = None,
    chronological: Annotated[
        bool, typer.Option("--chronological", help="Conversations together, in their order.")
    ] = False,
    oldest: Annotated[bool, typer.Option("--oldest", help="Oldest first.")] = False,
    mark: Annotated[bool, typer.Option("--mark", help="Mark as read although you stand elsewhere.")] = False,
    page_size: PageSize = 10,
    limit: Limit = 0,
    page: Page = 1,
) -> None:
    """List your messages, newest first; what is shown to you counts as read."""
    run = run_of(ctx)
    refuse_together(mark=mark, unread=unread)
    pages = paging(page=page, page_size=page_size, limit=limit)
    author = named(sender, flag="--from")
    wanted = {
        "scope": label_given(scope, flag="--scope"),
        "mentions": mentions,
        "unread": unread,
        "author_id": author,
        "chronological": chronological,
        "sort_order": "asc" if oldest else "",
        "mark_shown": not unread,
        "mine": not everything,
    }
    found = run.call("message.list", exclude_self=True, **given(wanted), **pages)
    if mark:
        _mark(run, found)
    flags = {
        "--scope": scope,
        "--mentions": mentions,
        "--unread": unread,
        "--all": everything,
        "--from": at(author),
        "--chronological": chronological,
        "--oldest": oldest,
        "--page-size": (pages["page_size"], 10),
    }
    view = view_of(run)
    show(run, found, inbox_lines(found, view, again=again("thrum inbox", flags), unread_only=unread))


def wait(
    ctx: typer.Context,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="How long, e.g. 30s or 5m.")
    ] = "30s",
    scope: Scope = None,
    mention: Annotated[
        str | None,
        typer.Option("--mention", metavar="@NAME", help="Only what names this agent, role or group."),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            "--after",
            metavar="OFFSET",
            help="-30s: also what came up to 30 s ago; +60s: only what comes later.",
        ),
    ] = None,
    agent_name: Annotated[
        str | None, typer.Option("--agent-name", metavar="NAME", help="Which of the identities here waits.")
    ] = None,
) -> Pending:
    """Block until a message arrives: exit 0 received, 1 timeout, 2 error."""
    run = run_of(ctx)
    params = _wait_params(timeout, scope, mention, after, agent_name)
    return Pending(
        "message.wait",
        params,
        finish=lambda result: _arrived(run, result, timeout),
        failed=_wait_failed,
        resume=lambda waited_s: resumed(params, waited_s),
    )


def search(
    ctx: typer.Context,
    query: Annotated[list[str], typer.Argument(metavar="WORDS...", help='Words, a "phrase", or prefix*.')],
    sender: Annotated[
        str | None, typer.Option("--from", metavar="@AGENT", help="Only from this agent.")
    ] = None,
    scope: Scope = None,
    thread: Annotated[str | None, typer.Option("--thread", metavar="ID", help="Only in this thread.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DURATION|DATE", help="Only newer messages, e.g. 7d.")
    ] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only what you sent or received.")] = False,
    unread: Annotated[bool, typer.Option("--unread", help="Only what waits for you.")] = False,
    mentions: Annotated[bool, typer.Option("--mentions", help="Only what names you or your role.")] = False,
    page_size: PageSize = 10,
    limit: Limit = 0,
    page: Page = 1,
) -> Pending:
    """Search the text of all messages."""
    run = run_of(ctx)
    text = " ".join(query).strip()
    if not text:
        raise UsageError("nothing to search for")
    view = view_of(run)
    pages = paging(page=page, page_size=page_size, limit=limit)
    author = named(sender, flag="--from")
    cutoff = None if since is None else parse_cutoff_us(since, flag="--since", now_us=view.now_us)
    wanted = {
        "from_agent": author,
        "scope": label_given(scope, flag="--scope"),
        "thread_id": filled(thread, flag="--thread"),
        "created_after": format_us(cutoff) if cutoff is not None else "",
        "mine": mine,
        "unread": unread,
        "mentions": mentions,
    }
    params = {"query": text, **given(wanted), **pages}
    flags: dict[str, object] = {"--from": at(author), "--scope": scope}
    flags |= {"--thread": thread, "--since": since}
    flags |= {"--mine": mine, "--unread": unread, "--mentions": mentions}
    flags |= {"--page-size": (pages["page_size"], 10)}
    more = again(f'thrum search "{text}"', flags)

    def finish(found: Any) -> None:
        show(run, found, hit_lines(found, view, query=text, again=more))

    # Right after a start the index is not open yet, and after a rebuild it is being filled.
    return Pending("message.search", params, finish=finish, resume=lambda waited_s: params)


def _mark(run: Run, found: dict[str, Any]) -> None:
    """Mark what is shown, on purpose: whoever only looks over an agent's shoulder marks nothing by itself."""
    unread = [message["message_id"] for message in found["messages"] if not message.get("is_read")]
    if unread:
        run.call("message.markRead", message_ids=unread)


def _wait_params(
    timeout: str, scope: str | None, mention: str | None, after: str | None, agent_name: str | None
) -> dict[str, Any]:
    if after is not None:
        parse_offset_us(after, flag="--after")
    return given(
        {
            "timeout_ms": parse_duration_us(timeout, flag="--timeout") // 1000,
            "scope": label_given(scope, flag="--scope"),
            "mention": named(mention, flag="--mention"),
            "after": (after or "").strip(),
            "caller_agent_id": named(agent_name, flag="--agent-name"),
        }
    )


def resumed(params: dict[str, Any], waited_s: float) -> dict[str, Any]:
    """The parameters of a wait that goes on with another daemon: what is left of its time, from the same moment on."""
    left = {**params, "timeout_ms": max(0, params["timeout_ms"] - round(waited_s * 1000))}
    if "after" in params:
        offset_us = parse_offset_us(params["after"], flag="--after") - round(waited_s * 1_000_000)
        left["after"] = f"{offset_us:+d}us"
    return left


def _arrived(run: Run, result: dict[str, Any], timeout: str) -> int:
    if result["status"] == "timeout":
        run.out.json({"status": "timeout", "messages": [], "action": ""})
        run.out.note(f"NO_MESSAGES_TIMEOUT no message within {timeout}")
        return WAIT_TIMED_OUT
    lines = thread_messages_lines(result["messages"], view_of(run))
    if result.get("action"):
        lines += ["", f"Read more: {result['action']}"]
    show(run, {"messages": [], "action": "", **result}, lines)
    return 0


def _wait_failed(error: ThrumError) -> NoReturn:
    error.exit_code = WAIT_FAILED
    raise error
