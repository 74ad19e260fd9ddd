"""``config.show`` and ``config.set``: they need files only, so they also work without a daemon.

Source: spec/features.md §13 (``config show --json``); spec/decisions.md "The command line, everywhere".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from thrum_kernel.api import Call, Finding, Method
from thrum_kernel.errors import UsageError
from thrum_kernel.settings.core import RESTART
from thrum_kernel.settings.document import SettingsFile

_SECRET: Final = re.compile(r"(token|secret|password|auth_?key|api_?key)$", re.IGNORECASE)
_SHOWN: Final = 10
"""Characters of a secret that are shown: enough to tell two apart."""


class ShowParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to show beside the file.

    Attributes:
        env: the caller's environment; its ``THRUM_*`` variables are listed as overrides.
    """

    env: dict[str, str] = {}


class SetParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One key and its new value; text is turned into what the key holds where it can be."""

    key: str
    value: Any


class SetResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was set.

    Attributes:
        value, source: what holds now; the source is not config.json where an override of the daemon ranks above it.
        previous: what held before.
        restart: it holds only from the daemon's next start on.
    """

    key: str
    value: Any
    source: str
    previous: Any = None
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What ``config show`` tells beside the configuration.

    Attributes:
        detected_runtime: what the project looks like; empty when nothing was found.
        status: ``running`` or ``stopped``.
        pid: of the daemon; 0 when it does not run.
        socket: where it listens.
        ws_port: the port it listens on; 0 when it does not.
    """

    detected_runtime: str = ""
    status: str = "stopped"
    pid: int = 0
    socket: str = ""
    ws_port: int = 0


class ConfigMethods:
    """The methods of this room.

    Args:
        settings: the project's configuration.
        surroundings: looked at anew for each ``config.show``.
    """

    def __init__(self, *, settings: SettingsFile, surroundings: Callable[[], Surroundings]) -> None:
        self._settings = settings
        self._surroundings = surroundings

    def methods(self) -> Sequence[Method]:
        return (
            Method(
                name="config.show",
                params=ShowParams,
                result=dict[str, Any],
                handler=self.show,
                summary="What holds, and where each value comes from",
                anonymous=True,
                while_projecting=True,
            ),
            Method(
                name="config.set",
                params=SetParams,
                result=SetResult,
                handler=self.set,
                summary="Change one value of config.json",
                mutates=True,
                anonymous=True,  # who may reach the socket may edit the file: it is the same with no daemon
                transports=frozenset({"unix", "internal"}),
                while_projecting=True,
            ),
        )

    def show(self, _call: Call | None, params: ShowParams) -> dict[str, Any]:
        """Handler of ``config.show``.

        Raises:
            FileDamaged: config.json cannot be read.
        """
        document = self._settings.current()
        around = self._surroundings()
        shown = _masked(document.show())
        runtime = shown.pop("runtime")
        daemon = shown.pop("daemon")
        identity = {key: entry["value"] for key, entry in shown.pop("identity").items() if entry["value"]}
        facts = {"status": around.status, "pid": around.pid, "socket": around.socket}
        if around.ws_port:
            daemon["ws_port"] = {**daemon["ws_port"], "actual": around.ws_port}
        result: dict[str, Any] = {
            "config_file": str(self._settings.path),
            "runtime": _runtime(runtime, around.detected_runtime),
            "daemon": {**daemon, **{key: value for key, value in facts.items() if value}},
            "identity": identity,
            **shown,
            "overrides": _overrides(params.env),
        }
        problems = document.problems()
        if problems:
            result["problems"] = [_problem(finding) for finding in problems]
        return result

    def set(self, _call: Call | None, params: SetParams) -> SetResult:
        """Handler of ``config.set``.

        Raises:
            UsageError: nobody knows the key, or the value does not fit; nothing was changed.
            FileDamaged: config.json cannot be read; nothing was changed.
        """
        if not all(params.key.split(".")):
            raise UsageError(f'invalid key "{params.key}"', hint="keys look like daemon.log_level")
        self._settings.sections.check_key(params.key)
        shown = self._settings.current().show()
        for part in params.key.split("."):
            shown = shown.get(part, {}) if isinstance(shown, dict) else {}
        setting = self._settings.set(params.key, params.value)
        return SetResult(
            key=params.key,
            value=_secret(params.key, setting.value),
            source=setting.source,
            previous=_secret(params.key, shown.get("value")),
            restart=params.key in RESTART,
        )


def _runtime(entries: Mapping[str, Any], detected: str) -> dict[str, Any]:
    primary = dict(entries["primary"])
    value, source = primary["value"], primary["source"]
    if not value and detected:
        value, source = detected, "auto-detected"
    result: dict[str, Any] = {"primary": value, "source": source}
    if detected:
        result["detected"] = detected
    return result


def _overrides(env: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"env_var": name, "value": str(_secret(name, value))}
        for name, value in sorted(env.items())
        if name.startswith("THRUM_") and value
    ]


def _problem(finding: Finding) -> dict[str, str]:
    return {"key": finding.subject, "level": finding.level, "text": finding.text}


def _masked(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        if set(value) >= {"value", "source"}:
            return {**value, "value": _masked(value["value"], key)}
        return {name: _masked(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, key) for inner in value]
    return _secret(key, value)


def _secret(key: str, value: Any) -> Any:
    if not (isinstance(value, str) and value and _SECRET.search(key)):
        return value
    return f"{value[:_SHOWN]}..." if len(value) > 2 * _SHOWN else "..."
