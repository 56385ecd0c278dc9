"""Ports filled with modelled background only; what the packets waited, in /results/waits.json."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.ports_guest import RTM_DELQDISC, read, tc
from testbed.emulation import netlink as nl
from testbed.emulation.lab_qdisc import encode
from testbed.port.pipeline import Pipeline


def main(job: Path) -> None:
    order = json.loads((job / "order.json").read_bytes())
    ports = msgspec.convert(order["ports"], list[Pipeline])
    subprocess.run(["ip", "link", "add", "pa", "type", "veth", "peer", "name", "pb"], check=True)
    subprocess.run(["ip", "link", "set", "pa", "up"], check=True)
    index = socket.if_nametoindex("pa")
    seen = []
    with nl.Netlink() as link:
        for port in ports:
            replace = nl.CREATE | nl.REPLACE
            link.do([nl.Request(nl.RTM_NEWQDISC, replace, tc(index, encode(port)), "a port")])
            time.sleep(order["seconds"])
            queues = read(link)[index]["queues"]
            link.do([nl.Request(RTM_DELQDISC, 0, tc(index, b""), "a port's end")])
            seen.append({"queues": queues})
    (job / "waits.json").write_bytes(msgspec.json.encode(seen))
    (job / "done.json").write_text('{"status": "ok"}')


if __name__ == "__main__":
    main(Path(sys.argv[1]))
