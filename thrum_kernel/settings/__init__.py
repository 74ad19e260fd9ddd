"""What holds, and where each value comes from.

`document` config.json with provenance, `sections` what keys there are, `core` the kernel's own keys, `methods`
``config.show|set``, `daemon_identity` which daemon this is, `copies` what a lost ``.thrum`` is written back from.
"""
