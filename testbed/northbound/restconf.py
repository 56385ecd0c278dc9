"""RESTCONF (RFC 8040) for one list, in JSON (RFC 7951): requests to answers, no sockets.

    /.well-known/host-meta                                    where RESTCONF is
    /restconf                                                 what there is of it
    /restconf/operations, /restconf/yang-library-version
    /restconf/data                                            the datastore
    /restconf/data/ietf-yang-library:modules-state            see library.py
    /restconf/data/ietf-restconf-monitoring:restconf-state
    /restconf/data/ietf-network-slice-service:network-slice-services
        GET, POST                                             all slices; a further one
    .../network-slice-services/slice-service=ID
        GET, PUT, DELETE

PATCH is not offered; `content` is the only query parameter. HEAD goes where GET goes, and
OPTIONS everywhere. Every error has a body ietf-restconf:errors, with the YANG path of what
is wrong where there is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, cast, get_args
from urllib.parse import unquote

from testbed.errors import InputError
from testbed.northbound.address import BASE, ENTRY, MEDIA, entry
from testbed.northbound.conditions import Version, current, require
from testbed.northbound.library import YANG_LIBRARY, described
from testbed.northbound.problem import Fault, ProblemError
from testbed.northbound.service import Content, Done, Service
from testbed.northbound.wire import METHODS
from testbed.scenario.orders.document import parse_document
from testbed.scenario.orders.schema import LIST, ROOT, TESTBED

_JSON = (MEDIA, "application/json")
_XRD = "application/xrd+xml"
_HOST_META = """<?xml version='1.0' encoding='UTF-8'?>
<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>
  <Link rel='restconf' href='/restconf'/>
</XRD>
"""
_VERSION = {"yang-library-version": YANG_LIBRARY}
_FIXED: dict[tuple[str, ...], Any] = {
    (".well-known", "host-meta"): _HOST_META,
    ("restconf",): {"ietf-restconf:restconf": {"data": {}, "operations": {}, **_VERSION}},
    ("restconf", "operations"): {"ietf-restconf:operations": {}},
    ("restconf", "yang-library-version"): {"ietf-restconf:yang-library-version": YANG_LIBRARY},
}
_KEY = "slice-service="


@dataclass(frozen=True)
class Request:
    """What came in, its size already within limits."""

    method: str
    path: str
    """Percent-encoded."""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case."""
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What goes out."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class _Resource(NamedTuple):
    methods: tuple[str, ...]
    read: Callable[[Content], tuple[Any, Version | None]]
    """What is there, and which version of the configuration."""
    change: Callable[[Request], Answer] | None = None
    kinds: tuple[str, ...] = _JSON
    """Media types it can be read in, the preferred one first."""
    data: bool = False
    """`content` says which part is read."""


def answer(service: Service, request: Request) -> Answer:
    """Carry a request out."""
    try:
        return _carried_out(service, request)
    except ProblemError as problem:
        return refusal(problem.status, *problem.faults, headers=problem.fields)


def refusal(status: int, *faults: Fault, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer with an ietf-restconf:errors body."""
    errors = [
        {
            "error-type": "application" if fault.path or status in (409, 500) else "protocol",
            "error-tag": fault.tag,
            **({"error-path": fault.path} if fault.path else {}),
            "error-message": fault.message,
        }
        for fault in faults
    ]
    body = {"ietf-restconf:errors": {"error": errors}}
    return Answer(status, _json(body), {"Content-Type": MEDIA, **(headers or {})})


def _carried_out(service: Service, request: Request) -> Answer:
    if request.path == "*":
        return Answer(204, headers={"Allow": ", ".join(m for m in METHODS if m != "PATCH")})
    resource = _resource(service, _steps(request.path))
    allowed = ("OPTIONS", *(("HEAD",) if "GET" in resource.methods else ()), *resource.methods)
    if request.method not in allowed:
        message = f"{request.method} is not offered here; expected {', '.join(allowed)}"
        raise ProblemError(
            405, Fault("operation-not-supported", message), fields={"Allow": ", ".join(allowed)}
        )
    content = _content(request, resource)
    if request.method == "OPTIONS":
        return Answer(204, headers={"Allow": ", ".join(allowed)})
    if request.method in ("GET", "HEAD"):
        return _read(request, resource, content)
    assert resource.change is not None
    return resource.change(request)


def _resource(service: Service, steps: tuple[str, ...]) -> _Resource:
    """What is at a path. Raises ProblemError 404."""
    match steps:
        case ("restconf", "data", name) if name == ROOT:
            create = partial(_create, service)
            return _Resource(("GET", "POST"), partial(_all, service), create, data=True)
        case ("restconf", "data", name, one) if name == ROOT and one.startswith(_KEY):
            read = partial(_one, service, one[len(_KEY) :])
            change = partial(_change, service, one[len(_KEY) :])
            return _Resource(("GET", "PUT", "DELETE"), read, change, data=True)
        case ("restconf", "data"):
            return _Resource(("GET",), partial(_datastore, service), data=True)
        case ("restconf", "data", name) if name in described():
            return _Resource(("GET",), partial(_state, name), data=True)
    if steps in _FIXED:
        kinds = _JSON if steps[0] == "restconf" else (_XRD,)
        return _Resource(("GET",), lambda _: (_FIXED[steps], None), kinds=kinds)
    what = f"there is no resource /{'/'.join(steps)[:200]}; expected {BASE} or {ENTRY}ID"
    raise ProblemError(404, Fault("invalid-value", what))


def _steps(path: str) -> tuple[str, ...]:
    """The segments of a path, decoded. Raises ProblemError 400."""
    return tuple(_decoded(step) for step in path.strip("/").split("/"))


def _decoded(written: str) -> str:
    """Of percent-encoded UTF-8. A key value may hold any character (RFC 8040 section 3.5.3)."""
    try:
        if re.search("%(?![0-9A-Fa-f]{2})", written):
            raise ValueError
        return unquote(written, errors="strict")
    except ValueError:  # UnicodeDecodeError is one
        message = f"{written[:60]!r} is no percent-encoded UTF-8"
        raise ProblemError(400, Fault("malformed-message", message)) from None


# Reading


def _read(request: Request, resource: _Resource, content: Content) -> Answer:
    kind = _acceptable(request, resource.kinds)
    found, version = resource.read(content)
    body = found.encode() if isinstance(found, str) else _json(found)
    headers = {"Content-Type": kind, "Vary": "Accept"}
    if resource.data:
        headers["Cache-Control"] = "no-cache"
    if version is not None:
        if content != "config":
            version = version.with_state(body)
        headers |= version.fields
        if current(request.headers, version, dated=content == "config"):
            return Answer(304, headers=headers)
    return Answer(200, body, headers)


def _datastore(service: Service, content: Content) -> tuple[Any, Version]:
    slices, version = service.everything(content)
    state = {} if content == "config" else described()
    return {"ietf-restconf:data": {ROOT: {"slice-service": slices}, **state}}, version


def _state(name: str, content: Content) -> tuple[Any, None]:
    return ({} if content == "config" else {name: described()[name]}), None


def _all(service: Service, content: Content) -> tuple[Any, Version]:
    slices, version = service.everything(content)
    return {ROOT: {"slice-service": slices}}, version


def _one(service: Service, id_: str, content: Content) -> tuple[Any, Version]:
    found, version = service.read(id_, content)
    return {LIST: [found]}, version


def _acceptable(request: Request, kinds: tuple[str, ...]) -> str:
    """The media type to answer in (RFC 9110 section 12.5.1). Raises ProblemError 406."""
    wanted = request.headers.get("accept") or "*/*"
    best = max(kinds, key=lambda kind: _quality(wanted, kind))
    if not _quality(wanted, best):
        message = f"Accept: {wanted[:100]}; expected {' or '.join(kinds)}"
        raise ProblemError(406, Fault("invalid-value", message))
    return best


def _quality(wanted: str, kind: str) -> float:
    """How much a media type is wanted: what names it best decides."""
    ranks = {kind: 2, kind.partition("/")[0] + "/*": 1, "*/*": 0}
    found = (-1, 0.0)
    for one in wanted.split(","):
        name, *parameters = (part.strip().lower() for part in one.split(";"))
        if name in ranks:
            weights = [p[2:] for p in parameters if re.fullmatch(r"q=[01](\.[0-9]{0,3})?", p)]
            found = max(found, (ranks[name], float(weights[0]) if weights else 1.0))
    return found[1]


def _content(request: Request, resource: _Resource) -> Content:
    """The query's only parameter. Raises ProblemError for any other (RFC 8040 section 4.8)."""
    given = [part.partition("=") for part in request.query.split("&") if part]
    for name, _, _ in given:
        if name != "content" or not resource.data or request.method not in ("GET", "HEAD"):
            message = (
                f"query parameter {_decoded(name)[:60]!r} is not offered here; expected "
                "content, where data are read"
            )
            raise ProblemError(400, Fault("invalid-value", message))
    if not given:
        return "all"
    values = [_decoded(value) for _, _, value in given]
    if len(values) > 1 or values[0] not in get_args(Content):
        message = f"content={'&'.join(values)[:60]}; expected one of {', '.join(get_args(Content))}"
        raise ProblemError(400, Fault("invalid-value", message))
    return cast(Content, values[0])


# Changing


def _create(service: Service, request: Request) -> Answer:
    document = _document(request)
    done = service.create(document, partial(require, request.headers))
    return _made(done, 201, {"Location": entry(done.id)})


def _change(service: Service, id_: str, request: Request) -> Answer:
    condition = partial(require, request.headers)
    if request.method == "DELETE":
        service.remove(id_, condition)
        return Answer(204)
    done = service.replace(id_, _document(request), condition)
    return _made(done, 201 if done.new else 204, {})


def _made(done: Done, status: int, headers: dict[str, str]) -> Answer:
    """What is made, and what of the order is not carried; of a test, what would be made."""
    said: dict[str, Any] = done.would or {}
    if done.notes:
        said = said | {f"{TESTBED}:not-carried": list(done.notes)}
    if done.would:
        return Answer(200, _json(said), {"Content-Type": MEDIA})
    headers |= done.version.fields
    if not said:
        return Answer(status, headers=headers)
    return Answer(201 if done.new else 200, _json(said), {"Content-Type": MEDIA, **headers})


def _document(request: Request) -> Any:
    name, *parameters = (
        part.strip().lower() for part in request.headers.get("content-type", "").split(";")
    )
    charsets = [p[8:].strip('"') for p in parameters if p.startswith("charset=")]
    if name not in _JSON or any(charset != "utf-8" for charset in charsets):
        message = f"Content-Type: {request.headers.get('content-type') or 'none'}; expected {MEDIA}"
        raise ProblemError(415, Fault("invalid-value", message))
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        message = f"Content-Encoding: {coding[:40]}; expected none"
        raise ProblemError(415, Fault("invalid-value", message))
    try:
        return parse_document(request.body, "body")
    except InputError as error:
        told = f"{error.what} ({error.where}); expected {error.expected}"
        raise ProblemError(400, Fault("malformed-message", told, f"/{ROOT}")) from error


def _json(body: Any) -> bytes:
    return json.dumps(body).encode() + b"\n"
