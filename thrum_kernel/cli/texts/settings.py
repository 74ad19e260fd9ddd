"""The effective configuration as people read it: sections with aligned entries, each with where it comes from.

A value that ``config set`` changes is shown under the key that it takes; what only is so has a label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thrum_kernel.cli.render import text_of

_LABEL_WIDTH = 12
_NAMES = {"pid": "PID", "repo_id": "Repo id", "daemon_id": "Daemon id"}


Pair = tuple[str, str]


def config_lines(shown: Mapping[str, Any]) -> list[str]:
    """All of ``config show``; the first line and the section headings are what scripts look for."""
    lines = ["Thrum Configuration", "", f"File: {shown['config_file']}"]
    for section, entries in shown.items():
        if section not in ("config_file", "overrides", "problems"):
            pairs = _pairs(section, entries)
            lines += ["", _title(section), *(_aligned(pairs) or ["  (nothing set)"])]
    overrides = [(str(each["env_var"]), str(each["value"])) for each in shown.get("overrides") or ()]
    if overrides:
        lines += ["", "Overrides", *_aligned(overrides)]
    return lines + _problems(shown)


def _pairs(section: str, entries: Any) -> list[Pair]:
    if not isinstance(entries, Mapping):
        return [(_label(section), text_of(entries))]
    if "value" in entries:
        return _settings(section, entries)
    if section == "runtime":
        return _runtime(entries)
    return [
        pair
        for key, value in entries.items()
        for pair in (
            _settings(f"{section}.{key}", value)
            if isinstance(value, Mapping)
            else [(_label(key), _plain(value))]
        )
    ]


def _runtime(entries: Mapping[str, Any]) -> list[Pair]:
    primary = f"{text_of(entries.get('primary')) or 'none'} ({entries.get('source') or 'default'})"
    detected = text_of(entries.get("detected"))
    return [("Primary", primary)] + ([("Detected", detected)] if detected else [])


def _settings(key: str, value: Any) -> list[Pair]:
    """A key with its value and source; of a section inside a section each key."""
    if isinstance(value, Mapping) and "value" in value:
        source = f" ({value['source']})" if value.get("source") else ""
        actual = f", now {value['actual']}" if value.get("actual") else ""
        return [(key, f"{_plain(value['value'])}{source}{actual}")]
    if isinstance(value, Mapping):
        return [pair for name, inner in value.items() for pair in _settings(f"{key}.{name}", inner)]
    return [(key, _plain(value))]


def _aligned(pairs: Sequence[Pair]) -> list[str]:
    width = max([_LABEL_WIDTH, *(len(label) + 1 for label, _ in pairs)])
    return [f"  {label + ':':<{width}} {value}".rstrip() for label, value in pairs]


def _problems(shown: Mapping[str, Any]) -> list[str]:
    problems = shown.get("problems") or []
    if not problems:
        return []
    return ["", "Problems", *(f"  {each['level']}: {each['key']}: {each['text']}" for each in problems)]


def _label(key: str) -> str:
    return _NAMES.get(key) or key.replace("_", " ").capitalize()


def _title(section: str) -> str:
    return section.replace("_", " ").capitalize()


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_plain(inner)}" for key, inner in value.items()) or "none"
    return text_of(value) if value not in (None, "") else "none"
