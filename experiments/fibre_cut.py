"""One fibre of a path fails while a haptic loop runs over it."""

from testbed.scenario.events import cut_fibre, mend_fibre, silence_fibre
from testbed.scenario.experiment import Experiment


class FibreCut(Experiment):
    """How long does a fibre's failure interrupt a haptic loop of 1 kHz?

    From h1 to h3 across a metro mesh, by the protection that the slice orders. A fibre of
    the core fails at 3 s and is mended at 6 s: cut, so that both ends see it at once, or
    silent, so that only BFD can. 50 ms is what transport networks promise (ITU-T G.841,
    G.873.1). A cut is run for 120 s, which show a haptic loop's 99.99 %; what BFD needs to see
    a silence is longer than that allows, as 12 s show.
    """

    def build(
        self,
        protection: str = "fast_failover",
        silent: bool = False,
        bfd: str = "10 ms",
        control_delay: str = "5 ms",
        duration: str = "",
    ) -> None:
        duration = duration or ("12 s" if silent else "120 s")
        self.topology("metro_mesh")
        self.recovery(control_delay=control_delay, bfd=bfd if silent else None)
        self.slice("surgery", sst=2, priority=19, guaranteed="1 Mbit/s", protection=protection)
        self.probe("telesurgery_haptic", "h1", "h3", slice="surgery", duration=duration)
        fail = silence_fibre if silent else cut_fibre
        self.at("3 s", fail("x8", "x7"))
        self.at("6 s", mend_fibre("x8", "x7"))
