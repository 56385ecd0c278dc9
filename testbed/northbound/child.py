"""The service as a child process inside a lab, and what is asked of it at set times."""

from __future__ import annotations

import http.client
import json
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from testbed.emulation.control import CHANGES, ORDERS
from testbed.emulation.watch import Watch
from testbed.errors import EmulationError
from testbed.northbound.address import BASE, MEDIA, PORT, entry
from testbed.probes.engine import SAMPLES
from testbed.process import child_environment
from testbed.scenario.events.order import OrderEvent
from testbed.scenario.orders.schema import LIST, ROOT
from testbed.scenario.orders.write import to_ietf

_READY_S = 60.0
_ANSWER_S = 120.0


class Northbound:
    """The service on the lab's loopback interface, for the plan of a job."""

    def __init__(self, job: Path, port: int = PORT, watch: Watch | None = None) -> None:
        """Returns when it listens. Raises EmulationError."""
        self._port, self._log = port, job / "northbound.log"
        self.timeline = job / "northbound.jsonl"
        """What it did, by CLOCK_MONOTONIC."""
        ORDERS.unlink(missing_ok=True)
        command = [sys.executable, "-m", "testbed.northbound", "--port", str(port)]
        command += ["--plan", str(job / "plan.json")]
        command += ["--control", str(CHANGES), "--journal", str(ORDERS)]
        command += ["--samples", str(job / SAMPLES), "--timeline", str(self.timeline)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=child_environment()
            )
        out = self._process.stdout
        assert out is not None
        if not select.select([out], [], [], _READY_S)[0] or not out.readline():
            self.stop()
            raise EmulationError(
                "the northbound service did not start",
                where=self._log.read_text(errors="replace").strip() or "no word of it",
            )
        if watch is not None:
            watch.add(
                "the northbound service",
                self._process,
                "no order is taken without it",
                vital=True,
                said=lambda: self._log.read_text(errors="replace").strip()[-300:],
            )

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def carry(self, event: OrderEvent) -> dict[str, Any]:
        """Ask for what an event says; the answer, and how the slice had done until then."""
        target = entry(event.id)
        before = self._ask("GET", f"{target}?content=nonconfig")
        if event.slice is None:
            told = self._ask("DELETE", target)
        else:
            written, _ = to_ietf([event.slice])
            body = {LIST: written[ROOT]["slice-service"]}
            method, where = ("POST", BASE) if event.action == "order" else ("PUT", target)
            told = self._ask(method, where, body)
        kept = {"before": before["body"]} if before["status"] == 200 else {}
        return {"answer": told, **kept}

    def slices(self) -> Any:
        """All slices as they are."""
        return self._ask("GET", BASE)["body"]

    def _ask(self, method: str, target: str, body: Any = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_S)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, target, sent, {"Content-Type": MEDIA})
            response = connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise EmulationError(
                f"the northbound service did not answer: {error}",
                where=f"{method} {target}",
                remedy="northbound.log in the run folder says more",
            ) from error
        finally:
            connection.close()
        return {"status": response.status, "body": json.loads(raw) if raw else None}
