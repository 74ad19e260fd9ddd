"""What a plugin may do to a database, and what its projectors cost others: nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from thrum_kernel.api import Event, EventType, Migration, PluginManifest, Projector, Tables
from thrum_kernel.events import EventTypes
from thrum_kernel.plugins.confined import OwnTables, Permits, Reader, confined
from thrum_kernel.plugins.projecting import PluginProjectors
from thrum_kernel.plugins.record import LoadFailed, Plugin, Source
from thrum_kernel.plugins.tables import check_tables, owner_of

MANIFEST = PluginManifest(name="acme", summary="x", api=1, hooks="acme.hooks", tables=("special",))
OWNS = owner_of(MANIFEST)


@pytest.fixture
def db(tmp_path: Path) -> Any:
    connection = sqlite3.connect(tmp_path / "local.db", isolation_level=None)
    connection.executescript(
        "CREATE TABLE acme_note (id INTEGER PRIMARY KEY, text TEXT); CREATE TABLE special (x);"
        "CREATE TABLE token (hash TEXT); INSERT INTO token VALUES ('secret')"
    )
    yield connection
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO acme_note (text) VALUES ('a')",
        "UPDATE acme_note SET text = upper(text) WHERE id IN (SELECT x FROM special)",
        "DELETE FROM special",
        "SELECT count(*) FROM acme_note",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i FROM n",
    ],
)
def test_its_own_tables_may_be_read_and_changed(db: sqlite3.Connection, statement: str) -> None:
    confined(db, OWNS, lambda own: own.execute(statement).fetchall())


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM token",
        "DELETE FROM token",
        "INSERT INTO acme_note (text) SELECT hash FROM token",
        "DROP TABLE acme_note",
        "CREATE TABLE acme_more (x)",
        "ATTACH ':memory:' AS other",
        "PRAGMA writable_schema = ON",
        "COMMIT",
        "ROLLBACK",
        "SELECT load_extension('x')",
    ],
)
def test_everything_else_is_refused_and_the_connection_is_as_before(
    db: sqlite3.Connection, statement: str
) -> None:
    db.execute("BEGIN")

    with pytest.raises(sqlite3.DatabaseError, match=r"not authorized|prohibited"):
        confined(db, OWNS, lambda own: own.execute(statement).fetchall())

    assert db.execute("SELECT hash FROM token").fetchall() == [("secret",)]
    db.execute("ROLLBACK")


def test_a_reader_looks_at_what_it_may_and_changes_nothing(db: sqlite3.Connection, tmp_path: Path) -> None:
    db.execute("INSERT INTO acme_note VALUES (1, 'mine')")
    own, everything = (Reader(tmp_path / "local.db", OWNS, reads_all=reads) for reads in (False, True))

    assert own.read("SELECT text FROM acme_note", ()) == [("mine",)]
    with pytest.raises(sqlite3.DatabaseError, match="prohibited"):
        own.read("SELECT * FROM token", ())
    assert everything.read("SELECT hash FROM token", ()) == [("secret",)]
    for reader in (own, everything):
        with pytest.raises(sqlite3.DatabaseError):
            reader.read("DELETE FROM acme_note", ())
        reader.close()


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (Tables(projected=("CREATE TABLE other (x)",)), "not authorized"),
        (Tables(projected=("CREATE TABLE acme_x (x)", "CREATE INDEX other ON acme_x (x)")), "not authorized"),
        (Tables(projected=("CREATE TABEL acme_x (x)",)), "syntax error"),
        (
            Tables(local=(Migration("acme.1", ("CREATE TABLE acme_x (x)", "DROP TABLE token")),)),
            "no such table|not authorized",
        ),
        (Tables(local=(Migration("other.1", ()),)), 'called "acme'),
        (Tables(local=(Migration("acme.1", ()), Migration("acme.1", ()))), "one name twice"),
    ],
)
def test_statements_are_tried_before_anything_real_is_touched(tables: Tables, told: str) -> None:
    with pytest.raises(LoadFailed, match=told):
        check_tables(MANIFEST, tables)


def test_tables_with_indexes_triggers_and_later_steps_are_fine() -> None:
    check_tables(
        MANIFEST,
        Tables(
            projected=(
                "CREATE TABLE acme_x (id INTEGER PRIMARY KEY, text TEXT UNIQUE)",
                "CREATE INDEX acme_x_text ON acme_x (text)",
                "CREATE VIEW acme_v AS SELECT text FROM acme_x",
                "CREATE TRIGGER acme_t AFTER INSERT ON acme_x BEGIN DELETE FROM acme_x WHERE text IS NULL; END",
            ),
            local=(
                Migration("acme.1", ("CREATE TABLE acme_y (x)", "INSERT INTO acme_y VALUES (1)")),
                Migration("acme.2", ("ALTER TABLE acme_y ADD COLUMN y DEFAULT 0", "UPDATE acme_y SET y = 1")),
            ),
        ),
    )


# --- projectors ------------------------------------------------------------------------------------------------------


class Noted(Event, kw_only=True, tag="acme.noted"):
    text: str


SCHEMA = "CREATE TABLE acme_note (text TEXT); CREATE TABLE message (id INTEGER PRIMARY KEY, body TEXT);"


def event(text: str) -> Noted:
    return Noted(event_id=f"evt_{text}", timestamp="", origin_daemon="d", text=text)


def project(apply: Any, *events: Noted, has_signals: bool = True) -> tuple[list[Any], Plugin]:
    """The tables and the plugin after a projector worked on events, beside a kernel that wrote a message."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(SCHEMA)
    db.execute("INSERT INTO message VALUES (1, 'safe')")
    types = EventTypes([EventType("acme.noted", Noted)])
    rules: dict[Any, Any] = {}
    projectors = PluginProjectors(rules, types, has_signals=lambda: has_signals)
    projectors.permit([SCHEMA])
    plugin = Plugin(Source("acme", "acme-acme", "1.0", lambda: None))
    projectors.add(plugin, OWNS, Projector("acme.noted", apply))
    db.execute("BEGIN")
    for one in events:
        rules[Noted](db, one)
    db.execute("COMMIT")
    rows = db.execute("SELECT text FROM acme_note ORDER BY 1").fetchall()
    assert db.execute("SELECT body FROM message").fetchall() == [("safe",)]
    db.close()
    return [text for (text,) in rows], plugin


@pytest.mark.parametrize("has_signals", [True, False])
def test_an_interrupt_of_a_projector_is_its_own_where_ctrl_c_is_a_signal(has_signals: bool) -> None:
    def apply(db: Any, event: Noted) -> None:
        raise KeyboardInterrupt

    if not has_signals:
        with pytest.raises(KeyboardInterrupt):
            project(apply, event("a"), has_signals=False)
        return
    rows, plugin = project(apply, event("a"))
    assert rows == [] and "KeyboardInterrupt" in plugin.troubles["projector of acme.noted"]


def test_a_projector_that_raises_costs_its_plugin_that_row_and_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def apply(db: Any, event: Noted) -> None:
        db.execute("INSERT INTO acme_note VALUES (?)", (event.text,))
        if event.text.startswith("bad"):
            raise ValueError("cannot project")

    rows, plugin = project(apply, event("a"), event("bad"), event("bad2"), event("z"))

    assert rows == ["a", "z"]
    trouble = plugin.troubles["projector of acme.noted"]
    assert "2 event(s) are missing" in trouble and "thrum plugin rebuild acme" in trouble
    assert (
        sum(
            "acme-acme 1.0" in record.getMessage() for record in caplog.records if record.levelname == "ERROR"
        )
        == 1
    )


@pytest.mark.parametrize(
    "statement", ["DELETE FROM message", "UPDATE message SET body = 'x'", "DROP TABLE message", "COMMIT"]
)
def test_a_projector_cannot_touch_what_is_not_its_own(statement: str) -> None:
    def apply(db: Any, event: Noted) -> None:
        db.execute(statement)

    _, plugin = project(apply, event("a"))

    assert "not authorized" in plugin.troubles["projector of acme.noted"]


def test_a_projector_may_look_at_everything_and_write_many_rows() -> None:
    def apply(db: Any, event: Noted) -> None:
        ((body,),) = db.execute("SELECT body FROM message").fetchall()
        db.executemany("INSERT INTO acme_note VALUES (?)", [(event.text,), (body,)])
        db.executemany("INSERT INTO acme_note VALUES (?)", [])

    assert project(apply, event("a"))[0] == ["a", "safe"]


def test_a_statement_is_judged_once() -> None:
    permits = Permits([SCHEMA])
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA)
    own: Any = OwnTables(db, OWNS, permits)
    for number in range(3):
        own.execute("INSERT INTO acme_note VALUES (?)", (number,))

    assert len(permits._good) == 1
    permits.close()
    db.close()
