"""The contract of the plugin that `conformance` was asked about; collected by the pytest run that it starts."""

from __future__ import annotations

import os
from pathlib import Path

from thrum_kernel.testing.conformance import FILE_VARIABLE, NAME_VARIABLE, PluginContract


class TestContract(PluginContract):
    """See `PluginContract`."""

    plugin = os.environ[NAME_VARIABLE]
    file = Path(os.environ[FILE_VARIABLE]) if os.environ.get(FILE_VARIABLE) else None
