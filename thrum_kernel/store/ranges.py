"""Published files: cutting, scanning, reading and rolling up, under one name.

The pieces: `names` (what file names say), `units` (first lines), `tree` (folders, writing), `cut`, `held` (what a cut
kept back), `scan`, `read`, `rollup`, `filter` (purging).
"""

from thrum_kernel.store.cut import Judge, cut, shard_of
from thrum_kernel.store.filter import Filtered, filter_copied, filter_quarantine, filter_strays, filter_units
from thrum_kernel.store.held import HeldLine, Release, filter_held, keep, note_released, read_held, releases
from thrum_kernel.store.names import Window, folder_name, parse_name, range_name
from thrum_kernel.store.read import LogLine, Ranges, read_events, read_log, read_messages, read_window
from thrum_kernel.store.rollup import count_fewer, plan, roll_up
from thrum_kernel.store.scan import Problem, Scan, is_complete, scan, strays
from thrum_kernel.store.tree import READER, Line, Tree
from thrum_kernel.store.units import ShardEntry, Unit, UnitHeader

__all__ = [
    "READER",
    "Filtered",
    "HeldLine",
    "Judge",
    "Line",
    "LogLine",
    "Problem",
    "Ranges",
    "Release",
    "Scan",
    "ShardEntry",
    "Tree",
    "Unit",
    "UnitHeader",
    "Window",
    "count_fewer",
    "cut",
    "filter_copied",
    "filter_held",
    "filter_quarantine",
    "filter_strays",
    "filter_units",
    "folder_name",
    "is_complete",
    "keep",
    "note_released",
    "parse_name",
    "plan",
    "range_name",
    "read_events",
    "read_held",
    "read_log",
    "read_messages",
    "read_window",
    "releases",
    "roll_up",
    "scan",
    "shard_of",
    "strays",
]
