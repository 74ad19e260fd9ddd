"""``send``, ``reply``, ``sent`` and ``message get|edit|delete|read``: what one does with one's own words and single
messages.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from thrum_kernel.cli.arguments import (
    FORMATS,
    PRIORITIES,
    check_choice,
    filled,
    given,
    labels,
    named,
    names,
    paging,
)
from thrum_kernel.cli.command import Group, Pending, Run, command, group, refuse_together, run_of
from thrum_kernel.cli.commands.bodies import body_of, structured_of
from thrum_kernel.cli.commands.view import again, show, view_of
from thrum_kernel.cli.render import at, counted
from thrum_kernel.cli.texts.messages import message_lines, sent_confirmation, sent_lines
from thrum_kernel.errors import UsageError

Stdin = Annotated[bool, typer.Option("--stdin", help="Read the text from standard input.")]
BodyFile = Annotated[
    str | None, typer.Option("--body-file", metavar="FILE", help="Read the text from a file.")
]
Format = Annotated[str, typer.Option("--format", metavar="FORMAT", help="markdown, plain or json.")]
Priority = Annotated[str, typer.Option("--priority", metavar="LEVEL", help="low, normal or high.")]
MessageId = Annotated[str, typer.Argument(metavar="MSG_ID", help="The message's id.")]


def register(root: Group) -> None:
    """Add these commands."""
    command(root, "send", brief=True)(send)
    command(root, "reply", brief=True)(reply)
    command(root, "sent", brief=True)(sent)
    messages = group(root, "message", help="Read, change and mark single messages")
    command(messages, "get", brief=True)(get)
    command(messages, "edit", brief=True)(edit)
    command(messages, "delete", brief=True)(delete)
    command(messages, "read", brief=True)(read)


def send(
    ctx: typer.Context,
    message: Annotated[
        str | None, typer.Argument(metavar="[MESSAGE | -]", help="The text; - reads standard input.")
    ] = None,
    to: Annotated[
        list[str] | None, typer.Option("--to", metavar="@AGENT", help="Recipient, or @everyone; repeatable.")
    ] = None,
    broadcast: Annotated[bool, typer.Option("--broadcast", help="Send to everyone.")] = False,
    mention: Annotated[
        list[str] | None, typer.Option("--mention", metavar="@NAME", help="Agent, role or group; repeatable.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", metavar="TYPE:VALUE", help="Label it; repeatable.")
    ] = None,
    ref: Annotated[
        list[str] | None, typer.Option("--ref", metavar="TYPE:VALUE", help="Refer to something; repeatable.")
    ] = None,
    thread: Annotated[
        str | None, typer.Option("--thread", metavar="ID", help="Put it into this thread.")
    ] = None,
    priority: Priority = "normal",
    format: Format = "markdown",
    structured: Annotated[
        str | None, typer.Option("--structured", metavar="JSON", help="A JSON object to go with it.")
    ] = None,
    stdin: Stdin = False,
    body_file: BodyFile = None,
) -> None:
    """Send a message: to agents, to a role or group, or to everyone."""
    run = run_of(ctx)
    refuse_together(to=to, broadcast=broadcast)
    check_choice("--format", format, FORMATS)
    check_choice("--priority", priority, PRIORITIES)
    params: dict[str, Any] = {
        "format": format,
        "priority": priority,
        "to": ["everyone"] if broadcast else names(to),
        "mentions": names(mention),
        "scopes": labels(scope, flag="--scope"),
        "refs": labels(ref, flag="--ref"),
        "thread_id": filled(thread, flag="--thread"),
        "structured": structured_of(structured),
    }
    content = body_of(run, message, stdin=stdin, body_file=body_file, argument="MESSAGE")
    _send(run, {"content": content, **given(params)}, is_reply=False)


def reply(
    ctx: typer.Context,
    message_id: MessageId,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT | -]", help="The text; - reads standard input.")
    ] = None,
    priority: Priority = "normal",
    format: Format = "markdown",
    structured: Annotated[
        str | None, typer.Option("--structured", metavar="JSON", help="A JSON object to go with it.")
    ] = None,
    stdin: Stdin = False,
    body_file: BodyFile = None,
) -> None:
    """Reply to a message: to its author and everybody it was addressed to."""
    run = run_of(ctx)
    check_choice("--format", format, FORMATS)
    check_choice("--priority", priority, PRIORITIES)
    extra = given({"format": format, "priority": priority, "structured": structured_of(structured)})
    content = body_of(run, text, stdin=stdin, body_file=body_file, argument="TEXT")
    _send(run, {"content": content, "reply_to": message_id, **extra}, is_reply=True)


def sent(
    ctx: typer.Context,
    to: Annotated[
        str | None, typer.Option("--to", metavar="@NAME", help="Only to this agent or group, or @everyone.")
    ] = None,
    unread: Annotated[bool, typer.Option("--unread", help="Only what somebody has not read yet.")] = False,
    page_size: Annotated[int, typer.Option("--page-size", metavar="N", help="Messages a page.")] = 10,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="The same as --page-size.")] = 0,
    page: Annotated[int, typer.Option("--page", metavar="N", help="Which page, from 1.")] = 1,
) -> None:
    """List what you sent, and how far it has come with each recipient."""
    run = run_of(ctx)
    recipient = named(to, flag="--to")
    params = given({"to": recipient, "unread": unread}) | paging(page=page, page_size=page_size, limit=limit)
    found = run.call("message.outbox", **params)
    more = again(
        "thrum sent",
        {"--to": at(recipient), "--unread": unread, "--page-size": (params["page_size"], 10)},
    )
    show(run, found, sent_lines(found, view_of(run), again=more, unread_only=unread))


def get(ctx: typer.Context, message_id: MessageId) -> None:
    """Show one message with everything about it; it then counts as read."""
    run = run_of(ctx)
    found = run.call("message.get", message_id=message_id, mark_shown=True)
    show(run, found, message_lines(found["message"], view_of(run)))


def edit(
    ctx: typer.Context,
    message_id: MessageId,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT | -]", help="The new text; - reads standard input.")
    ] = None,
    structured: Annotated[
        str | None, typer.Option("--structured", metavar="JSON", help="New JSON object.")
    ] = None,
    stdin: Stdin = False,
    body_file: BodyFile = None,
) -> None:
    """Replace the text of a message you wrote."""
    run = run_of(ctx)
    params: dict[str, Any] = {"message_id": message_id} | given({"structured": structured_of(structured)})
    if text is not None or stdin or body_file is not None or structured is None:
        params["content"] = body_of(run, text, stdin=stdin, body_file=body_file, argument="TEXT")
    changed = run.call("message.edit", **params)
    _warn_of_held(run, changed)
    show(run, changed, [f"✓ Message edited: {changed['message_id']} (version {changed['version']})"])


def delete(
    ctx: typer.Context,
    message_id: MessageId,
    force: Annotated[bool, typer.Option("--force", help="Really delete it.")] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept with the tombstone.")
    ] = None,
) -> Pending:
    """Delete the text of a message you wrote, for everybody and for good."""
    run = run_of(ctx)
    if not force:
        raise UsageError(
            "deleting a message cannot be undone: --force is required",
            hint=f"thrum message delete {message_id} --force",
        )

    def finish(gone: Any) -> None:
        show(run, gone, [f"✓ Message deleted: {gone['message_id']}"])

    # It returns when no file here holds the text any more, which takes a while where the log is long.
    return Pending("message.delete", {"message_id": message_id, **given({"reason": reason})}, finish)


def read(
    ctx: typer.Context,
    message_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[MSG_ID]...", help="What you have read.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that is unread.")] = False,
) -> None:
    """Mark messages as read."""
    run = run_of(ctx)
    if everything and message_ids:
        raise UsageError("MSG_ID and --all are mutually exclusive")
    if not everything and not message_ids:
        raise UsageError("nothing to mark: give MSG_ID … or --all")
    for message_id in message_ids or ():
        run.call(
            "message.get", message_id=message_id
        )  # one that does not exist is told, and nothing is marked
    params: dict[str, Any] = {"all": True} if everything else {"message_ids": message_ids}
    marked = run.call("message.markRead", **params)
    show(run, marked, _marked_lines(marked))


def _send(run: Run, params: dict[str, Any], *, is_reply: bool) -> None:
    result = run.call("message.send", **params)
    for warning in result.get("warnings") or ():
        run.out.note(f"Warning: {warning}")
    _warn_of_held(run, result)
    lines = sent_confirmation(result, view_of(run), is_reply=is_reply)
    show(run, result, lines[:1] if run.inv.quiet else lines)


def _warn_of_held(run: Run, result: dict[str, Any]) -> None:
    """Tell a sender at once what does not reach other machines."""
    held = result.get("held")
    if held:
        run.out.warn(
            f"sync.held-back: this looks like a secret ({', '.join(held['patterns'])}) and stays on this machine;"
            f" if it is none: {held['release']}"
        )


def _marked_lines(marked: dict[str, Any]) -> list[str]:
    count = marked["marked_count"]
    if not count:
        return ["No unread messages."]
    lines = [f"✓ Marked {counted(count, 'message')} as read"]
    if marked.get("skipped_count"):
        lines.append(f"  {counted(marked['skipped_count'], 'newer message')} left unread")
    if marked.get("markable_remaining"):
        lines.append(f"  {marked['markable_remaining']} still unread")
    return lines
