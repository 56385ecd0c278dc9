"""For all tests: an example may take as long as a loaded machine makes it, and Ctrl-C ends
what tests start, also where a shell began the tests in the background and had it ignored."""

import signal

from hypothesis import settings

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("testbed", deadline=None)
settings.load_profile("testbed")
