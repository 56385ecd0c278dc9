"""For all tests: an example may take as long as a loaded machine makes it."""

from hypothesis import settings

settings.register_profile("testbed", deadline=None)
settings.load_profile("testbed")
