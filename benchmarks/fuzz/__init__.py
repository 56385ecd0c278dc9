"""Nothing that comes from outside ends, hangs or fills the testbed: see __main__.py."""
