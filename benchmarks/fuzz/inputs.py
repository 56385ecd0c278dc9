"""Inputs that are nearly right: JSON documents, HTTP requests, packets and TOML, changed at
random places. Everything comes from the given generator, so a seed gives the same inputs."""

from __future__ import annotations

import copy
import json
import random
import re
from typing import Any

_RAW = {
    "\ue000": "1e999",
    "\ue001": "NaN",
    "\ue002": "1" * 100_000,
    "\ue003": '"\\ud800"',
    "\ue004": "[" * 5_000 + "]" * 5_000,
    "\ue005": '{"a":' * 70 + "0" + "}" * 70,
    "\ue006": "-0",
    "\ue007": "1" * 4_000,
}
"""Marks in a document, and what is written in their place: no JSON value can say it."""

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 0.1, 1e308, -1e-320),
    *("", " ", "0", "-1", "1e3", "\x00", "\x1b[31m", "\ud800", "\u202e", "\ufeff", "h1", "a/b"),
    *("'", '"', "]", "[red]", "%41", "x" * 70_000, " " * 70_000 + "\n", "1 " + " " * 70_000 + "x"),
    *("9" * 30, "5 ms", "5 parsecs", "10.0.0.0/99", "::1%eth0", "1" * 400 + " ms"),
    *([], {}, [[]], [None], [{}], {"": None}, {"id": 1}, [1] * 2_000, ["a"] * 2_000),
    *_RAW,
)


def changed(document: Any, rng: random.Random) -> Any:
    """A copy with one to four changes of its tree."""
    root = {"": copy.deepcopy(document)}
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        holders = [holder for holder in _holders(root) if holder]
        holder = rng.choice(holders)
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        _change(holder, key, rng)
    return root[""]


def _holders(value: Any) -> list[Any]:
    found = [value]
    for one in found:
        inner = one.values() if isinstance(one, dict) else one
        found += [each for each in inner if isinstance(each, dict | list)]
    return found


def _change(holder: Any, key: Any, rng: random.Random) -> None:
    value = holder[key]
    match rng.randrange(7):
        case 0 | 1:
            holder[key] = copy.deepcopy(rng.choice(_VALUES))
        case 2 if key != "":
            del holder[key]
        case 3 if isinstance(holder, dict) and key != "":
            holder[rng.choice(("", key + "x", key.upper(), "id", "\x00", "y" * 1_000))] = value
        case 4 if isinstance(value, list) and value:
            value.extend(copy.deepcopy(value[: rng.choice((1, 3, 50))]))
        case 5:
            holder[key] = [value] if rng.random() < 0.5 else {"id": value}
        case _ if isinstance(value, str) and value:
            at = rng.randrange(len(value))
            holder[key] = value[:at] + rng.choice(("", "0", "-", "\x7f", "é")) + value[at + 1 :]
        case _ if isinstance(value, int | float):
            holder[key] = value * rng.choice((-1, 0, 1_000, 10**12, 0.5))
        case _:
            holder[key] = copy.deepcopy(rng.choice(_VALUES))


def text_of(document: Any, rng: random.Random) -> bytes:
    """A document as bytes, sometimes changed as such."""
    text = json.dumps(document, ensure_ascii=rng.random() < 0.9)
    for mark, raw in _RAW.items():
        for written in (json.dumps(mark), f'"{mark}"'):
            text = text.replace(written, raw)
    if rng.random() < 0.05:  # a member twice
        text = re.sub(r"\{(\"[^\"]{1,40}\": \d+)", r"{\1, \1", text)
    if rng.random() < 0.03:
        return text.encode(rng.choice(("utf-16", "utf-8-sig", "utf-32")), "surrogatepass")
    body = text.encode("utf-8", "surrogatepass")
    return bent(body, rng) if rng.random() < 0.15 else body


def bent(data: bytes, rng: random.Random) -> bytes:
    """Bytes with some changed, lost, doubled or put in."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(6):
            case 0:
                found[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del found[at : at + rng.choice((1, 1, 10, 1_000))]
            case 2:
                found[at:at] = found[: rng.choice((1, 20))]
            case 3:
                found[at:at] = bytes(rng.choices(range(256), k=rng.choice((1, 4, 50))))
            case 4:
                found[at:at] = rng.choice((b"\r\n", b"\x00", b"\n", b"{", b'"', b" " * 9_000, b":"))
            case 5:
                del found[at:]
    return bytes(found)


def degenerate() -> list[bytes]:
    """Orders that are large, deep or repetitive, each in one way."""
    service = "ietf-network-slice-service"
    ends = [{"id": f"e{n}", "node-id": f"h{n % 2 + 1}"} for n in range(3_000)]
    all_to_all = {
        "id": "s",
        "service-slo-sle-policy": {},
        "sdps": {"sdp": ends},
        "connection-groups": {
            "connection-group": [
                {
                    "id": "g",
                    "connectivity-construct": [
                        {"id": "c", "a2a-sdp": [{"sdp-id": end["id"]} for end in ends]}
                    ],
                }
            ]
        },
    }
    many = ",".join(f'"m{n}":{n}' for n in range(100_000))
    slices = ",".join(f'{{"id":"s{n}","sdps":{{"sdp":[]}}}}' for n in range(100_000))
    profiles = ",".join(f'{{"serviceProfileId":"p{n}"}}' for n in range(3_000))
    root = f'{{"{service}:network-slice-services":'
    return [
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        f'{{{many},"m99999":0}}'.encode(),
        f"{root}{{{many}}}}}".encode(),
        f'{root}{{"slice-service":[{slices}]}}}}'.encode(),
        json.dumps({f"{service}:slice-service": [all_to_all]}).encode(),
        f'{{"serviceProfileId":"x",{many}}}'.encode(),
        f"[{profiles}]".encode(),
        f'{{"name":"x","attributes":{{{many}}}}}'.encode(),
        f'{{"name":"x","attributes":{{}},{many}}}'.encode(),
        b'{"serviceProfileId":"' + b"x" * 10_000_000 + b'"}',
        b"1" * 10_000_000,
        b'"' + b"\\u0000" * 1_000_000 + b'"',
        b" " * 10_000_000,
    ]
