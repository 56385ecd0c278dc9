"""One slice is flooded while all are measured."""

from testbed.scenario.experiment import Experiment
from testbed.units import rate_bps


class SliceIsolation(Experiment):
    """Flood one slice: do the others still keep 5 ms?

        h4 --- x4 --- x3 --- x2 === x1 === r1 --- dc1     three slices are measured, h3 to dc1
                      |      |
                      h3     h2                           h2 and h4 flood dc1 in the slice
                                                          `flooded`

    Each of the two sends half of `flood` times the ports' rate, so that both halves together
    overload the fibre from x2 to x1, which all share. Without a maximum rate the slice `bulk`
    may take what others leave.

    By scheduler: `fifo`, `htb` (promised rates), `strict_priority`, `time_aware` (gates).
    `--set police=true` gives `bulk` a maximum too, and drops what slices send beyond theirs
    where they enter. A packet in transmission is never interrupted, so a protected slice may
    wait for one full packet at each port that it shares: 0.12 ms at 100 Mbit/s.
    """

    headline = "isolation"

    def build(
        self,
        scheduler: str = "htb",
        flooded: str = "bulk",
        police: bool = False,
        rate: str = "100 Mbit/s",
        flood: float = 1.5,
        duration: str = "12 s",
    ) -> None:
        full = rate_bps(rate, "parameter rate")
        self.topology("metro_ring", rate=rate, access_rate=f"{10 * full} bit/s")
        self.scheduler(scheduler)
        if police:
            self.policing()

        def share(part: float) -> str:
            return f"{part * full / 1e6:g} Mbit/s"

        self.slice(
            "surgery",
            sst=2,
            priority=19,
            guaranteed=share(0.02),
            maximum=share(0.04),
            delay="1 ms",
            variation="0.5 ms",
            loss=0.01,
        )
        self.slice("video", sst=1, priority=40, guaranteed=share(0.3), maximum=share(0.4))
        self.slice("bulk", sst=1, priority=80, maximum=share(0.25) if police else None)
        for n, name in enumerate(("surgery", "video", "bulk")):
            # the flood sends once a millisecond: probes meet it, and each other, at many phases
            self.probe(
                "site_reach",
                "h3",
                "dc1",
                slice=name,
                id=name,
                interval=f"{7297.3 + 101.7 * n:g} us",
                duration=duration,
                deadline="5 ms",
            )
        for host in ("h2", "h4"):
            self.flow(
                f"flood-{host}",
                host,
                "dc1",
                slice=flooded,
                kind="flood",
                rate=share(flood / 2),
                duration=duration,
                drift_ppm=100.0 * (host == "h4"),  # or both would meet at one phase
            )
