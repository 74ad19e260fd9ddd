"""The process that starts, reads and ends the commands of all monitors, so that the daemon's loop never does.

It imports nothing of the kernel. The daemon tells it what to do on its standard input and hears of what happens on its
standard output (`thrum_monitor.frames`); when either end is gone it ends every command and itself.
"""
