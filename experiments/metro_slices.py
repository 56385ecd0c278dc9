"""Six applications share one city network with a background flood."""

from testbed.scenario.experiment import Experiment


class MetroSlices(Experiment):
    """Which applications of a city meet their deadlines while a flood fills the metro?

    Four slices on the `city` topology: a critical one to the park's edge compute, one for
    vehicles, one for immersive media from the metro centre, and best effort. A home floods
    the horseshoe of routers that its neighbourhood's cells share, at `flood` times the rate
    of those fibres. Run it again with --set policy=shortest_path to see what one shared
    queue does to all of them.

    The rates of access fibres are scaled down, since every packet of the flood is a real
    one; delays, deadlines, message sizes and intervals are the applications' own. A lab on
    the wall clock cannot keep up with all of it and says so.
    """

    def build(
        self, duration: str = "40 s", flood: float = 1.2, policy: str = "lowest_delay"
    ) -> None:
        horseshoe_mbps = 20
        self.topology("city", access_rate=f"{horseshoe_mbps} Mbit/s")
        self.policy(policy)

        self.slice("critical", sst=2, sd="000001", priority=19, guaranteed="1 Mbit/s")
        self.slice("vehicles", sst=4, sd="000002", priority=24, guaranteed="2 Mbit/s")
        self.slice("immersive", sst=6, sd="000003", priority=40, guaranteed="2 Mbit/s")
        self.slice("besteffort", sst=1)

        def probe(app: str, terminal: str, server: str, slice: str) -> None:
            self.probe(app, terminal, server, slice=slice, duration=duration)

        probe("telesurgery_haptic", "ue1", "park", "critical")
        probe("uav_c2_stick", "ue2", "metro", "critical")
        probe("uav_nav_infra", "ue3", "metro", "vehicles")
        probe("v2x_l2_assist", "ue2", "metro", "vehicles")
        probe("ar_vr_pose", "ue2", "metro", "immersive")
        probe("llm_chat", "ue2", "cloud", "besteffort")

        self.flow(
            "flood",
            "home2",
            "metro",
            slice="besteffort",
            kind="flood",
            duration=duration,
            rate=f"{flood * horseshoe_mbps:g} Mbit/s",
        )
