"""A protected class at metro rates, under modelled background load."""

from testbed.scenario.experiment import Experiment
from testbed.units import rate_bps


class MetroLoad(Experiment):
    """How much delay does a protected class gain on a metro of 10 Gbit/s as it fills up?

    The `city` topology with fibres of 10 Gbit/s everywhere but the radio. A surgeon's
    haptic channel and a drone's stick have slices of their own; a probe of best effort goes
    the same way. Modelled background fills the fibres that they share to `load` times
    their rate, from a home to the cloud and back: packets that are counted in the
    queues of every port and not sent, which takes less than a thousandth of
    the time that sending would.
    Try --set load=0.3, 0.8, 0.95 and, for a flood, 1.2; and --set policy=shortest_path
    for one shared queue.
    """

    headline = "gain"

    def build(
        self,
        load: float = 0.8,
        rate: str = "10 Gbit/s",
        packet: str = "1518 B",
        duration: str = "20 s",
        policy: str = "lowest_delay",
    ) -> None:
        self.topology("city", core_rate=rate, access_rate=rate, home_rate=rate)
        self.policy(policy)

        self.slice("critical", sst=2, sd="000001", priority=19, guaranteed="5 Mbit/s")
        self.slice("vehicles", sst=4, sd="000002", priority=24, guaranteed="5 Mbit/s")
        self.slice("besteffort", sst=1)

        self.probe("telesurgery_haptic", "ue2", "metro", slice="critical", duration=duration)
        # at 40 and 4 ms they would meet each other and the haptic loop at one phase
        for app, interval, slice_ in (
            ("uav_c2_stick", "40.0973 ms", "vehicles"),
            ("ar_vr_pose", "4.0319 ms", "besteffort"),
        ):
            self.probe(app, "ue2", "metro", slice=slice_, interval=interval, duration=duration)

        for name, src, dst in (("up", "home2", "cloud"), ("down", "cloud", "home2")):
            self.background(
                name,
                src,
                dst,
                slice="besteffort",
                rate=f"{load * rate_bps(rate):.0f} bit/s",
                packet=packet,
                duration=duration,
            )
