"""What a migration tells people."""

from __future__ import annotations

from collections.abc import Sequence

from thrum_kernel.cli.render import columns, counted
from thrum_kernel.migrate.report import Report

SHOWN = 5


def report_lines(report: Report) -> list[str]:
    """The table of counts, and what was not brought over."""
    if not report.sources:
        return ["No messages of an earlier layout were found here."]
    verb = "Would bring over" if report.dry_run else "✓ Brought over"
    head = f"{verb} {counted(report.new, 'record')} from {counted(len(report.sources), 'file')}:"
    return [head, *_table(report), *_aside(report), *_secrets(report), *_after(report)]


def _table(report: Report) -> list[str]:
    heads = ["KIND", "FOUND", "IN LOG BEFORE", "NEW", "PURGED", "KEPT ASIDE", "IN LOG AFTER"]
    rows = [
        [row.kind, *map(str, (row.found, row.before, row.new, row.purged, row.kept, row.after))]
        for row in report.rows
    ]
    return columns([heads, *rows], indent="  ")


def _aside(report: Report) -> list[str]:
    lines = []
    if report.others:
        kinds = ", ".join(f"{kind} {number}" for kind, number in report.others.items())
        lines.append(f"Records that the log has no place for, kept aside: {kinds}")
    if report.damaged:
        lines.append(f"{counted(len(report.damaged), 'damaged record')}, kept aside:")
        lines += [f"  {spot.source}:{spot.line}: {spot.why}" for spot in report.damaged[:SHOWN]]
        if len(report.damaged) > SHOWN:
            lines.append(f"  … and {len(report.damaged) - SHOWN} more")
    if report.kept_in:
        lines.append(f"What is kept aside lies in {report.kept_in}")
    if report.left:
        lines += [
            f"{counted(report.left, 'message')} of other clones are here without recipients only: migrate there, too;",
            "  where such a clone is gone for good: thrum migrate --snapshots",
        ]
    return lines


def _secrets(report: Report) -> list[str]:
    lines = []
    if report.held:
        stay = "would stay" if report.dry_run else "stays" if len(report.held) == 1 else "stay"
        lines += [
            f"{counted(len(report.held), 'record')} that may hold a secret {stay} on this machine: {_listed(report.held)}",
            "  list them with thrum sync held; what is none travels after: thrum sync release NAME",
        ]
    if report.left_before:
        lines += [
            f"{counted(len(report.left_before), 'message')} that may hold a secret cannot be held back, {report.remote}"
            f" has had them for long: {_listed(report.left_before)}",
            "  revoke what is in them; who wrote them can delete them, and thrum purge takes out what is old",
        ]
    return lines


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def _after(report: Report) -> list[str]:
    if report.dry_run:
        return ["", "Dry run — nothing was written."]
    lines = [f"The work tree of the earlier thrum is now {report.moved}"] if report.moved else []
    lines += [f"Saved context taken over: {path}" for path in report.contexts]
    if report.removable:
        lines += ["Nothing of the earlier thrum was removed. When all is well, you may:"]
        lines += [f"  {each}" for each in report.removable]
    return lines
