"""Whether messages of an earlier Thrum wait to be brought over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from thrum_kernel.api import Check, Finding
from thrum_kernel.briefing.doctor import Ground
from thrum_kernel.errors import ThrumError
from thrum_kernel.migrate import places


def earlier(ground: Ground) -> Sequence[Finding]:
    """Told until they are; what is left of the earlier program afterwards does no harm."""
    if ground.paths is None:
        return []
    if places.is_done(ground.paths):
        kept = ground.paths.sync / places.FOLDER
        return [Finding("earlier", "ok", f"messages of an earlier Thrum were brought over; see {kept}")]
    try:
        is_there = places.is_there(ground.paths)
    except (ThrumError, OSError) as error:
        return [Finding("earlier", "warning", f"cannot look for messages of an earlier Thrum: {error}")]
    if is_there:
        text = "messages of an earlier Thrum are here, and not in the log"
        return [Finding("earlier", "warning", text, "thrum migrate --dry-run")]
    return []


CHECKS: Final = (Check(subject="earlier", look=earlier),)
