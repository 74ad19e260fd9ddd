"""Puts together what carries the log through git: one repository, one loop, and an exchange for each remote chosen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from thrum_kernel import gitdir
from thrum_kernel.clock import Clock, format_us
from thrum_kernel.commit import Committer
from thrum_kernel.daemon.opened import Opened
from thrum_kernel.daemon.projecting import ProjectionKeeper
from thrum_kernel.daemon.renewing import Doubt
from thrum_kernel.errors import ThrumError
from thrum_kernel.events import EventTypes
from thrum_kernel.projection import queries
from thrum_kernel.projection.apply import Projector
from thrum_kernel.settings.document import Document, Setting, SettingsFile
from thrum_kernel.store.shared import Copy
from thrum_kernel.sync.cutter import Cutter
from thrum_kernel.sync.exchange import Exchange
from thrum_kernel.sync.exposure import Gate, Visibility, exposed
from thrum_kernel.sync.history import History
from thrum_kernel.sync.ingest import Ingest
from thrum_kernel.sync.loop import Travel
from thrum_kernel.sync.merge import Merger
from thrum_kernel.sync.namesake import Namesakes
from thrum_kernel.sync.process import Runner
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.purged_unread import Tell
from thrum_kernel.sync.remote import Choice, Remote
from thrum_kernel.sync.repository import Repository
from thrum_kernel.sync.takeover import Takeover

_log = logging.getLogger(__name__)


class _Recent:
    """The values of keys as they were lately, each worked out once for a document: asked for each message."""

    def __init__(self, settings: SettingsFile) -> None:
        self._settings = settings
        self._document: Document | None = None
        self._known: dict[str, Setting] = {}

    def __call__(self, key: str) -> Setting:
        document = self._settings.recent()
        if document is not self._document:
            self._document, self._known = document, {}
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = document.get(key)
        return known


def travel_of(
    opened: Opened,
    *,
    clock: Clock,
    environ: Mapping[str, str],
    types: EventTypes,
    projector: Projector,
    keeper: ProjectionKeeper,
    committer: Committer,
    cutter: Cutter,
    publisher: Publisher,
    on_shared: Callable[[Sequence[Copy]], None],
    doubt: Doubt,
    history: History,
    tell: Tell,
    tell_live: Callable[[str], Awaitable[None]],
) -> Travel:
    """The way of one daemon's log through git; nothing happens before its service runs.

    Args:
        on_shared: told, in the thread that merges, which texts of other clones came.
        tell: sends a text of the daemon's to agents of these names.
        tell_live: sends one to all agents here that have an open session.
    """
    where, settings = opened.paths, opened.settings
    runner = Runner(where.repository, where.published, environ=environ)
    ingest = Ingest(
        projector=projector,
        ids=opened.ids,
        types=types,
        tree=opened.tree,
        committer=committer,
        projected=lambda: queries.projected(projector.cache),
        rebuild=keeper.rebuild,
        catch_up=keeper.catch_up,
        in_doubt=keeper.want_rebuild,
        daemon=opened.daemon_id,
        tell=tell,
    )

    loop = asyncio.get_running_loop()
    namesakes = Namesakes(
        opened.tree,
        since=format_us(clock.now_us()),
        current=lambda: committer.writer,
        found=lambda sighting: loop.call_soon_threadsafe(doubt.heed, sighting),
    )

    def make(choice: Choice) -> Exchange:
        repository = Repository(
            where.repository, where.published, runner=runner, object_format=choice.object_format
        )
        return Exchange(
            remote=Remote(choice, runner=runner, cwd=where.repo),
            repository=repository,
            runner=runner,
            merger=Merger(
                opened.tree,
                repository,
                daemon=opened.daemon_id,
                is_ahead=lambda ulid: not opened.ids.observe(ulid),
                on_shared=on_shared,
            ),
            cutter=cutter,
            publisher=publisher,
            ingest=ingest,
            history=history,
            clock=clock,
            name=opened.known.identity.hostname,
            watch=namesakes.look,
        )

    async def take_over(choice: Choice) -> str:
        takeover = Takeover(
            remote=Remote(choice, runner=runner, cwd=where.repo),
            repository=Repository(
                where.repository, where.published, runner=runner, object_format=choice.object_format
            ),
            tree=opened.tree,
            publisher=publisher,
            clock=clock,
            daemon=opened.daemon_id,
        )
        return await takeover.run()

    async def warn(text: str) -> None:
        try:
            await tell_live(text)
        except ThrumError as error:
            _log.warning("nobody was told that the remote is public: %s", error)

    def keep(found: Visibility, name: str) -> None:
        if found == "public":  # asked in a thread
            asyncio.run_coroutine_threadsafe(warn(exposed(name)), loop)
        sync = dict(settings.current().raw.get("daemon", {}).get("sync") or {})
        sync.update(detected_visibility=found, detected_remote=name)
        settings.update("daemon", {"sync": sync})

    travel = Travel(
        settings=_Recent(settings),
        place=gitdir.locate(where.repo),
        runner=runner,
        gate=Gate(environ=environ, clock=clock, settings=lambda: settings.daemon.sync, keep=keep),
        make=make,
        take_over=take_over,
        forget=Repository(where.repository, where.published, runner=runner).remove,
        publisher=publisher,
        clock=clock,
    )

    def reconsider() -> None:
        loop.call_soon_threadsafe(travel.reconsider)

    settings.changed.append(reconsider)
    return travel


def own_repository(opened: Opened, environ: Mapping[str, str]) -> Repository:
    """Our own repository, for whoever looks into it beside the exchange; while nothing is exchanged."""
    where = opened.paths
    runner = Runner(where.repository, where.published, environ=environ)
    return Repository(where.repository, where.published, runner=runner)
