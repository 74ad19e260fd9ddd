"""What of the earlier layouts the remote has, as far as this clone saw it: it left the machine, and is no secret of it.

Only what was fetched from the remote counts, or pushed to it: branches of it, as this repository remembers them. Nobody
is asked. What is missed here is taken for something that never left, which is the safe way to be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from thrum_kernel import git
from thrum_kernel.errors import GitFailed
from thrum_kernel.gitdir import Place
from thrum_kernel.migrate.facts import Edit, Message
from thrum_kernel.migrate.places import BRANCH, MONOLITHS, GitFolder, Layout, Source, sources_in
from thrum_kernel.migrate.sifting import Text

_TRUNKS: Final = ("HEAD", "main", "master")


def texts_on(place: Place, remote: str) -> frozenset[Text]:
    """Every text that earlier layouts hold on the branches of *remote*.

    Raises:
        GitFailed: git cannot be asked.
    """
    return frozenset(
        (fact.message_id, fact.content, fact.structured)
        for source in _sources(place, remote)
        if source.load is not None
        for fact in source.records(source.load())
        if isinstance(fact, Message | Edit)
    )


def _sources(place: Place, remote: str) -> Iterator[Source]:
    answer = git.run(place, "for-each-ref", "--format=%(refname) %(objectname)", f"refs/remotes/{remote}/")
    if not answer.ok:
        raise GitFailed("for-each-ref", answer.error)
    seen = set()
    for ref, _, commit in (line.partition(" ") for line in answer.text.splitlines()):
        branch = ref.removeprefix(f"refs/remotes/{remote}/")
        if commit not in seen and (branch in _TRUNKS or branch.startswith(BRANCH)):
            seen.add(commit)
            for folder, layout in _folders(place, ref, branch):
                yield from sources_in(folder, layout)


def _folders(place: Place, ref: str, branch: str) -> Iterator[tuple[GitFolder, Layout]]:
    if branch.startswith(BRANCH):
        yield GitFolder(place, ref), "branch"
        return
    yield GitFolder(place, ref, only=MONOLITHS), "monolith"
    yield GitFolder(place, ref, ".thrum/", only=(".thrum/",)), "local"
    yield GitFolder(place, ref, ".thrum/sync/", only=(".thrum/sync/",)), "folder"
