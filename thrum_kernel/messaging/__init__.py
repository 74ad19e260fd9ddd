"""Messages between agents: sending, reading, waiting, searching, groups, threads, delivery and its proof."""

from thrum_kernel.messaging.room import LOCAL_MIGRATIONS, Messaging

__all__ = ["LOCAL_MIGRATIONS", "Messaging"]
