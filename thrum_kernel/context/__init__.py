"""What an agent keeps for itself beside its messages: saved context, preamble, overlay, the project's state."""

from thrum_kernel.context.room import Contexts

__all__ = ["Contexts"]
