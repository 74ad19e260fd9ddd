"""For tests of the kernel and of plugins: real repositories, a real daemon, the real command."""
