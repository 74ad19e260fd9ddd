"""Who an agent is, on disk and as a caller.

`model` the identity file, `files` reading and writing it, `processes` the names of runtimes, `probe` what the system
says about a process, `world` what is registered where, `resolve` who that makes the caller, `select` which of several
identity files a command takes.
"""
