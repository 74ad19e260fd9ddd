"""Who was told of which message by a hook, so that nobody is told of the same mail after every step.

In memory: after a restart of the daemon an agent is told once more, which does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

AGAIN_S = 15 * 60.0
"""Seconds after which an agent is told of a message again that it has not read."""

STOP = "Stop"


class Told:
    """What agents were told of, and when, by a clock that never goes back."""

    def __init__(self) -> None:
        self._at: dict[str, dict[tuple[str, bool], float]] = {}

    def due(
        self, agent: str, message_ids: Sequence[str], event: str, *, now_s: float, is_continued: bool
    ) -> list[str]:
        """Those of *message_ids*, all that is unread, that *agent* is to be told of now.

        An agent that is about to stop is told of each message once for that, even if it was told while it worked;
        one that was kept from stopping already, only of what it never heard of.
        """
        at = self._at.setdefault(agent, {})
        unread = set(message_ids)
        for key in [key for key in at if key[0] not in unread]:
            del at[key]
        stopping = event == STOP
        return [
            each
            for each in message_ids
            if self._is_due(at, each, stopping, now_s) and not (is_continued and self._heard(at, each))
        ]

    def note(self, agent: str, message_ids: Iterable[str], event: str, *, now_s: float) -> None:
        """*agent* was told."""
        at = self._at.setdefault(agent, {})
        for each in message_ids:
            at[each, event == STOP] = now_s

    @staticmethod
    def _is_due(at: dict[tuple[str, bool], float], message_id: str, stopping: bool, now_s: float) -> bool:
        known = (
            [at.get((message_id, True))]
            if stopping
            else [at.get((message_id, False)), at.get((message_id, True))]
        )
        last = max((each for each in known if each is not None), default=None)
        return last is None or now_s - last >= AGAIN_S

    @staticmethod
    def _heard(at: dict[tuple[str, bool], float], message_id: str) -> bool:
        return (message_id, True) in at or (message_id, False) in at
