"""Callers of whom it is known where they stand but not who they are.

Here and not where callers are resolved: whatever handles a call may ask, and none of the rooms that resolve callers is
loaded for that.
"""

from __future__ import annotations

from thrum_kernel.api import Call, Caller
from thrum_kernel.errors import GuardFired, IdentityAmbiguous


class AmbiguousHere(IdentityAmbiguous):
    """Several identities fit; who calls is not known, but where it stands is.

    Attributes:
        caller: the caller as an anonymous one, for what is done for a place and not in a name.
    """

    def __init__(self, error: IdentityAmbiguous, caller: Caller) -> None:
        super().__init__(error.candidates, damaged=error.damaged, ignored_name=error.ignored_name)
        self.caller = caller


class StrangerHere(GuardFired):
    """The caller is not who it claims, or not whose place it stands in.

    Attributes:
        caller: the caller as an anonymous one, for guards that judge it all the same.
    """

    def __init__(self, error: GuardFired, caller: Caller) -> None:
        super().__init__(error.guard, error.reason, facts=error.facts, hint=error.hint)
        self.caller = caller


def standing(call: Call) -> Caller:
    """The caller, as an anonymous one where several identities fit: for what is done for a place."""
    try:
        return call.caller
    except AmbiguousHere as error:
        return error.caller
