"""The projectors of all plugins as the projection wants them: one rule an event type.

A rule that fails costs its plugin that row: what it wrote for the event is undone, the event and everybody else's
rows stay.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from thrum_kernel.api import Projector
from thrum_kernel.events import EventTypes
from thrum_kernel.plugins.confined import Owns, OwnTables, Permits
from thrum_kernel.plugins.hooks import told
from thrum_kernel.plugins.record import LoadFailed, Plugin

_log = logging.getLogger(__name__)

Rules = dict[type[Any], Callable[[sqlite3.Connection, Any], object]]
"""By payload type; `projection.apply.Projector.projectors`."""


@dataclass(slots=True, eq=False)
class _Rule:
    plugin: Plugin
    owns: Owns
    projector: Projector
    failures: int = 0


class PluginProjectors:
    """Keeps the table of rules that the projection runs.

    Args:
        rules: that table, changed in place.
        types: what events there are.
        has_signals: see `Watchdog.has_signals`.
    """

    def __init__(
        self, rules: Rules, types: EventTypes, *, has_signals: Callable[[], bool] = lambda: False
    ) -> None:
        self._rules = rules
        self._has_signals = has_signals
        self._types = types
        self._of_type: defaultdict[type[Any], list[_Rule]] = defaultdict(list)
        self._permits = Permits(())

    def permit(self, schema: Iterable[str]) -> None:
        """Judge statements by these tables from now on."""
        self._permits.close()
        self._permits = Permits(schema)

    def add(self, plugin: Plugin, owns: Owns, projector: Projector) -> Callable[[], None]:
        """Run *projector*, too; the result takes it back.

        Raises:
            LoadFailed: nobody knows its event type.
        """
        if projector.event_type not in self._types:
            raise LoadFailed(f"projector of an unknown event type {projector.event_type}")
        payload = self._types[projector.event_type].payload
        rule = _Rule(plugin, owns, projector)
        self._of_type[payload].append(rule)
        self._rules[payload] = lambda db, event: self._run(payload, db, event)

        def remove() -> None:
            self._of_type[payload].remove(rule)
            if not self._of_type[payload]:
                self._rules.pop(payload, None)

        return remove

    def _run(self, payload: type[Any], db: sqlite3.Connection, event: Any) -> None:
        for rule in tuple(self._of_type[payload]):
            db.execute("SAVEPOINT projector")
            try:
                connection: Any = OwnTables(db, rule.owns, self._permits)
                rule.projector.apply(connection, event)
            except Exception as error:  # noqa: BLE001 - isolates the projection from a plugin
                db.execute("ROLLBACK TO projector")
                self._note(rule, event, told(error))
            except BaseException as error:
                db.execute("ROLLBACK TO projector")
                if isinstance(error, KeyboardInterrupt) and not self._has_signals():
                    raise
                self._note(rule, event, f"it raised {type(error).__name__}")
            finally:
                db.execute("RELEASE projector")

    def _note(self, rule: _Rule, event: Any, why: str) -> None:
        rule.failures += 1
        subject = f"projector of {rule.projector.event_type}"
        rule.plugin.troubles[subject] = (
            f"{rule.failures} event(s) are missing in its tables, last {event.event_id}: {why};"
            f" when mended: thrum plugin rebuild {rule.plugin.name}"
        )
        level = logging.ERROR if rule.failures == 1 else logging.DEBUG
        _log.log(level, "plugin %s: %s failed on %s: %s", rule.plugin.label, subject, event.event_id, why)

    def forget_failures(self) -> None:
        """The cache is made anew: what was missing is tried again."""
        for rules in self._of_type.values():
            for rule in rules:
                rule.failures = 0
                rule.plugin.troubles.pop(f"projector of {rule.projector.event_type}", None)
