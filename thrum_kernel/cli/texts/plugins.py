"""Plugins as people read of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MARKS = {True: "✓", False: "✗"}


def plugin_lines(plugins: Sequence[Mapping[str, Any]]) -> list[str]:
    """What ``plugin list`` prints: one line a plugin, and below it what is wrong."""
    if not plugins:
        return ["No plugins installed."]
    width = max(len(plugin["name"]) for plugin in plugins)
    lines = []
    for plugin in plugins:
        capabilities = f"  [{', '.join(plugin['capabilities'])}]" if plugin.get("capabilities") else ""
        lines.append(
            f"{plugin['name']:<{width}}  {plugin['state']:<8}  {_came_with(plugin)}"
            f"  {plugin.get('summary', '')}{capabilities}".rstrip()
        )
        lines += trouble_lines(plugin, indent=4)
    return lines


def trouble_lines(plugin: Mapping[str, Any], *, indent: int) -> list[str]:
    """What is wrong with one plugin."""
    space = " " * indent
    phase = f" ({plugin['phase']})" if plugin.get("phase") else ""
    lines = [f"{space}{plugin['state']}{phase}: {plugin['error']}"] if plugin.get("error") else []
    lines += [f"{space}{subject}: {text}" for subject, text in plugin.get("troubles", {}).items()]
    if plugin.get("dead_letters"):
        lines.append(
            f"{space}{plugin['dead_letters']} event(s) could not be taken: thrum plugin show {plugin['name']}"
        )
    return lines


def detail_lines(plugin: Mapping[str, Any]) -> list[str]:
    """What ``plugin show`` prints."""
    lines = [f"{plugin['name']}: {plugin.get('summary', '')}".rstrip(": ")]
    lines += [f"  {_came_with(plugin)}, {plugin['state']}", *trouble_lines(plugin, indent=2)]
    hooks = [hook["hook"] + (" (off)" if hook.get("off") else "") for hook in plugin.get("hooks", ())]
    settings = [f"{key} = {value}" for key, value in plugin.get("settings", {}).items()]
    for label, values in (
        ("Requires", plugin.get("requires", ())),
        ("May", plugin.get("capabilities", ())),
        ("Hooks", hooks),
        ("Judges", plugin.get("guards", ())),
        ("Methods", plugin.get("methods", ())),
        ("Commands", plugin.get("commands", ())),
        ("Events", plugin.get("events", ())),
        ("Senders", plugin.get("senders", ())),
        ("Services", plugin.get("services", ())),
        ("Tables", plugin.get("tables", ())),
        ("Settings", settings),
    ):
        if values:
            lines.append(f"  {label}:")
            lines += [f"    {value}" for value in values]
    letters = plugin.get("letters", ())
    if letters:
        lines.append(f"  Dead letters (again: thrum plugin retry {plugin['name']}):")
        lines += [f"    {letter['event_id']} {letter['type']}: {letter['error']}" for letter in letters]
    return lines


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """What ``plugin check`` prints of one plugin."""
    lines = [f"{report['name']} ({report['distribution']}): {report['grade']}"]
    for mark in report["marks"]:
        detail = f": {mark['detail']}" if mark.get("detail") else ""
        lines.append(f"  {_MARKS[mark['ok']]} {mark['grade']:<6}  {mark['what']}{detail}")
    return lines


def _came_with(plugin: Mapping[str, Any]) -> str:
    return f"{plugin['distribution']} {plugin.get('version', '')}".rstrip()
