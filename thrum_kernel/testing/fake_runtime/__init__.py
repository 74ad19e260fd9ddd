"""A full-screen agent of ours that behaves like the runtimes people use, for tests and for `make demo`.

Run as ``python -m thrum_kernel.testing.fake_runtime`` in a terminal; steered by `driver.FakeRuntime`. To thrum it is the
runtime ``fake-agent`` of the plugin `plugin`.
"""
