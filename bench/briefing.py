"""What `prime` costs beside `whoami` in a repository with 10,000 messages, the daemon up, every plugin installed here.

Whole processes of the script that is installed beside this Python, in turns; the figure is a ratio of medians.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable

from bench.figure import Effort, Figure
from bench.ground import Ground
from thrum_kernel.testing.harness import launcher

MESSAGES = 10_000


def figures(effort: Effort) -> Iterable[Figure]:
    """One ratio."""
    wanted = effort.count(MESSAGES, 500)
    with Ground(effort.room("repository"), agents=2) as ground:
        held = 0
        while held < wanted:  # the sender takes a time, not a number
            held += ground.run(1, "sender", ground.socket, 8, 0.5, "@agent0")["sent"]
        thrum = str(launcher())
        programs = {"prime": [thrum, "prime"], "whoami": [thrum, "whoami"]}
        times = ground.run(0, "stopwatch", effort.count(200, 10), stdin=json.dumps(programs))
    prime, whoami = (statistics.median(times[name]) for name in ("prime", "whoami"))
    yield Figure(
        name=f"`prime` with {held:,} messages, against `whoami`",
        measured=prime / whoami,
        target=2,
        numbers=f"{prime:.1f} ms against {whoami:.1f} ms; fastest {min(times['prime']):.1f} ms against"
        f" {min(times['whoami']):.1f} ms",
    )
