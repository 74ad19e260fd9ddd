"""The machinery of plugins: found, checked, loaded, called one by one, and never able to hurt a message.

`host.PluginHost` is what the daemon and the commands use; `hookspecs` is the reference of the hooks.
"""
