"""How the log travels, as people read it: the state, what a force came to, what a collection saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thrum_kernel.cli.render import View, at, columns, counted, fields, shorten

Entry = Mapping[str, Any]

SHOWN = 3


def sync_lines(found: Entry, view: View) -> list[str]:
    """The state of synchronisation; the first line is the mode."""
    last = view.time(str(found.get("last_sync_at") or ""))
    lines = [
        "Mode: local-only" if found.get("local_only") else "Mode: normal",
        *fields(
            [
                ("State", str(found.get("sync_state") or "")),
                ("Remote", str(found.get("remote") or "")),
                ("Reason", str(found.get("local_only_reason") or found.get("reason") or "")),
                ("Last publish" if found.get("local_only") else "Last sync", last or "never"),
                ("Error", str(found.get("last_error") or "")),
                *(("Problem", str(problem)) for problem in found.get("problems") or ()),
                ("Size", _size(found["usage"]) if "usage" in found else ""),
                ("Retention", _retention(found, view)),
                ("Held back", _held_back(found.get("held") or ())),
                *(("Held back", str(sentence)) for sentence in found.get("held_back") or ()),
                *(("Warning", str(sentence)) for sentence in found.get("warnings") or ()),
            ]
        ),
    ]
    others: Sequence[Entry] = [each for each in found.get("daemons") or () if not each.get("is_local")]
    if others:
        lines += ["Newest line of:", *columns([_lag(each, view) for each in others], indent="  ")]
    return lines


def held_lines(found: Entry, view: View) -> list[str]:
    """What is held back, each with the patterns it matched and what stands in front of the secret."""
    held: Sequence[Entry] = found["held"]
    if not held:
        return ["Nothing is held back."]
    rows = [
        [
            str(each["name"]),
            at(str(each["agent_id"])) if each.get("agent_id") else "",
            view.time(str(each["created_at"])),
            str(each["type"]),
            ", ".join(each["patterns"]),
            shorten(str(each.get("excerpt") or ""), 60),
        ]
        for each in held
    ]
    told = f"{counted(len(held), 'event')} {'stays' if len(held) == 1 else 'stay'} on this machine; to let one travel: thrum sync release NAME"
    return [*columns(rows), told]


def released_lines(done: Entry) -> list[str]:
    """What `sync release` let go."""
    lines = [f"✓ Released: {name}" for name in done.get("names") or done["released"]]
    lines += [f"Released before: {name}" for name in done["already"]]
    return lines or ["Nothing is held back."]


def forced_line(done: Entry) -> str:
    """What `sync force` came to."""
    parts = [
        f"{counted(done['published'], 'event')} published on this machine" if done.get("published") else "",
        f"{counted(done['received'], 'event')} received" if done.get("received") else "",
        "pushed" if done.get("pushed") else "",
    ]
    said = "✓ Sync triggered" if done.get("triggered") else "Nothing to sync with"
    if done.get("failed"):
        said = "Sync failed"
    if done.get("going_on"):
        said = "Sync goes on, for the remote takes long"
    told = ", ".join(part for part in parts if part)
    end = "; how it ends: thrum sync status" if done.get("going_on") else ""
    return f"{said} ({told}){end}" if told else f"{said}{end}"


def collected_lines(done: Entry, forget_lost: bool = False) -> list[str]:
    """What `sync gc` came to, before and after, and which files are lost."""
    before, after = done["before"], done["after"]
    parts = ("published", "repository", "journal")
    rows = [[part, _part(before[part]), "" if done["dry_run"] else _part(after[part])] for part in parts]
    rows.append(["commits", str(before["commits"]), "" if done["dry_run"] else str(after["commits"])])
    heading = ["", "now", ""] if done["dry_run"] else ["", "before", "after"]
    return [
        _collected(done),
        *columns([heading, *rows], indent="  "),
        *_kept(done),
        *_lost(done, forget_lost),
    ]


def _collected(done: Entry) -> str:
    rolled = counted(done.get("rolled_up", 0), "publish", "publishes")
    if done["dry_run"]:
        commits = done["before"]["commits"]
        is_due = commits > 1 and not done.get("reason")
        anew = f", and the history of {counted(commits, 'commit')} would begin anew" if is_due else ""
        waiting = (
            f"{counted(done['published'], 'event')} would be published, " if done.get("published") else ""
        )
        return f"Nothing was changed; {waiting}{rolled} would become part of larger files{anew}"
    saved = done["before"]["bytes"] - done["after"]["bytes"]
    told = [f"{_bytes(saved)} saved" if saved > 0 else "nothing to save"]
    told += [f"{rolled} rolled up"] if done.get("rolled_up") else []
    told += ["the history began anew"] if done.get("rerooted") else []
    return f"✓ {', '.join(told)}"


def _kept(done: Entry) -> list[str]:
    if done.get("local_only"):
        return [f"No remote part: {done.get('reason', '')}"]
    return [f"History kept: {done['reason']}"] if done.get("reason") else []


def _lost(done: Entry, forget_lost: bool) -> list[str]:
    lost: Sequence[Entry] = done.get("lost") or ()
    if not lost:
        return []
    files = counted(len(lost), "published file")
    is_over = forget_lost and not done["dry_run"]
    head = f"Given up: {files}, of which no copy is left here or on the remote:"
    if not is_over:
        head = f"Missed: {files}; if no clone has them any more: thrum sync gc --forget-lost"
    rows = [[str(each["path"]), counted(each["events"], "event") if each["events"] else ""] for each in lost]
    return [head, *columns(rows, indent="  ")]


def _size(usage: Entry) -> str:
    parts = ", ".join(f"{part} {_part(usage[part])}" for part in ("published", "repository", "journal"))
    commits = f", {counted(usage['commits'], 'commit')}" if usage.get("commits") else ""
    return f"{_bytes(usage['bytes'])} ({parts}{commits})"


def _part(part: Entry) -> str:
    return f"{_bytes(part['bytes'])} in {counted(part['files'], 'file')}"


def _bytes(size: int) -> str:
    if size < 10_000:
        return f"{size} B"
    return f"{size / 1024:.0f} KiB" if size < 10 << 20 else f"{size / (1 << 20):.1f} MiB"


def _retention(found: Entry, view: View) -> str:
    days = found.get("retention_days") or 0
    purged = f"purged before {view.time(found['purged_before'])}" if found.get("purged_before") else ""
    kept = f"messages stay {counted(days, 'day')}" if days else ""
    return ", ".join(text for text in (kept, purged) if text)


def _lag(each: Entry, view: View) -> list[str]:
    return [str(each["name"]), view.time(str(each["newest"]))]


def _held_back(names: Sequence[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return f"{counted(len(names), 'event')} ({listed}): thrum sync held"
