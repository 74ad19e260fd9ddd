"""Full-text search: what it finds, what it never finds any more, and how it is narrowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from projection_log import START_US, FixedClock, LogMaker, core_types, project

from thrum_kernel.errors import Projecting, UsageError
from thrum_kernel.events import core
from thrum_kernel.projection import queries, replay
from thrum_kernel.projection import search as search_module
from thrum_kernel.projection.apply import Projector
from thrum_kernel.projection.queries import Filter
from thrum_kernel.projection.search import Found, Search, match_expression


class Library:
    """A cache, its search, and what has been written so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = LogMaker()
        self.alice, self.bob = self.log.agent("alice"), self.log.agent("bob")
        self.cache = project(path / "messages.db", self.log.lines)
        self.projector = Projector(self.cache, core_types(), clock=FixedClock())
        self.search = Search(self.cache, path / "search.db")
        self._taken = len(self.log.lines)

    def take(self) -> None:
        self.projector.apply_lines(self.log.lines[self._taken :])
        self._taken = len(self.log.lines)

    def key(self, ref: core.AgentRef) -> int:
        agent = queries.agent_by_incarnation(self.cache, ref.incarnation)
        assert agent is not None
        return agent.id

    def texts(self, found: Found) -> list[str]:
        return [message.body for message in queries.messages(self.cache, [hit.key for hit in found.hits])]

    async def finds(self, query: str, **options: object) -> list[str]:
        return sorted(self.texts(await self.search.find(query, limit=50, **options)))  # type: ignore[arg-type]


def told(path: Path, story: Callable[[Library], Awaitable[None]]) -> None:
    async def tell() -> None:
        library = Library(path)
        await library.search.settle()
        try:
            await story(library)
        finally:
            await library.search.close()
            library.cache.close()

    asyncio.run(tell())


def test_search_finds_words_phrases_and_beginnings(tmp_path: Path) -> None:
    async def story(library: Library) -> None:
        for text in (
            "the build is red",
            "red is the build now",
            "rebuilding takes long",
            "Über-Größe gebaut",
        ):
            library.log.message(library.alice, [library.bob], text)
        library.take()
        assert await library.finds("build") == ["red is the build now", "the build is red"]
        assert await library.finds("build red") == ["red is the build now", "the build is red"]
        assert await library.finds('"the build is"') == ["the build is red"]
        assert await library.finds("re*") == [
            "rebuilding takes long",
            "red is the build now",
            "the build is red",
        ]
        assert await library.finds("uber GROSSE") == []
        assert await library.finds("uber größe") == ["Über-Größe gebaut"]
        assert await library.finds("nothing-like-it") == []

    told(tmp_path, story)


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "a OR b",
        "body:x",
        "NEAR(a b)",
        "x AND",
        "(",
        "-x",
        "^x",
        "a + b",
        "tags : r1",
        'say "half',
        "a*b*",
    ],
)
def test_nothing_that_people_type_is_taken_for_syntax(tmp_path: Path, query: str) -> None:
    async def story(library: Library) -> None:
        library.log.message(library.alice, [library.bob], f"they typed {query} there")
        library.log.message(library.alice, [library.bob], "something else")
        library.take()
        if any(char.isalnum() for char in query):
            assert await library.finds(query) == [f"they typed {query} there"]
        else:
            with pytest.raises(UsageError, match="nothing to search for"):
                await library.finds(query)

    told(tmp_path, story)


def test_match_expression_quotes_every_word() -> None:
    assert match_expression('one "two three" fo*') == '"one" AND "two three" AND "fo*" *'


def test_search_never_finds_old_or_deleted_texts(tmp_path: Path) -> None:
    async def story(library: Library) -> None:
        first = library.log.message(library.alice, [library.bob], "sesame one")
        second = library.log.message(library.alice, [library.bob], "sesame two")
        library.take()
        assert len(await library.finds("sesame")) == 2
        library.log.edit(first, "barley one")
        library.log.delete(second)
        library.take()
        assert await library.finds("sesame") == []
        assert await library.finds("barley") == ["barley one"]
        library.log.add(core.PurgeExecuted, cutoff="2030-01-01T00:00:00Z", by="alice")
        library.take()
        assert await library.finds("barley") == []

    told(tmp_path, story)


def test_deleted_words_leave_the_files_of_the_index(tmp_path: Path) -> None:
    async def story(library: Library) -> None:
        for number in range(300):
            library.log.message(library.alice, [library.bob], f"filler {number}")
        secret = library.log.message(library.alice, [library.bob], "zebrasesame")
        library.take()
        await library.search.settle()
        library.log.delete(secret)
        library.take()
        await library.search.settle()
        await library.search.scrub()
        for file in tmp_path.glob("search.db*"):
            assert b"zebrasesame" not in file.read_bytes(), file
        assert len((await library.search.find("filler", limit=400)).hits) == 300

    told(tmp_path, story)


def test_deleted_words_leave_the_index_also_when_as_much_is_new_at_the_same_time(tmp_path: Path) -> None:
    async def story(library: Library) -> None:
        secret = library.log.message(library.alice, [library.bob], "zebrasesame")
        library.take()
        await library.search.settle()
        library.log.delete(secret)
        library.log.message(library.bob, [library.alice], "an answer that came meanwhile")
        library.take()
        await library.search.settle()
        await library.search.scrub()
        for file in tmp_path.glob("search.db*"):
            assert b"zebrasesame" not in file.read_bytes(), file
        assert await library.finds("meanwhile") == ["an answer that came meanwhile"]

    told(tmp_path, story)


def test_search_is_narrowed_like_an_inbox(tmp_path: Path) -> None:
    async def story(library: Library) -> None:
        log, alice, bob = library.log, library.alice, library.bob
        log.message(alice, [bob], "word a", scopes=[core.Label("module", "m")])
        log.message(bob, [alice], "word b", thread_id="thr_1", refs=[core.Label("issue", "7")])
        log.message(alice, [alice], "word c", audience=[core.Label("role", "tester")])
        log.receipt(alice, "WA", [(3, 4)])
        log.message(bob, [alice], "word d")
        library.take()
        a, b = library.key(alice), library.key(bob)
        assert await library.finds("word", recipient=b) == ["word a"]
        assert await library.finds("word", party=b) == ["word a", "word b", "word d"]
        assert await library.finds("word", recipient=a, unread=True) == ["word d"]
        assert await library.finds("word", filter_=Filter(author=a)) == ["word a", "word c"]
        assert await library.finds("word", filter_=Filter(not_author=a)) == ["word b", "word d"]
        assert await library.finds("word", filter_=Filter(scope=("module", "m"))) == ["word a"]
        assert await library.finds("word", filter_=Filter(scope=("module", "x"))) == []
        assert await library.finds("word", filter_=Filter(ref=("issue", "7"))) == ["word b"]
        assert await library.finds("word", filter_=Filter(mention=["tester", "bob"])) == ["word a", "word c"]
        assert await library.finds("word", filter_=Filter(thread="thr_1")) == ["word b"]
        assert await library.finds("word", filter_=Filter(thread="thr_x")) == []
        assert await library.finds("word", filter_=Filter(after_us=START_US + 6000)) == ["word d"]
        # the words of narrowing are no words of a text
        assert await library.finds(f"w{a}") == []

    told(tmp_path, story)


def test_hits_are_ranked_and_show_where_they_are(tmp_path: Path) -> None:
    async def story(library: Library) -> None:
        library.log.message(library.alice, [library.bob], "panic " + "filler " * 40)
        library.log.message(library.alice, [library.bob], "panic panic")
        library.take()
        found = await library.search.find("panic", limit=1)
        assert library.texts(found) == ["panic panic"]
        assert (found.total, found.total_text, found.has_more) == (2, "2", False)
        assert found.hits[0].snippet == "[panic] [panic]"
        assert library.texts(await library.search.find("panic", limit=1, offset=1))[0].startswith(
            "panic filler"
        )
        assert (await library.search.find("panic", offset=2)).hits == ()

    told(tmp_path, story)


def test_too_many_hits_come_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "RANKED", 10)

    async def story(library: Library) -> None:
        for number in range(12):
            library.log.message(library.alice, [library.bob], f"often {number}")
        library.take()
        found = await library.search.find("often", limit=2)
        assert found.total_text == "10+"
        assert library.texts(found) == ["often 11", "often 10"]

    told(tmp_path, story)


def test_search_tells_its_progress_while_it_is_filled(tmp_path: Path) -> None:
    async def tell() -> None:
        library = Library(tmp_path)
        library.log.message(library.alice, [library.bob], "word")
        library.take()
        with pytest.raises(Projecting, match="indexing 0 %"):
            await library.search.find("word")
        await library.search.settle()
        assert await library.finds("word") == ["word"]
        await library.search.close()
        library.cache.close()

    asyncio.run(tell())


def test_search_after_a_swap_is_filled_anew(tmp_path: Path) -> None:
    async def story(library: Library) -> None:
        library.log.message(library.alice, [library.bob], "before")
        library.take()
        assert await library.finds("before") == ["before"]
        target = tmp_path / "new.db"
        replay.rebuild(library.log.batches, target, core_types(), clock=FixedClock())
        library.cache.swap(target)
        with pytest.raises(Projecting, match="indexing"):
            await library.finds("before")
        library.log.message(library.alice, [library.bob], "after the swap")
        library.take()
        await library.search.settle()
        assert await library.finds("before") == ["before"]
        assert await library.finds("after") == ["after the swap"]
        assert library.cache.read("SELECT count(*) FROM message") == [(2,)]

    told(tmp_path, story)


def test_index_is_taken_up_again_where_it_was_left(tmp_path: Path) -> None:
    async def story(library: Library) -> None:
        library.log.message(library.alice, [library.bob], "first")
        library.take()
        await library.search.close()
        library.log.message(library.alice, [library.bob], "second")
        library.take()
        library.search = Search(library.cache, tmp_path / "search.db")
        await library.search.settle()
        assert await library.finds("first") == ["first"]
        assert await library.finds("second") == ["second"]

    told(tmp_path, story)


def test_index_that_is_ahead_of_its_cache_is_made_anew(tmp_path: Path) -> None:
    async def story(library: Library) -> None:
        library.log.message(library.alice, [library.bob], "lost")
        library.take()
        await library.search.settle()
        await library.search.close()
        # As after a power failure: the cache has forgotten, and counts from the start.
        with library.cache.transaction() as db:
            db.execute("DELETE FROM change")
            db.execute("UPDATE sqlite_sequence SET seq = 0")
            db.execute("UPDATE message SET body = 'again'")
        library.search = Search(library.cache, tmp_path / "search.db")
        await library.search.settle()
        assert await library.finds("again") == ["again"]
        assert await library.finds("lost") == []

    told(tmp_path, story)


@pytest.mark.parametrize("content", [b"", b"no index at all" * 500])
def test_useless_index_file_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "search.db").write_bytes(content)

    async def story(library: Library) -> None:
        library.log.message(library.alice, [library.bob], "word")
        library.take()
        assert await library.finds("word") == ["word"]

    told(tmp_path, story)


def test_service_indexes_what_it_is_told_of(tmp_path: Path) -> None:
    async def story(library: Library) -> None:
        started = asyncio.Event()
        service = asyncio.create_task(library.search.run(started.set))
        await started.wait()
        library.log.message(library.alice, [library.bob], "word")
        library.take()
        library.search.note()
        while library.cache.indexed_change < 1:  # noqa: ASYNC110 - the index has no event to wait for
            await asyncio.sleep(0.001)
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
        assert await library.finds("word") == ["word"]

    told(tmp_path, story)


def test_an_index_that_cannot_be_written_is_tried_again_until_it_can(tmp_path: Path) -> None:
    async def story(library: Library) -> None:
        library.log.message(library.alice, [library.bob], "the build is red")
        library.take()
        folder = tmp_path / "gone"
        search = Search(library.cache, folder / "search.db")
        task = asyncio.create_task(search.run(lambda: None))
        try:
            await asyncio.sleep(0)
            tried = search_module.TAKE_EVERY_S + search_module.FIRST_PAUSE_S / 2
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(task), tried)  # it neither ends nor fails
            folder.mkdir()
            for _ in range(1000):
                if search.percent is None:
                    break
                await asyncio.sleep(0.02)
            assert search.percent is None and (await search.find("red")).total == 1 and not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await search.close()

    told(tmp_path, story)
