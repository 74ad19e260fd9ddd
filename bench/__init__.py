"""Every figure that Thrum claims, measured as a ratio in one run: ``python -m bench``.

Each module of figures has a docstring that says what it measures and how, and one function
``figures(effort) -> Iterable[Figure]``. `bench.store` and `bench.fan` are measurements that decisions rest on, without
a target; run them by themselves.
"""
