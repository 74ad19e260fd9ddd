"""``thread create|list|show`` and the subscriptions of a session."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from thrum_kernel.cli.arguments import check_argument, given, label_given, named, names, paging
from thrum_kernel.cli.command import Group, command, group, refuse_together, run_of
from thrum_kernel.cli.commands.reading import Limit, Page, PageSize, Scope
from thrum_kernel.cli.commands.view import again, show, view_of
from thrum_kernel.cli.render import View, at, columns, counted, one_line
from thrum_kernel.cli.texts.messages import page_line, preview_rows, thread_messages_lines
from thrum_kernel.errors import NotFound, UsageError

ThreadId = Annotated[str, typer.Argument(metavar="THREAD_ID", help="The thread's id.")]


def register(root: Group) -> None:
    """Add these commands."""
    threads = group(root, "thread", help="Named conversations")
    command(threads, "create")(create)
    command(threads, "list")(list_threads)
    command(threads, "show")(show_thread)
    command(root, "subscribe")(subscribe)
    command(root, "unsubscribe")(unsubscribe)
    command(root, "subscriptions")(subscriptions)


def create(
    ctx: typer.Context,
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What it is about.")],
    message: Annotated[str | None, typer.Option("--message", metavar="TEXT", help="A first message.")] = None,
    to: Annotated[
        list[str] | None, typer.Option("--to", metavar="@AGENT", help="Its recipients; repeatable.")
    ] = None,
) -> None:
    """Begin a thread, with a first message if you like."""
    run = run_of(ctx)
    if to and message is None:
        raise UsageError("--to needs --message: a thread without a message reaches nobody")
    params: dict[str, Any] = {"title": check_argument(title)}
    if message is not None:
        params |= given({"message": check_argument(message), "to": names(to)})
    made = run.call("thread.create", **params)
    lines = [f"✓ Thread created: {made['thread_id']}"]
    if made.get("message_id"):
        lines.append(f"✓ Message sent: {made['message_id']}")
    show(run, made, lines)


def list_threads(
    ctx: typer.Context,
    scope: Scope = None,
    page_size: PageSize = 10,
    limit: Limit = 0,
    page: Page = 1,
) -> None:
    """List threads, the liveliest first."""
    run = run_of(ctx)
    pages = paging(page=page, page_size=page_size, limit=limit)
    wanted = {"scope": label_given(scope, flag="--scope")}
    found = run.call("thread.list", **given(wanted), **pages)
    more = again("thrum thread list", {"--scope": scope, "--page-size": (pages["page_size"], 10)})
    lines = preview_rows(found["threads"], view_of(run)) or ["No threads."]
    if found["threads"]:
        lines += ["", page_line(found, again=more, noun="thread")]
    show(run, found, lines)


def show_thread(
    ctx: typer.Context, thread_id: ThreadId, page_size: PageSize = 50, limit: Limit = 0, page: Page = 1
) -> None:
    """Show a thread with its messages, oldest first."""
    run = run_of(ctx)
    pages = paging(page=page, page_size=page_size, limit=limit)
    found = run.call("thread.get", thread_id=thread_id, **pages)
    more = again(f"thrum thread show {thread_id}", {"--page-size": (pages["page_size"], 50)})
    show(run, found, _thread_lines(found, view_of(run), more))


def subscribe(
    ctx: typer.Context,
    scope: Annotated[
        str | None, typer.Option("--scope", metavar="TYPE:VALUE", help="Messages with this label.")
    ] = None,
    mention: Annotated[
        str | None,
        typer.Option("--mention", metavar="@NAME", help="Messages that name this agent, role or group."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every message.")] = False,
) -> None:
    """Have messages pushed to this session."""
    run = run_of(ctx)
    refuse_together(scope=scope, mention=mention, all=everything)
    if scope is None and mention is None and not everything:
        raise UsageError("what to subscribe to is missing: give --scope, --mention or --all")
    wanted = {
        "scope": label_given(scope, flag="--scope"),
        "mention": named(mention, flag="--mention"),
        "all": everything,
    }
    made = run.call("subscribe", **given(wanted))
    show(run, made, [f"✓ Subscribed: {made['subscription_id']}"])


def unsubscribe(
    ctx: typer.Context,
    subscription_id: Annotated[
        str, typer.Argument(metavar="SUBSCRIPTION_ID", help="As `thrum subscriptions` lists it.")
    ],
) -> None:
    """End a subscription."""
    run = run_of(ctx)
    wanted: int | str = int(subscription_id) if subscription_id.isdecimal() else subscription_id
    gone = run.call("unsubscribe", subscription_id=wanted)
    if not gone.get("removed", True):
        raise NotFound("subscription", subscription_id, hint="thrum subscriptions lists yours")
    show(run, gone, [f"✓ Unsubscribed: {subscription_id}"])


def subscriptions(ctx: typer.Context) -> None:
    """List the subscriptions of this session."""
    run = run_of(ctx)
    found = run.call("subscriptions.list")
    rows = [(str(entry["subscription_id"]), _subject(entry)) for entry in found["subscriptions"]]
    show(run, found, columns(rows) or ["No subscriptions: what is addressed to you is pushed."])


def _thread_lines(found: dict[str, Any], view: View, more: str) -> list[str]:
    thread = found["thread"]
    started = f"begun by {at(str(thread['created_by']))} {view.time(str(thread['created_at']))}"
    count = counted(thread.get("message_count", len(found["messages"])), "message")
    title = one_line(str(thread.get("title") or "(untitled)"))
    lines = [f"{thread['thread_id']}  {title}", f"  {started}, {count}", ""]
    lines += thread_messages_lines(found["messages"], view)
    if found.get("total_pages", 1) > 1:
        lines += ["", page_line(found, again=more)]
    return lines


def _subject(entry: dict[str, Any]) -> str:
    if entry.get("scope"):
        return f"scope {entry['scope']['type']}:{entry['scope']['value']}"
    return f"mention {at(str(entry['mention']))}" if entry.get("mention") else "all messages"
