"""What publishing does to the files: cut journals, roll up, purge, tidy. Blocking, one call at a time.

`Publisher` decides when; this class knows what. After an error it forgets what it believed about the files and looks
again before the next work, so every call may be repeated.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from thrum_kernel.errors import FileDamaged, FileMissing
from thrum_kernel.store import ranges
from thrum_kernel.store.files import drop, remove_temporary
from thrum_kernel.store.filter import count_filtered
from thrum_kernel.store.journal import Ended
from thrum_kernel.store.names import daemon_folder
from thrum_kernel.store.purge import Purges, is_purging, purges_in
from thrum_kernel.store.ranges import HeldLine, Line, Release, Scan, Tree, Unit
from thrum_kernel.store.rollup import FAN_IN
from thrum_kernel.store.scan import covered
from thrum_kernel.store.shared import SharedTexts
from thrum_kernel.store.spans import Coverage
from thrum_kernel.sync.holding import Holding
from thrum_kernel.sync.journals import Journals, Place
from thrum_kernel.sync.known import purges_of

_log = logging.getLogger(__name__)


class PurgeDone(NamedTuple):
    """What a purge did to the published files.

    Attributes:
        message_files: how many message files were written anew or removed.
        events: how many lines left the events files.
        is_complete: whether no file had to be left as it was since it is damaged.
    """

    message_files: int
    events: int
    is_complete: bool


class Cutter:
    """Publishes the journals of one daemon.

    Args:
        tree: the log.
        daemon: the id of the daemon that owns the journals.
        message_types: the types that lie in message files.
        ended: the journals that `journal.recover` found at this start.
        fan_in: how many neighbouring units are rolled up into one.
        scan: names of the patterns that a line matches and that must not travel; none for nearly every line.

    Attributes:
        holding: what is held back, as the last look at the files found it.
    """

    def __init__(
        self,
        tree: Tree,
        *,
        daemon: str,
        message_types: Container[str],
        ended: Sequence[Ended] = (),
        fan_in: int = FAN_IN,
        scan: Callable[[bytes], Sequence[str]] = lambda line: (),
    ) -> None:
        self.tree = tree
        self.holding = Holding(tree, daemon, scan)
        self._daemon = daemon
        self._message_types = message_types
        self._fan_in = fan_in
        self._journals = Journals(tree, daemon, ended)
        # A journal that could not be brought to its end stays, and those after it, which say where that is.
        self._may_drop = all(found.is_clean for found in ended)
        self._units: list[Unit] = []
        self._coverage = Coverage()
        self._new_purges = Purges()
        self._known_purges: Purges | None = None
        self._is_open = False
        self._is_tidy = False
        self._let_go = 0  # lines that `release` published and no cut has told of
        self._must_sync = False  # a purge was broken off: what it removed may come back with a power cut

    def cut(self, current: Place, *, ended: Place | None = None) -> int:
        """Publish what is durable in all journals and remove those that are ended; how many events.

        Those that `release` published since the last cut are among them.

        Args:
            current: the writer that may be appending now, and how far that is durable; an empty writer for none.
            ended: a journal that was ended just now, when there is one.

        Raises:
            StoreError: the disk refuses; what was published counts, and the rest is tried again by the next call.
        """
        try:
            return self._cut(current, ended)
        except FileMissing:  # somebody took the published files away since we looked: look again
            return self._cut(current, ended)

    def roll_up(self, current: str, *, fan_in: int | None = None) -> int:
        """Roll up what is worth it; how many units became fewer.

        Args:
            current: the writer that lives.
            fan_in: how many neighbours are worth it this time.
        """
        with self._opened():
            rolled = 0
            while runs := ranges.plan(self._rollable(), current=current, fan_in=fan_in or self._fan_in):
                for run in runs:
                    rolled += self._roll_up_one(run)
            return rolled

    def could_roll_up(self, current: str, *, fan_in: int) -> int:
        """How many units there would be fewer after a roll-up; changes nothing."""
        found = ranges.scan(self.tree)
        own = [unit for unit in found.units if unit.daemon == self._daemon]
        return ranges.count_fewer(own, current=current, fan_in=fan_in)

    def unpublished(self, current: Place) -> int:
        """How many durable events `cut` would publish; publishes nothing."""
        with self._opened():
            missing = [
                self._coverage.of(place.writer).missing(1, place.sequence)
                for _, place, _ in self._journals.known(current)
            ]
            return sum(last - first + 1 for spans in missing for first, last in spans)

    @property
    def has_purges(self) -> bool:
        """Whether a purge or deletion was cut, or found unfinished, whose text is still in files."""
        return bool(self._new_purges) or self.tree.is_pending

    @property
    def has_cutoff(self) -> bool:
        """Whether what `has_purges` tells of is more than deletions of single messages."""
        return bool(self._new_purges.cutoff or self._new_purges.sessions) or not self._new_purges

    @property
    def known_purges(self) -> Purges:
        """Everything that was ever purged or deleted, as far as this log knows; the first look reads all of it."""
        if self._known_purges is None:
            self._known_purges = purges_of(self.tree)
        return self._known_purges

    @property
    def known_cutoff(self) -> str:
        """The latest cutoff of the purges that were looked at so far; empty when none was."""
        known = self._known_purges or self._new_purges
        return known.cutoff

    def release(self, new: Sequence[Release], brought: Sequence[HeldLine] = ()) -> None:
        """Let held lines travel.

        Args:
            new: a note for each, of those that were journalled again and of those in *brought*.
            brought: lines that a migration held back, which are published now where they were left out.

        Raises:
            StoreError: the disk refuses; what was not published or noted is still held back.
        """
        with self._opened():
            for unit in self.holding.write_units(brought, self._message_types):
                self._coverage.add(*unit.windows[0])
                self._let_go += unit.lines
            self.holding.release(new)
            self.holding.look(self._coverage)

    def forget(self) -> None:
        """Published files were taken away: look at what is there before the next work."""
        self._is_open = False

    def came(self, units: Sequence[Unit]) -> None:
        """A merge brought *units*: ours among them, as after a restore, are looked at before the next work.

        So are those of a daemon that this log was copied from: what they hold need not stay in a journal here.
        """
        daemons = {unit.daemon for unit in units}
        if (
            self.holding.came(units)
            or self._daemon in daemons
            or (daemons and any(True for _ in self._journals.copied()))
        ):
            self.forget()

    def learn(self, purges: Purges) -> None:
        """Note durably what another clone purged or deleted: the next publish takes it out of every file."""
        if purges:
            self.tree.mark_pending()
            self._note_purges(purges)

    def preview(self, purges: Purges) -> PurgeDone:
        """What `purges` would do; changes nothing."""
        return PurgeDone(*count_filtered(self.tree, ranges.scan(self.tree).units, purges), is_complete=True)

    def purge(self) -> PurgeDone:
        """Take everything purged or deleted out of every published file of every daemon, out of what is held back,
        and out of quarantine.

        The journals must have been ended and cut before. Found unfinished at a start, everything that was ever purged
        is taken out again; else only what is new since the last time.

        Raises:
            StoreError: the disk refuses; it is done again by the next call.
        """
        with self._opened():
            purges = self._new_purges or purges_of(self.tree)
            self.tree.mark_pending()
            found = ranges.scan(self.tree)
            done = ranges.filter_units(self.tree, [*found.units, *found.superseded], purges)
            problems = [*done.problems, *ranges.filter_held(self.tree, purges)]
            for problem in problems:
                _log.warning("purge: %s: %s", problem.path, problem.text)
            self.holding.look(self._coverage)
            ranges.filter_quarantine(self.tree, purges)
            SharedTexts(self.tree).drop_lower(purges)
            self._purge_copied(purges)
            remove_temporary(self.tree.disk, self.tree.temporary)
            found = self._look()
            if self._must_sync:
                for folder in sorted({path.parent for unit in found.units for path in unit.paths}):
                    self.tree.disk.sync_folder(self.tree.published / folder)
                self._must_sync = False
            rest = covered(self.tree, ranges.strays(self.tree, found), self._coverage)
            ranges.filter_strays(self.tree, rest, purges)
            self._tidy()
            self.tree.clear_pending()
            self._new_purges = Purges()
            return PurgeDone(done.message_files, done.events, not problems)

    def _purge_copied(self, purges: Purges) -> None:
        """Remove copied journals that hold something that goes; the rest of them comes from whom they belong to."""
        paths = [path for path, _ in self._journals.copied()]
        for path in ranges.filter_copied(self.tree, paths, purges):
            _log.warning(
                "%s is removed: the daemon it was copied from publishes what a purge left of it", path.name
            )

    # what it believes

    @contextlib.contextmanager
    def _opened(self) -> Iterator[None]:
        """Look at the files when nothing is known about them; know nothing any more after an error."""
        if not self._is_open:
            self.tree.forget_folders()  # somebody may have taken them away
            self.tree.prepare()
            self._look()
            self.holding.look(self._coverage)
            if self.tree.is_pending:
                self._note_purges(purges_of(self.tree))
                self._must_sync = True
            self._is_open, self._is_tidy = True, False
        try:
            yield
        except BaseException:
            self._is_open = False
            self._journals.forget()
            self.tree.forget_folders()
            raise

    def _look(self) -> Scan:
        found = ranges.scan(self.tree)
        for problem in found.problems:
            _log.warning("published files: %s: %s", problem.path, problem.text)
        self._coverage = found.coverage
        units = [group[0] for group in found.groups if len(group) == 1 and group[0].daemon == self._daemon]
        own = self.tree.own_writers()
        if own is None:  # no record, or it was taken away: what is there counts as ours
            own = frozenset(window.writer for unit in units for window in unit.windows)
            own -= self.tree.other_writers()
            self.tree.record_writers(own)
        # What a copy of this log rolled up under our id holds writers of its own beside ours: it is joined with what
        # we rolled up, for nobody else may be there any more to do it.
        self._units = [unit for unit in units if any(window.writer in own for window in unit.windows)]
        return found

    # journals

    def _cut(self, current: Place, ended: Place | None) -> int:
        with self._opened():
            if ended is not None and ended.writer:
                self._journals.ended(ended)
            published, self._let_go = self._let_go, 0
            for path, place, is_over in self._journals.known(current):
                published += self._cut_one(path, place)
                if is_over and self._is_published(place) and self._may_drop:
                    drop(self.tree.disk, [path])  # one at a time: a later journal says where this one ended
            if not self._is_tidy:
                self._tidy()
            return published

    def _cut_one(self, path: Path, place: Place) -> int:
        """Publish what is not published yet of one journal up to *place*; how many events."""
        published = 0
        for first, last in self._coverage.of(place.writer).missing(1, place.sequence):
            self.tree.record_writers([place.writer])
            lines = self._watched(self._journals.read(path, place.writer, first, last))
            units = ranges.cut(
                self.tree,
                lines,
                daemon=self._daemon,
                message_types=self._message_types,
                judge=self.holding.reasons,
            )
            for unit in units:
                self._units.append(unit)
                self._coverage.add(*unit.windows[0])
                published += unit.lines + unit.held
                if unit.held:
                    self.holding.look(self._coverage)
        if not self._is_published(place):
            _log.error("%s does not hold every event up to %d; see: thrum log verify", path, place.sequence)
        return published

    def _is_published(self, place: Place) -> bool:
        return place.sequence == 0 or self._coverage.covers(place.writer, 1, place.sequence)

    def _watched(self, lines: Iterator[Line]) -> Iterator[Line]:
        """*lines*, noting purges durably before anything is published that they are about."""
        for line in lines:
            if is_purging(line.line):
                self.tree.mark_pending()
                self._note_purges(purges_in([line.line]))
            yield line

    def _note_purges(self, purges: Purges) -> None:
        self._new_purges |= purges
        if self._known_purges is not None:
            self._known_purges |= purges

    # rolling up, tidying

    def _rollable(self) -> list[Unit]:
        return sorted(self._units, key=lambda unit: unit.key)

    def _roll_up_one(self, run: list[Unit]) -> int:
        gone = {unit.path for unit in run}
        self._units = [unit for unit in self._units if unit.path not in gone]
        try:
            self._units.append(ranges.roll_up(self.tree, run))
        except (FileDamaged, FileMissing) as error:
            _log.warning("roll-up left out: %s", error)  # the run is not tried again before the next start
            return 0
        return len(run) - 1

    def _tidy(self) -> None:
        """Remove what an unfinished cut, roll-up or purge of ours left behind, once its events are published."""
        found = ranges.scan(self.tree)
        own = [unit for unit in found.superseded if unit.daemon == self._daemon]
        self.tree.drop(own, keep=found.units)
        folder = Path("messages", daemon_folder(self._daemon))
        rest = [path for path in ranges.strays(self.tree, found) if path.is_relative_to(folder)]
        gone = covered(self.tree, rest, self._coverage)
        drop(self.tree.disk, [self.tree.published / path for path in gone])
        drop(self.tree.disk, [path for path, place in self._journals.copied() if self._is_published(place)])
        self._is_tidy = True
