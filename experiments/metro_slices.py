"""Six applications share one city network with a background flood."""

from testbed.scenario.experiment import Experiment


class MetroSlices(Experiment):
    """Which applications of a city meet their deadlines while a flood fills the metro?

    Four slices on the `city` topology: a critical one to the park's edge compute, one
    for vehicles, one for immersive video from the metro centre, and best effort, whose
    flood tries to fill the metro and the remote cloud's link. Run it once more with
    `--set policy=shortest_path` to see what a shared queue does to all of them.

    Rates are scaled to what a laptop can carry packet by packet: delays, deadlines,
    message sizes and intervals are not.
    """

    def build(
        self, duration: str = "10 s", flood: float = 1.3, policy: str = "lowest_delay"
    ) -> None:
        self.topology("city")
        self.policy(policy)

        self.slice("critical", sst=2, sd="000001", priority=19, guaranteed="2 Mbit/s")
        self.slice("vehicles", sst=4, sd="000002", priority=24, guaranteed="4 Mbit/s")
        self.slice("immersive", sst=6, sd="000003", priority=40, guaranteed="6 Mbit/s")
        self.slice("besteffort", sst=1)

        self.probe("telesurgery_haptic", "ue1", "park", slice="critical", duration=duration)
        self.probe("uav_c2_stick", "ue2", "metro", slice="critical", duration=duration)
        self.probe("v2x_l4_coop", "ue3", "park", slice="vehicles", duration=duration)
        self.probe("v2x_l2_assist", "ue4", "metro", slice="vehicles", duration=duration)
        self.probe("ar_vr_pose", "ue2", "metro", slice="immersive", duration=duration)
        self.probe("virtual_human", "ue3", "metro", slice="immersive", duration=duration)
        self.probe("llm_chat", "ue4", "cloud", slice="besteffort", duration=duration)

        self.flow(
            "flood",
            "ue4",
            "metro",
            slice="besteffort",
            kind="flood",
            rate="26 Mbit/s",
            duration=duration,
        )
