"""Full-text search over messages, narrowed like an inbox.

The index lives in a file and a thread of its own, so the loop neither waits for a question nor for the filling after
a rebuild; while that lasts a search is refused with its progress (``indexing 43 %``). A search first takes what has
changed, so a text that is deleted or edited is never found by its old words.

Words must all occur; ``"a phrase"`` occurs as it is; ``pre*`` finds every word that begins so. Up to `RANKED` hits
the best come first (bm25), above that the newest.

Source: DESIGN.md D3; issue "Kernel".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from thrum_kernel.errors import Projecting, UsageError
from thrum_kernel.ids import key_floor
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.fulltext import TextIndex
from thrum_kernel.projection.queries.inbox import AFTER_SLACK_US, Filter, scope_kinds
from thrum_kernel.projection.schema import AUDIENCE, REF

RANKED = 10_000
"""Above so many hits the newest come first and the total is only told as ``10000+``."""

MARKS = ("[", "]")
"""What a snippet puts around the words that were found."""

TAKE_EVERY_S = 0.5
"""How often the index takes what is new while nobody searches."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""After a failure it is tried again so soon, and at least so often."""

_SNIPPET_WORDS = 24
_log = logging.getLogger(__name__)
_TERM = re.compile(r'"([^"]*)"?|(\S+)')


@dataclass(frozen=True, slots=True)
class Hit:
    """One message that was found.

    Attributes:
        key: its key in the cache.
        rank: lower is better; 0 when the newest come first.
        snippet: the part of the text around what was found, with `MARKS`.
    """

    key: int
    rank: float
    snippet: str


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search.

    Attributes:
        hits: in order.
        total: how many there are, at most `RANKED`.
        has_more: there are more than *total*.
    """

    hits: tuple[Hit, ...]
    total: int
    has_more: bool

    @property
    def total_text(self) -> str:
        """``17``, or ``10000+``."""
        return f"{self.total}+" if self.has_more else str(self.total)


class Search:
    """Keeps the full-text index up to date and asks it. All methods are for the loop's thread."""

    def __init__(self, cache: Cache, path: Path) -> None:
        """A search over *cache* with its index at *path*; nothing is opened before the first use."""
        self._cache = cache
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="thrum-search")
        self._index: TextIndex | None = None
        self._percent: int | None = 0
        self._news = asyncio.Event()
        self._closed = False

    @property
    def percent(self) -> int | None:
        """How far the index is filled; None when it is."""
        return self._percent

    def note(self) -> None:
        """Something was projected: `run` looks at it soon."""
        self._news.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Fill the index, then take what is new whenever `note` says so. A service of the daemon."""
        self._news.set()
        started()
        pause_s = 0.0
        while True:
            await self._news.wait()
            # A search takes what is new by itself: under traffic one visit a while is enough.
            await asyncio.sleep(TAKE_EVERY_S)
            self._news.clear()
            pause_s = await self._catch_up(pause_s)
            if pause_s:
                await asyncio.sleep(pause_s)
                self._news.set()

    async def _catch_up(self, before_s: float) -> float:
        """Take what is new; after how many seconds to try again, 0 when it is taken. *before_s* is the last answer.

        A disk that is full, or a file that is locked, is no reason to give up: deleted words would stay in the index.
        """
        try:
            await self.settle()
            await self.scrub()
        except Projecting:
            return FIRST_PAUSE_S
        except (sqlite3.OperationalError, OSError) as error:
            if not before_s:
                _log.warning("the search index cannot be written, and is tried again: %s", error)
            await self._in_thread(self._close)
            return min(max(before_s, FIRST_PAUSE_S / 2) * 2, LONGEST_PAUSE_S)
        if before_s > FIRST_PAUSE_S:
            _log.info("the search index is written again")
        return 0.0

    async def settle(self) -> None:
        """Take everything that has been projected until now.

        Raises:
            Projecting: the cache is being rebuilt.
        """
        birth = self._birth()
        await self._in_thread(lambda: self._update(birth))

    async def forget(self) -> None:
        """Take every deletion until now, and keep nothing of it in the file; nothing happens while there is no cache."""
        with contextlib.suppress(Projecting):  # the index is made anew then
            await self.settle()
            await self.scrub()

    async def scrub(self) -> None:
        """Remove from the file what can not be found any more, if a message was deleted since the last time."""
        await self._in_thread(self._scrub)

    async def find(
        self,
        query: str,
        *,
        recipient: int | None = None,
        party: int | None = None,
        unread: bool = False,
        filter_: Filter | None = None,
        limit: int = 10,
        offset: int = 0,
    ) -> Found:
        """One page of the messages that *query* finds.

        Args:
            recipient: key of an agent: only what was delivered to it.
            party: key of an agent: only what it sent or what was delivered to it.
            unread: with *recipient*: only what waits for it.
            filter_: further conditions, as for an inbox.

        Raises:
            UsageError: the query holds no word.
            Projecting: the cache is being rebuilt, or the index being filled.
        """
        match = match_expression(query)
        birth = self._birth()
        if self._percent is not None:
            raise Projecting(self._percent, what="indexing")
        question = _Question(match, recipient, party, unread, filter_ or Filter(), limit, offset)
        found: Found = await self._in_thread(lambda: self._ask(birth, question))
        return found

    async def close(self) -> None:
        """Close the index once what it is doing is done."""
        if self._closed:
            return
        self._closed = True
        await self._in_thread(self._close)
        self._thread.shutdown(wait=True)

    def _birth(self) -> str:
        """The build of the cache, refusing while there is none; a new one means a new index."""
        self._cache.connection  # noqa: B018 - raises Projecting
        birth = self._cache.birth
        if self._index is not None and self._index.birth != birth:
            self._percent = self._percent or 0
        return birth

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self, birth: str) -> TextIndex:
        if self._index is None or self._index.birth != birth:
            self._close()
            self._index = TextIndex(self._path, self._cache.path, birth)
        return self._index

    def _update(self, birth: str) -> TextIndex:
        index = self._open(birth)
        index.update(self._tell)
        self._percent = None
        self._cache.indexed_change = index.change
        return index

    def _scrub(self) -> None:
        if self._index is not None and self._index.is_soiled:
            self._index.scrub()

    def _tell(self, percent: int) -> None:
        self._percent = percent

    def _close(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None

    def _ask(self, birth: str, question: _Question) -> Found:
        return question.answer(self._update(birth).db)


@dataclass(frozen=True, slots=True)
class _Question:
    match: str
    recipient: int | None
    party: int | None
    unread: bool
    filter: Filter
    limit: int
    offset: int

    def answer(self, db: sqlite3.Connection) -> Found:
        match = self._narrowed(db)
        if match is None:
            return Found((), 0, False)
        where, params = self._where()
        chosen = f"FROM text WHERE text MATCH ?{where}"
        values = (match, *params)
        count = db.execute(
            f"SELECT count(*) FROM (SELECT rowid {chosen} LIMIT {RANKED + 1})", values
        ).fetchone()[0]
        order = "rank" if count <= RANKED else "rowid DESC"
        rank = "rank" if count <= RANKED else "0.0"
        rows = db.execute(
            f"SELECT rowid, {rank} {chosen} ORDER BY {order} LIMIT ? OFFSET ?",
            (*values, self.limit, self.offset),
        ).fetchall()
        snippets = self._snippets(db, match, [row[0] for row in rows])
        hits = tuple(Hit(key, rank, snippets.get(key, "")) for key, rank in rows)
        return Found(hits, min(count, RANKED), count > RANKED)

    def _narrowed(self, db: sqlite3.Connection) -> str | None:
        """The expression with the tags that must be there; None when nothing can have them."""
        filter_ = self.filter
        tags: list[str] = []
        if self.recipient is not None:
            tags.append(f"r{self.recipient}")
        if self.party is not None:
            tags.append(f"(r{self.party} OR w{self.party})")
        if filter_.author is not None:
            tags.append(f"w{filter_.author}")
        if filter_.thread is not None:
            thread = db.execute(
                "SELECT id FROM cache.thread WHERE thread_id = ?", (filter_.thread,)
            ).fetchone()
            if thread is None:
                return None
            tags.append(f"t{thread[0]}")
        for labels in _label_choices(db, filter_):
            if not labels:
                return None
            tags.append(f"({' OR '.join(f'l{label}' for label in labels)})")
        match = f"body : ({self.match})"
        if tags:
            match += f" AND tags : ({' AND '.join(tags)})"
        if filter_.not_author is not None:
            match = f"({match}) NOT tags : w{filter_.not_author}"
        return match

    def _where(self) -> tuple[str, list[Any]]:
        """Conditions that are not words: times, keys, unread."""
        where, params = "", list[Any]()
        if self.filter.before_key is not None:
            where += " AND rowid < ?"
            params.append(self.filter.before_key)
        if self.filter.after_us is not None:
            where += (
                " AND rowid >= ? AND (SELECT m.created_us FROM cache.message m WHERE m.id = text.rowid) > ?"
            )
            params += [key_floor(self.filter.after_us - AFTER_SLACK_US), self.filter.after_us]
        if self.unread and self.recipient is not None:
            where += (
                " AND EXISTS (SELECT 1 FROM cache.delivery d WHERE d.message = text.rowid AND d.agent = ?"
                " AND d.read_us IS NULL AND d.hidden = 0)"
            )
            params.append(self.recipient)
        return where, params

    def _snippets(self, db: sqlite3.Connection, match: str, keys: list[int]) -> dict[int, str]:
        """Only for the page: made in the ranking query they would be made for every hit."""
        cut = f"snippet(text, 0, '{MARKS[0]}', '{MARKS[1]}', '…', {_SNIPPET_WORDS})"
        found: dict[int, str] = {}
        for key in keys:
            row = db.execute(
                f"SELECT {cut} FROM text WHERE text MATCH ? AND rowid = ?", (match, key)
            ).fetchone()
            found[key] = row[0] if row else ""
        return found


def _label_choices(db: sqlite3.Connection, filter_: Filter) -> list[list[int]]:
    """For each condition on labels the keys of those that satisfy it."""
    choices = []
    for kinds, wanted in _wanted_labels(filter_):
        listed = ", ".join(map(str, kinds))
        rows = db.execute(
            f"SELECT id FROM cache.label WHERE kind IN ({listed}) AND type = ? AND value = ?", wanted
        )
        choices.append([row[0] for row in rows])
    if filter_.mention is not None:
        names = msgspec.json.encode(list(filter_.mention)).decode()
        rows = db.execute(
            "SELECT id FROM cache.label WHERE kind = ? AND type IN ('agent', 'role')"
            " AND value IN (SELECT value FROM json_each(?))",
            (AUDIENCE, names),
        )
        choices.append([row[0] for row in rows])
    return choices


def _wanted_labels(filter_: Filter) -> list[tuple[tuple[int, ...], tuple[str, str]]]:
    """The labels that must be there: the kinds that each may be of, and its type and value."""
    found: list[tuple[tuple[int, ...], tuple[str, str]]] = []
    if filter_.scope is not None:
        found.append((scope_kinds(filter_.scope[0]), filter_.scope))
    if filter_.ref is not None:
        found.append(((REF,), filter_.ref))
    return found


def match_expression(query: str) -> str:
    """What FTS5 is asked for the words that a person typed; nothing in them is taken for syntax but ``"`` and ``*``.

    Raises:
        UsageError: there is no word in it.
    """
    terms = []
    for phrase, word in _TERM.findall(query):
        text = phrase or word
        if not any(char.isalnum() for char in text):
            continue
        prefix = " *" if word.endswith("*") else ""
        quoted = text.replace('"', '""').replace("\x00", " ")
        terms.append(f'"{quoted}"{prefix}')
    if not terms:
        raise UsageError(
            "nothing to search for", hint='give words, "a phrase", or the beginning of a word: pre*'
        )
    return " AND ".join(terms)
