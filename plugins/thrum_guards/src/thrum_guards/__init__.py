"""Identity guards: named checkpoints that keep an agent from acting under another's identity by mistake.

Forged claims and anonymous writes are refused by the kernel itself, with or without this plugin. What is added here
judges callers whom the kernel would let through: a runtime that nobody registered in somebody's worktree, an agent that
registers itself anew, a name whose owner is running, a briefing for somebody else.

``checkpoints`` decides, purely; ``modes`` says what becomes of it; ``settings`` is where the modes come from; ``hooks``
is what Thrum calls.
"""
