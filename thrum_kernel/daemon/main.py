"""The composition root: the only file that knows every room.

Order of a start: the lock, this machine's own tables, identity, earlier journals (`opened`); then the loop: rooms are
composed, the socket opens and answers ``projecting N %`` until the cache is in step with the log, identities are
reconciled, services start. The end goes the other way; the lock is released last.

Source: DESIGN.md "The house", D3, D4; issue "Kernel", "Daemon".
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from thrum_kernel import git, gitdir, paths
from thrum_kernel.agents import LOCAL_MIGRATIONS as AGENTS_MIGRATIONS
from thrum_kernel.agents import Agents
from thrum_kernel.api import Caller, Migration, Service
from thrum_kernel.briefing.commands import CommandEntry
from thrum_kernel.briefing.hints import Hints, stale_recipients
from thrum_kernel.briefing.hooks import BriefingHooks
from thrum_kernel.briefing.prime import Prime
from thrum_kernel.bus.call import Call
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.ports import remember, wishes
from thrum_kernel.bus.tokens import LOCAL_MIGRATIONS as TOKENS_MIGRATIONS
from thrum_kernel.bus.tokens import Tokens
from thrum_kernel.bus.topics import Topics
from thrum_kernel.bus.unix import UnixServer
from thrum_kernel.bus.websocket import WebSocketServer
from thrum_kernel.cli.app import kernel_tree
from thrum_kernel.cli.help import summary
from thrum_kernel.cli.server import CommandServer
from thrum_kernel.clock import Clock
from thrum_kernel.commit import Committer
from thrum_kernel.context.folder import ContextFolder
from thrum_kernel.context.sharing import Sharing
from thrum_kernel.daemon import pid_file
from thrum_kernel.daemon.about import About
from thrum_kernel.daemon.adopting import adopt
from thrum_kernel.daemon.agents_asked import AgentsAsked
from thrum_kernel.daemon.callers import Callers
from thrum_kernel.daemon.excluding import keep_from_git
from thrum_kernel.daemon.gate import Gate
from thrum_kernel.daemon.log_asked import LogAsked
from thrum_kernel.daemon.opened import Opened
from thrum_kernel.daemon.plugged import Plugged
from thrum_kernel.daemon.projecting import ProjectionKeeper
from thrum_kernel.daemon.recent import recent_requests
from thrum_kernel.daemon.renewing import Doubt
from thrum_kernel.daemon.served import methods_of
from thrum_kernel.daemon.sharing import GitWay, SharingEvents
from thrum_kernel.daemon.travelling import own_repository, travel_of
from thrum_kernel.daemon.watching import Watch
from thrum_kernel.errors import DaemonError, Projecting, ThrumError
from thrum_kernel.events import Event, EventTypes
from thrum_kernel.events.core import CORE_EVENT_TYPES, AgentRegister
from thrum_kernel.messaging import LOCAL_MIGRATIONS as MESSAGING_MIGRATIONS
from thrum_kernel.messaging import Messaging
from thrum_kernel.messaging.quota import Limits
from thrum_kernel.plugins.catalogue import provider_of_method
from thrum_kernel.plugins.cursors import MIGRATION as CURSORS_MIGRATION
from thrum_kernel.plugins.supervisor import Supervisor
from thrum_kernel.projection import queries
from thrum_kernel.projection.apply import Projector
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.search import Search
from thrum_kernel.settings import core
from thrum_kernel.store.journal import Journal, Previous
from thrum_kernel.store.shared import SharedTexts
from thrum_kernel.sync.cutter import Cutter
from thrum_kernel.sync.history import History
from thrum_kernel.sync.mending import Mender
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.purge import Purger
from thrum_kernel.sync.releasing import HeldMethods
from thrum_kernel.sync.retention import Retention
from thrum_kernel.sync.secret_scan import SecretScan
from thrum_kernel.sync.status import SyncMethods
from thrum_kernel.sync.withheld import held_names

_log = logging.getLogger(__name__)

KERNEL_MIGRATIONS: tuple[Migration, ...] = (
    *AGENTS_MIGRATIONS,
    *MESSAGING_MIGRATIONS,
    *TOKENS_MIGRATIONS,
    CURSORS_MIGRATION,
)
SENDERS = ("system", "daemon", "thrum", "supervisor_*", "monitor:*")
"""Sender names that nobody may register."""

LONG_POLL_LIMIT_S = 24 * 3600.0
"""`thrum wait --timeout` may be long; a client that goes away ends it at once."""


class Daemon:
    """One daemon: everything composed, from `start` to `stop`. Make it on the loop.

    Args:
        env: what decides about plugins and the WebSocket's port.
    """

    def __init__(self, opened: Opened, *, clock: Clock, env: Mapping[str, str] = os.environ) -> None:
        self.opened = opened
        self.about = About(self, clock=clock)
        self.asked = AgentsAsked(self)
        self.log_asked = LogAsked(self)
        self.watch = Watch(self)
        self.ended = asyncio.Event()
        self.clock = clock
        self._env = env
        self._is_reconciled = False
        self.problem = ""
        self._loop = asyncio.get_running_loop()
        where = opened.paths
        self.types = EventTypes(CORE_EVENT_TYPES)
        self.message_types = frozenset(kind.name for kind in self.types if kind.shard == "messages")
        self.topics = Topics()
        self.supervisor = Supervisor(clock)
        self.cache = Cache(where.cache_db, later=True)  # its tables are known when the plugins are loaded
        # By the clock of ids: our own events count also after the wall clock was put back.
        self.projector = Projector(self.cache, self.types, clock=opened.ids)
        self.committer = self._make_committer()
        self.keeper = ProjectionKeeper(
            cache=self.cache,
            projector=self.projector,
            tree=opened.tree,
            types=self.types,
            message_types=self.message_types,
            clock=clock,
            durable=lambda: self.committer.durable,
        )
        self.dispatcher = Dispatcher(
            guards=[self._guards],
            is_guarded=lambda method: self.plugged.host.guards.judge_method(method),
            recall=self.committer.events_of_request,
            state=self.refusal,
            identify=lambda call, error: self.plugged.identify(call, error),
            provided_by=provider_of_method,
            absent=lambda method: self.plugged.host.why_absent(method),
            long_poll_limit_s=LONG_POLL_LIMIT_S,
        )
        self.plugged = Plugged(
            opened=opened,
            clock=clock,
            env=env,
            types=self.types,
            message_types=self.message_types,
            projector=self.projector,
            cache=self.cache,
            keeper=self.keeper,
            committer=self.committer,
            dispatcher=self.dispatcher,
            topics=self.topics,
            supervisor=self.supervisor,
            authorize=lambda caller, thing, force: self.agents.authorize(caller, thing, force=force),
        )
        plugins = self.plugged.host
        self.agents = Agents(
            cache=self.cache,
            local=opened.local,
            committer=self.committer,
            clock=clock,
            paths=where,
            hostname=opened.known.identity.hostname,
            repo_id=opened.known.identity.repo_name,
            claimed=lambda: (*SENDERS, *plugins.senders),
            agent_facts=self.asked.agent_facts,
            leave_single_agent_mode=self.asked.leave_single_agent_mode,
            forget_context=_forget_context,
            keep_from_git=lambda worktree: keep_from_git(worktree, where.repo),
            send=self.asked.tell,
            wanted_supervisors=lambda: opened.settings.current().raw.get("permission_supervisors"),
        )
        plugins.guards.identities_in = self.agents.identities_in
        self.agents.files.judge = self.asked.judge_identity
        self.search = Search(self.cache, where.search_db)
        self.secrets = SecretScan(lambda: opened.settings.recent().section("daemon", core.Daemon).sync)
        self.messaging = Messaging(
            cache=self.cache,
            local=opened.local,
            committer=self.committer,
            clock=clock,
            archives=where.thrum / "archive",
            search=self.search,
            limits=self._limits,
            publish=self.topics.publish,
            listeners=self.topics.subscribers,
            claimed=plugins.claims_sender,
            only_looks=self.asked.only_looks,
            touch=lambda name: self.agents.touch(Caller(kind="agent", agent_id=name)),
            erase=self.log_asked.erase,
            marked=lambda: self.publisher.poke(),
            withheld=self.log_asked.withheld,
        )
        self.committer.listeners.append(self.agents.on_event)
        self.committer.listeners.append(lambda event: self.search.note())
        self.cutter = Cutter(
            opened.tree,
            daemon=opened.daemon_id,
            message_types=self.message_types,
            ended=opened.recovered.journals,
            scan=self.secrets.matched,
        )
        self.publisher = Publisher(
            cutter=self.cutter,
            committer=self.committer,
            clock=clock,
            interval_s=lambda: float(opened.settings.daemon.sync_interval),
            before_cut=(self.messaging.journal_receipts, self.agents.journal_contexts),
        )
        self.held = HeldMethods(
            cutter=self.cutter,
            publisher=self.publisher,
            committer=self.committer,
            clock=clock,
            excerpt=self.secrets.excerpt,
            tell_again=self.messaging.receipts.tell_again,
        )
        self.publisher.before_cut.insert(0, self.held.let_erased_go)
        self.committer.listeners.append(self._publish_own)
        self.doubt = Doubt(self.ended.set)
        self.history = History(
            where.sync / "history.json", settings=lambda: opened.settings.daemon.sync, clock=clock
        )
        self.travel = travel_of(
            opened,
            clock=clock,
            environ=os.environ,
            types=self.types,
            projector=self.projector,
            keeper=self.keeper,
            committer=self.committer,
            cutter=self.cutter,
            publisher=self.publisher,
            on_shared=lambda copies: self.shared.took(copies),
            doubt=self.doubt,
            history=self.history,
            tell=self.asked.tell,
            tell_live=self.asked.tell_live,
        )
        self.mender = Mender(
            tree=opened.tree,
            repository=own_repository(opened, os.environ),
            still=self.travel.still,
            mended=self.keeper.catch_up,
            made_way=self.travel.heard,
        )
        self.sharing = Sharing(
            SharedTexts(opened.tree),
            GitWay(
                daemon=opened.daemon_id,
                ids=opened.ids,
                roster=self.agents.roster,
                publisher=self.publisher,
                travel=self.travel,
                place=gitdir.locate(where.repo),
                refusal=self.keeper.refusal,
            ),
            project=ContextFolder(where.thrum),
            held=self.secrets.matched_in,
        )
        self.shared = SharingEvents(self.sharing, self.travel, roster=self.agents.roster)
        self.committer.listeners.append(self.shared.heard)
        self.sync = SyncMethods(
            publisher=self.publisher,
            travel=self.travel,
            paths=where,
            tree=opened.tree,
            clock=clock,
            daemon=opened.daemon_id,
            settings=lambda: opened.settings.daemon,
            names=lambda: {} if self.keeper.refusal() else queries.daemon_names(self.cache),
            held=lambda: held_names(self.cutter.holding.waiting),
            held_back=self.about.held_back,
            purged_before=lambda: self.cutter.known_cutoff,
            damaged=lambda: self.mender.problems,
        )
        self.purger = self._make_purger()
        self.retention = Retention(
            clock=clock,
            days=lambda: opened.settings.daemon.retention_days,
            last_cutoff=self.publisher.last_cutoff,
            is_ready=lambda: self.refusal() is None,
            purge=lambda cutoff_us: self.purger.purge_before(cutoff_us, by="daemon"),
        )
        self.keeper.rebuilt += [
            self.log_asked.observe,
            self.messaging.rebuilt,
            self.agents.world.invalidate,
            self.search.note,
            lambda: self.mender.notice() if self.keeper.problems else None,
            self.publisher.poke,  # of what was durable but not projected nobody was told
        ]
        self.tokens = Tokens(opened.local, clock, incarnation_of=self.asked.incarnation_of)
        self.hints = Hints(
            hooks=plugins, kernel={"send": stale_recipients(self.asked.last_seen_us, self.clock.now_us)}
        )
        self.gate = Gate(
            plugins.guards, identities_in=self.agents.identities_in, take_over=self.asked.take_over
        )
        self._complete = asyncio.Event()
        self.commands = CommandServer(
            kernel_tree(),
            self.dispatcher,
            complete=self._complete,
            caller_of=self._caller_of_command,
            hints=self.hints,
            gate=self.gate,
        )
        self.callers = Callers(
            self.agents.world,
            self.tokens,
            runtimes=plugins.process_names,
            is_taken_away=self.watch.notice,
        )
        self.unix = UnixServer(
            self.dispatcher,
            self.topics,
            where.socket,
            resolver=self.callers.of_peer,
            facts_of=self.callers.facts_of,
            foreign=self.commands.foreign,
        )
        self.websocket: WebSocketServer | None = None
        self.prime = self._make_prime(plugins)
        self.committer.listeners.append(self.prime.heard)
        for method in methods_of(self):
            self.dispatcher.add(method)

    # --- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Serve, then come into step with the log.

        Raises:
            DaemonError, StoreError, OSError: it cannot serve or cannot read its log.
        """
        self.commands.tree.prepare()
        # First, for whoever sees the socket answer looks here for whose it is.
        pid_file.write(self.opened.paths, self.clock)
        await self.unix.start()
        await self._start_websocket()
        self.committer.requests.add(
            await asyncio.to_thread(
                recent_requests,
                self.opened.tree,
                self.types,
                daemon_id=self.opened.daemon_id,
                now_us=self.clock.now_us(),
                message_types=self.message_types,
            )
        )
        await self.plugged.load(self.commands.tree)
        self._complete.set()
        await self.keeper.start()
        reconciled = await self.agents.reconcile()
        self._is_reconciled = True
        _log.info("reconciled: %s", reconciled)
        await asyncio.to_thread(self.shared.take_state)
        for service in (
            *self.publisher.services(),
            *self.travel.services(),
            *self.retention.services(),
            *self.mender.services(),
            *self.agents.services(),
            Service(name="kernel.search", run=self.search.run),
            Service(name="kernel.watch", run=self.watch.run),
        ):
            await self.supervisor.start(service)
        await self.plugged.begin(self.messaging.waker.rungs)
        self.messaging.wake_all()
        self.opened.settings.changed.append(self._copies_are_old)
        self.opened.settings.changed.append(self._reconsider_retention)
        self.committer.listeners.append(self._heard_of_agent)
        self._keep_copies()
        # What is here now stays until the end: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.enable()

    async def stop(self) -> None:
        """Refuse new work, answer what was accepted, and give everything back but the lock."""
        self.unix.stop_listening()
        self.travel.abandon()
        await self.commands.drain()
        await self.dispatcher.drain()
        if self.websocket is not None:
            await self.websocket.stop()
        await self.unix.stop()
        await self.plugged.stop()
        await self.supervisor.stop_all()
        await self.messaging.close()
        await self.agents.close()
        await self.keeper.close()
        await self.shared.settle()
        await self.committer.close()
        await self.search.close()
        self.plugged.close()
        self.cache.close()
        pid_file.remove(self.opened.paths)

    async def _start_websocket(self) -> None:
        """A daemon without WebSocket still serves everybody on this machine: a port that cannot be had is told."""
        where = self.opened.paths
        try:
            ports = wishes(
                environment=self._env.get("THRUM_WS_PORT", ""),
                configured=self.opened.settings.daemon.ws_port,
                last_run=where.ws_port,
            )
            server = WebSocketServer(
                self.dispatcher, self.topics, self.tokens, ports=ports, on_grant=self._heard_by
            )
            port = await server.start()
        except ThrumError as error:
            self.problem = f"no WebSocket: {error}"
            _log.error("%s", self.problem)
            return
        self.websocket = server
        remember(where.ws_port, port)

    def _heard_of_agent(self, event: Event) -> None:
        """Whoever registers an agent may have written a redirect before."""
        if isinstance(event, AgentRegister):
            self._copies_are_old()

    def _publish_own(self, event: Event) -> None:
        """What came from another clone is published already."""
        if event.origin_daemon == self.opened.daemon_id:
            self.publisher.heard(event)

    def _reconsider_retention(self) -> None:
        """The configuration changed; from any thread."""
        self._loop.call_soon_threadsafe(self.retention.reconsider)

    def _copies_are_old(self) -> None:
        """A file that a later start may have to write back has changed; from any thread."""
        self._loop.call_soon_threadsafe(self._keep_copies)

    def _keep_copies(self) -> None:
        if not self.ended.is_set():
            self.opened.keep_copies(self.clock)

    # --- what rooms ask of each other --------------------------------------------------------------------------------

    def _make_committer(self) -> Committer:
        opened = self.opened
        previous = opened.previous

        def open_journal(writer: str, before: tuple[str, int] | None) -> Journal:
            return Journal.open_new(
                opened.tree.disk,
                opened.tree.journal,
                writer=writer,
                daemon=opened.daemon_id,
                previous=Previous(*before) if before else None,
            )

        return Committer(
            daemon_id=opened.daemon_id,
            clock=self.clock,
            ids=opened.ids,
            types=self.types,
            projector=self.projector,
            journals=open_journal,
            still_ours=opened.check_lock,
            in_doubt=lambda why: self.keeper.want_rebuild(why),
            previous=(previous.writer, previous.last) if previous else None,
        )

    def _make_purger(self) -> Purger:
        purger = Purger(
            publisher=self.publisher,
            cutter=self.cutter,
            committer=self.committer,
            clock=self.clock,
            count=self.log_asked.count_before,
            rebuild_cache=self.keeper.rebuild,
        )
        purger.on_done.append(self.history.owe)
        return purger

    def _make_prime(self, hooks: BriefingHooks) -> Prime:
        return Prime(
            ask=lambda caller, method, params: self.dispatcher.call(method, params, caller=caller),
            agents=self.agents,
            hooks=hooks,
            paths=self.opened.paths,
            clock=self.clock,
            is_alone=lambda: self.opened.settings.daemon.single_agent_mode,
            entries=self._listed_commands,
            is_woken=lambda: bool(self.messaging.waker.rungs),
        )

    def _listed_commands(self) -> list[CommandEntry]:
        return [
            CommandEntry(words, summary(command) if command.owner else "", command.owner)
            for words, command in self.commands.tree.root.commands()
            if words and not command.hidden
        ]

    def _caller_of_command(self, *args: Any) -> Callable[[str], Caller]:
        return self.callers.of_command(*args)

    async def _guards(self, call: Call, params: Any) -> None:
        """What plugins have against a change; raises GuardFired."""
        await self.plugged.host.guards.method(call, params)

    def refusal(self) -> DaemonError | None:
        """What to answer while the cache cannot be asked, or identities that are gone are not written back yet."""
        return self.keeper.refusal() or (None if self._is_reconciled else Projecting(100))

    def _heard_by(self, caller: Caller) -> list[tuple[str, str]]:
        """What a connection hears once it has shown whose it is; nothing can be told while projecting."""
        if self.keeper.refusal() is not None:
            return []
        return self.messaging.topics_for(caller)

    def _limits(self) -> Limits:
        settings = self.opened.settings.recent()
        limit = settings.section("daemon", core.Daemon).body_limit
        quota = settings.section("messaging", core.Messaging)
        return Limits(
            max_body_bytes=-1 if limit is None else limit,
            send_per_minute=quota.send_per_minute,
            send_burst=quota.send_burst,
        )

    def git_user(self) -> tuple[str, str]:
        """Name and address of whoever commits here, as git has them; empty where it does not."""
        user = git.user(self.opened.paths.repo)
        return user.name, user.email

    # --- what is told about this daemon ------------------------------------------------------------------------------

    def adopt(self, new: bool) -> tuple[str, bool]:
        """Take the daemon id that the log came with, or a *new* one; see `adopting.adopt`."""
        opened = self.opened
        return adopt(opened.paths, opened.settings, opened.known, new=new, new_id=opened.ids.next_ulid)


def _forget_context(worktree: Path, name: str) -> None:
    folder = ContextFolder(worktree / paths.THRUM_FOLDER)
    for suffix in ("", "_session", "_preamble"):
        with contextlib.suppress(ThrumError):
            folder.remove(f"{name}{suffix}.md")
