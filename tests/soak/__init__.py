"""A long run by hand, which looks for growth: ``python -m tests.soak --minutes 30``."""
