"""Slices are ordered, changed and withdrawn while others keep their promises."""

from testbed.scenario.events import modify, order, withdraw
from testbed.scenario.experiment import Experiment


class SliceLifecycle(Experiment):
    """Do running slices notice that others are ordered, refused, changed and withdrawn?

    Across a metro mesh filled with best effort, a surgeon's loop runs on its slice from
    the start. Drone control begins as best effort; at 2 s a slice is ordered for it over
    the controller's northbound service, at 6 s it is changed, at 10 s it is withdrawn.
    What the network cannot keep is refused: a rate at 4 s, a delay at 5 s, both before
    anything is touched.
    """

    def build(self, load: str = "90 Mbit/s", duration: str = "340 s") -> None:
        self.topology("metro_mesh")
        self.slice("surgery", sst=2, priority=19, guaranteed="5 Mbit/s")
        self.probe("telesurgery_haptic", "h1", "h3", slice="surgery", duration=duration)
        self.probe(
            "uav_c2_stick",
            "h3",
            "h1",
            slice="best-effort",
            duration=duration,
            id="drone",
            interval="40.0973 ms",  # at 40 ms it would meet the surgeon's loop at one phase
        )
        self.background("city", "dc1", "h3", slice="best-effort", rate=load, duration=duration)
        self.background("town", "dc2", "h1", slice="best-effort", rate=load, duration=duration)
        ends = [("h1", "h3")]
        drone = {"sst": 1, "ends": ends, "dscp": 40, "priority": 25}
        self.at("2 s", order("drones", guaranteed="10 Mbit/s", delay="5 ms", **drone))
        self.at("4 s", order("video", sst=1, ends=ends, dscp=34, guaranteed="85 Mbit/s"))
        self.at("5 s", order("instant", sst=1, ends=ends, dscp=34, delay="100 us"))
        self.at("6 s", modify("drones", guaranteed="40 Mbit/s", delay="5 ms", **drone))
        self.at("8 s", modify("drones", guaranteed="95 Mbit/s", delay="5 ms", **drone))
        self.at("10 s", withdraw("drones"))
        self.at("12 s", withdraw("drones"))
