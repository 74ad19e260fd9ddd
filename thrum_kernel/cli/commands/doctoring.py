"""``doctor``: what is wrong here, and the command that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from thrum_kernel import paths
from thrum_kernel.api import Check, Finding
from thrum_kernel.briefing.doctor import Appointment, Diagnosis, Ground, examine
from thrum_kernel.cli import checkups, process
from thrum_kernel.cli.command import Group, Run, command, run_of
from thrum_kernel.cli.commands.view import show
from thrum_kernel.errors import ThrumError
from thrum_kernel.plugins import in_process
from thrum_kernel.plugins.host import PluginHost
from thrum_kernel.settings.document import SettingsFile

ILL = 1
_MARKS = {"ok": "✓", "warning": "!", "error": "✗"}


def register(root: Group) -> None:
    """Add these commands."""
    command(root, "doctor", local=True, offline=True)(doctor)


def doctor(
    ctx: typer.Context,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what is safe to mend, and say what was done.")
    ] = False,
) -> int:
    """Look at everything thrum needs, and name the command that mends what is wrong; works with no daemon."""
    run = run_of(ctx)
    with _ground(run) as (ground, host):
        diagnosis = examine(_appointments(ground, host), fix=fix)
    show(run, _value(diagnosis), _lines(diagnosis))
    return ILL if diagnosis.count("error") else 0


@contextmanager
def _ground(run: Run) -> Iterator[tuple[Ground, PluginHost | None]]:
    """What is looked at, and the plugins of this process; there are none where there is no project."""
    inv = run.inv
    try:
        where = paths.find(inv.cwd, repo=inv.repo or None, env=inv.env)
    except ThrumError as error:
        yield Ground(cwd=inv.cwd, env=inv.env, missing=str(error)), None
        return
    settings = SettingsFile(where.config)
    lenient = {
        **inv.env,
        "THRUM_PLUGINS_STRICT": "",
    }  # a plugin that fails is a finding, never the end of all others
    with in_process.host(where, settings, env=lenient) as host:
        is_up = process.is_answering(where.socket)

        def ask(method: str, **params: Any) -> Any:
            if not is_up:
                return None
            try:
                return run.call(method, **params)
            except ThrumError:
                return None

        yield Ground(cwd=inv.cwd, env=inv.env, paths=where, settings=settings, ask=ask), host


def _appointments(ground: Ground, host: PluginHost | None) -> list[Appointment]:
    from thrum_kernel.briefing import checkups as kernel  # with them come rooms that no other command needs

    found = [Appointment(check, ground) for check in (*kernel.KERNEL, *checkups.CHECKS)]
    if host is None:
        return found
    found.append(Appointment(Check(subject="plugins", look=lambda ctx: checkups.plugins(ctx, host)), ground))
    limit_s = host.hook_timeout_s()
    return found + [Appointment(check, ctx, limit_s, owner=ctx.name) for ctx, check in host.checks]


def _value(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "ok": not diagnosis.count("error"),
        "errors": diagnosis.count("error"),
        "warnings": diagnosis.count("warning"),
        "findings": [_finding(finding) for finding in diagnosis.findings],
        "fixed": diagnosis.fixed,
    }


def _finding(finding: Finding) -> dict[str, str]:
    told = {"subject": finding.subject, "level": finding.level, "text": finding.text}
    return told | ({"remedy": finding.remedy} if finding.remedy else {})


def _lines(diagnosis: Diagnosis) -> list[str]:
    width = max((len(finding.subject) for finding in diagnosis.findings), default=0)
    lines = []
    for finding in diagnosis.findings:
        text = finding.text.replace("\n", f"\n{' ' * (width + 4)}")
        lines.append(f"{_MARKS[finding.level]} {finding.subject:<{width}}  {text}")
        if finding.remedy and finding.level != "ok":
            lines.append(f"{' ' * (width + 4)}→ {finding.remedy}")
    lines += [f"✓ mended: {text}" for text in diagnosis.fixed]
    return [*lines, "", _summary(diagnosis)]


def _summary(diagnosis: Diagnosis) -> str:
    errors, warnings = diagnosis.count("error"), diagnosis.count("warning")
    if not errors and not warnings:
        return "Everything is well."
    parts = [
        f"{count} {what}{'' if count == 1 else 's'}"
        for count, what in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    return ", ".join(parts)
