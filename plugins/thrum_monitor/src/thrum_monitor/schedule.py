"""Five-field cron, as Debian's cron understands it, in this machine's own time.

cronsim computes the moments, with the semantics of that cron: of *day of month* and *day of week* one is enough where
both are restricted; a fixed time that daylight saving skips comes up right after the gap, one that it repeats comes up
once, and ``*`` in minute or hour goes by what really passes.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_FIELDS: Final = 5
_LOCAL: Final = Path("/etc/localtime")


class BadSchedule(ValueError):
    """A cron line that is none; the text says why."""


class Schedule:
    """A cron line.

    Raises:
        BadSchedule: it is none, or never comes up.
    """

    def __init__(self, text: str, *, zone: tzinfo) -> None:
        self.text = " ".join(text.split())
        self._zone = zone
        fields = self.text.split()
        if len(fields) != _FIELDS:
            count = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
            raise BadSchedule(f"it has {count}, not {_FIELDS}: minute hour day-of-month month day-of-week")
        try:
            self.after(0)
        except CronSimError as error:
            reason = str(error)
            raise BadSchedule(reason[:1].lower() + reason[1:]) from None
        except StopIteration:
            raise BadSchedule("it never comes up") from None

    def after(self, now_us: int) -> int:
        """The first moment after *now_us*; microseconds since 1970."""
        now = datetime.fromtimestamp(now_us // 1_000_000, self._zone)
        for moment in CronSim(self.text, now):
            at_us = int(moment.timestamp()) * 1_000_000
            if at_us > now_us:
                return at_us
        raise StopIteration


def local_zone() -> tzinfo:
    """The time zone of this machine, with its daylight saving: ``TZ``, else /etc/localtime, else UTC."""
    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name:
            return ZoneInfo(name)
        with _LOCAL.open("rb") as file:
            return ZoneInfo.from_file(file, key="local")
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return UTC
