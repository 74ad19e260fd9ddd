"""The source of a plugin that has an event, tables, methods and an ear for every event."""

from __future__ import annotations

DIARY = '''
class DiaryWritten(Event, kw_only=True, tag="diary.written"):
    text: str

class Add(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to write."""
    text: str

@hookimpl
def thrum_event_types(ctx):
    return [EventType("diary.written", DiaryWritten)]

@hookimpl
def thrum_migrations(ctx):
    return Tables(
        projected=("CREATE TABLE diary_entry (event_id TEXT PRIMARY KEY, text TEXT NOT NULL)",),
        local=(Migration("diary.0001_heard", ("CREATE TABLE diary_heard (event_id TEXT PRIMARY KEY, type TEXT)",)),),
    )

def written(db, event):
    db.execute("INSERT OR IGNORE INTO diary_entry VALUES (?, ?)", (event.event_id, event.text))

@hookimpl
def thrum_projectors(ctx):
    return [Projector("diary.written", written)]

@hookimpl
def thrum_methods(ctx):
    async def add(call, params):
        return {"event_id": await ctx.emit("diary.written", text=params.text)}
    def entries(call, params):
        return {"entries": [text for (text,) in ctx.read("SELECT text FROM diary_entry ORDER BY event_id")]}
    def heard(call, params):
        return {"heard": ctx.read("SELECT type FROM diary_heard ORDER BY event_id", local=True)}
    class No(msgspec.Struct): "Nothing."
    return [
        Method("diary.add", Add, dict, add, "Write", mutates=True, anonymous=True),
        Method("diary.list", No, dict, entries, "Read", anonymous=True),
        Method("diary.heard", No, dict, heard, "What it heard", anonymous=True),
    ]

@hookimpl
async def thrum_event_committed(ctx, event):
    await ctx.write(lambda db: db.execute("INSERT INTO diary_heard VALUES (?, ?)", (event.event_id, event.type)))
'''
