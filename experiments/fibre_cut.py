"""One fibre of a path is cut while a haptic loop runs over it."""

from testbed.scenario.experiment import Experiment, cut_fibre, mend_fibre


class FibreCut(Experiment):
    """How long is a haptic loop of 1 kHz interrupted when a fibre of its path is cut?

    From h1 to h3 across a metro mesh, by the protection that the slice orders. A fibre of
    the core is cut at 3 s and mended at 6 s. 50 ms is what transport networks promise
    (ITU-T G.841, G.873.1).
    """

    def build(self, protection: str = "fast_failover") -> None:
        self.topology("metro_mesh")
        self.slice("surgery", sst=2, priority=19, guaranteed="1 Mbit/s", protection=protection)
        self.probe("telesurgery_haptic", "h1", "h3", slice="surgery", duration="9 s")
        self.at("3 s", cut_fibre("x8", "x7"))
        self.at("6 s", mend_fibre("x8", "x7"))
