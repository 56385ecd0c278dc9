"""How near the worst packet comes to the bound computed beforehand, over 1 to 10 spans."""

from testbed.scenario.experiment import Experiment
from testbed.units import rate_bps


class DeterministicPath(Experiment):
    """Does any packet take longer than network calculus allows, however many spans it crosses?

        dc1 --- x1 --- x2 --- x3 --- ...      each site sends to dc1: small packets in the
                       |      |               slice `control`, and a share of `load` of the
                       h2     h3              ring's rate in the slice `others`

    All traffic keeps to what its slice was admitted for, so the bound in the table holds for
    every packet; a run in which one exceeds it fails. The load adds up span by span: next to
    dc1 it is `load` times the ring's rate.
    """

    headline = "bounds"

    def build(
        self,
        spans: int = 10,
        load: float = 0.8,
        scheduler: str = "strict_priority",
        rate: str = "100 Mbit/s",
        duration: str = "10 s",
    ) -> None:
        full = rate_bps(rate, "parameter rate")
        self.topology(
            "metro_ring", sites=2 * spans + 2, rate=rate, access_rate=f"{10 * full} bit/s"
        )
        self.scheduler(scheduler)
        self.slice("control", sst=2, priority=10, guaranteed=f"{full // 10} bit/s")
        self.slice("others", sst=1, priority=60, guaranteed=f"{round(load * full)} bit/s")
        for span in range(1, spans + 1):
            site = f"h{span + 1}"
            self.probe(
                "site_reach",
                site,
                "dc1",
                slice="control",
                id=f"spans-{span}",
                interval="10.2973 ms",
                deadline="5 ms",
                duration=duration,
            )
            self.flow(
                f"load-{span}",
                site,
                "dc1",
                slice="others",
                kind="flood",
                rate=f"{load * full / spans:.0f} bit/s",
                duration=duration,
            )
