"""The one way in for an event: journal, then projection, then everyone who listens."""

from thrum_kernel.commit.committer import Committer

__all__ = ["Committer"]
