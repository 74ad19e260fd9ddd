"""The effective configuration as people read it: sections with aligned entries, each with where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thrum_kernel.cli.render import text_of

_LABEL_WIDTH = 12
_NAMES = {"ws_port": "WS port", "pid": "PID", "repo_id": "Repo id", "daemon_id": "Daemon id"}


def config_lines(shown: Mapping[str, Any]) -> list[str]:
    """All of ``config show``; the first line and the section headings are what scripts look for."""
    lines = ["Thrum Configuration", "", f"File: {shown['config_file']}"]
    for section, entries in shown.items():
        if section in ("config_file", "overrides", "problems"):
            continue
        lines += ["", _title(section), *_section(section, entries)]
    return lines + _overrides(shown) + _problems(shown)


def _section(section: str, entries: Any) -> list[str]:
    if not isinstance(entries, Mapping):
        return [_entry(section, text_of(entries))]
    if "value" in entries:
        return _lines("value", entries)
    if section == "runtime":
        return _runtime(entries)
    return [line for key, value in entries.items() for line in _lines(key, value)] or ["  (nothing set)"]


def _runtime(entries: Mapping[str, Any]) -> list[str]:
    told: Any = entries.get("primary")
    primary, source = (
        (told["value"], told.get("source")) if isinstance(told, dict) else (told, entries.get("source"))
    )
    lines = [_entry("primary", f"{text_of(primary) or 'none'} ({source or 'default'})")]
    detected = entries.get("detected")
    if detected:
        lines.append(
            _entry("detected", text_of(detected) if not isinstance(detected, list) else ", ".join(detected))
        )
    return lines


def _lines(key: str, value: Any) -> list[str]:
    if isinstance(value, Mapping) and "value" in value:
        source = f" ({value['source']})" if value.get("source") else ""
        actual = f", now {value['actual']}" if value.get("actual") else ""
        return [_entry(key, f"{_plain(value['value'])}{source}{actual}")]
    if isinstance(value, Mapping):
        return [line for name, inner in value.items() for line in _lines(f"{key}.{name}", inner)]
    return [_entry(key, _plain(value))]


def _overrides(shown: Mapping[str, Any]) -> list[str]:
    overrides = shown.get("overrides") or []
    if not overrides:
        return []
    return ["", "Overrides", *(_entry(str(each["env_var"]), str(each["value"])) for each in overrides)]


def _problems(shown: Mapping[str, Any]) -> list[str]:
    problems = shown.get("problems") or []
    if not problems:
        return []
    return ["", "Problems", *(f"  {each['level']}: {each['key']}: {each['text']}" for each in problems)]


def _entry(key: str, value: str) -> str:
    return f"  {_label(key) + ':':<{_LABEL_WIDTH}} {value}".rstrip()


def _label(key: str) -> str:
    if "." in key or key.isupper():
        return key
    return _NAMES.get(key) or key.replace("_", " ").capitalize()


def _title(section: str) -> str:
    return section.replace("_", " ").capitalize()


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_plain(inner)}" for key, inner in value.items()) or "none"
    return text_of(value) if value not in (None, "") else "none"
