"""Order documents, orders of a network that runs, and files of classes and scenarios."""

from __future__ import annotations

import json
import random
import tempfile
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.fuzz import inputs
from benchmarks.fuzz.found import Found
from testbed.cli.orders import table
from testbed.net.walk import walk
from testbed.northbound.journal import Journal
from testbed.northbound.problem import ProblemError
from testbed.northbound.service import Service
from testbed.plan.validate import validate_scenario
from testbed.results.folder import read_json
from testbed.scenario.discovery import PACKAGE_ROOT
from testbed.scenario.orders.profile import Ends
from testbed.scenario.orders.read import FORMATS, parse_orders
from testbed.scenario.orders.write import to_ietf
from testbed.scenario.scenario import Scenario
from testbed.traffic.classes import BUILT_IN, load_class
from tests.northbound.asking import Wires, document, late
from tests.plan.networks import MBIT, app, flow, probe, scenario, triangle
from tests.plan.ordered import admission, canonical


def orders(rng: random.Random, count: int) -> bool:
    found = Found("orders")
    files = sorted((PACKAGE_ROOT / "experiments/orders").glob("*.json"))
    valid = [json.loads(file.read_text()) for file in files]

    def read(body: bytes) -> str:
        ends = Ends(*rng.choice([("ue1", "park"), (None, None)]))
        got = parse_orders(body, "fuzz", rng.choice((None, None, *FORMATS)), ends)
        table(got, "fuzz")
        to_ietf(got.slices)
        return "read"

    for body in inputs.degenerate():
        found.judge(body[:80], partial(read, body), len(body))
    for _ in range(count - found.count):
        document_ = rng.choice(valid)
        if rng.random() < 0.9:
            document_ = inputs.changed(document_, rng)
        body = inputs.text_of(document_, rng)
        found.judge(body, partial(read, body), len(body))
    return found.report(count)


def changes(rng: random.Random, count: int) -> bool:
    found = Found("changes")
    here = admission()
    wires = Wires(here)
    before = canonical(wires.state)
    with tempfile.TemporaryDirectory() as folder:
        service = Service(here, Journal(Path(folder) / "journal.json"), wires)
        for n in range(count):
            found.judge(n, partial(_changed, service, wires, rng))
            if not n % 100:
                walk(service.state)
        for placed in service.state.book.placed:
            service.remove(placed.slice.id)
    if canonical(wires.state) != before:
        found.bad.append("after all orders left, the network is not as it was before")
    return found.report(count)


def _changed(service: Service, wires: Wires, rng: random.Random) -> str:
    id_ = rng.choice(("a", "b", "c", "d", "e", "f"))
    ends = rng.sample(("h1", "h2", "h3"), 2)
    rate = rng.choice((0, 1, MBIT, 30 * MBIT, 60 * MBIT, 10**13))
    dscp = rng.choice([(), (46,), (10, 12), (rng.randrange(64),)])
    asked = document(late(id_, a=ends[0], b=ends[1], rate=rate, dscp=dscp))
    if rng.random() < 0.3:
        asked = inputs.changed(asked, rng)
    wires.fail_at = rng.choice((-1, -1, -1, -1, 1, 2))
    try:
        match rng.randrange(4):
            case 0:
                service.create(asked)
            case 1 | 2:
                service.replace(id_, asked)
            case 3:
                service.remove(id_)
    except ProblemError as problem:
        undone = "operation-failed" in {fault.tag for fault in problem.faults}
        if problem.status == 500 and not undone:
            return f"CRASH {problem}"
        return str(problem.status)
    finally:
        wires.fail_at = -1
    return "done"


def files(rng: random.Random, count: int) -> bool:
    found = Found("files")
    classes = [path.read_bytes() for path in sorted(BUILT_IN.glob("*.toml"))]
    asked = scenario(probes=(probe(),), flows=(flow(),))
    network = triangle()
    plain = msgspec.json.decode(msgspec.json.encode(asked))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nearly.toml"
        for n in range(count):
            if n % 2:
                data = inputs.text_of(inputs.changed(plain, rng), rng)

                def work() -> str:
                    validate_scenario(read_json(path, Scenario), network, {"app": app()})
                    return "read"

            else:
                data = inputs.bent(rng.choice(classes), rng)

                def work() -> str:
                    load_class(path)
                    return "read"

            path.write_bytes(data)
            found.judge(data, work)
    return found.report(count)
