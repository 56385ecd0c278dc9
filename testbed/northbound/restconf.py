"""RESTCONF (RFC 8040) for one list, in JSON (RFC 7951): requests to answers, no sockets.

    /.well-known/host-meta                                    where RESTCONF is
    /restconf                                                 what there is of it
    /restconf/data/ietf-network-slice-service:network-slice-services
        GET, POST                                             all slices; a further one
    .../network-slice-services/slice-service=ID
        GET, PUT, DELETE

PATCH is not offered; `content` is the only query parameter. Every error has a body
ietf-restconf:errors, with the YANG path of what is wrong where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from testbed.errors import InputError
from testbed.northbound.address import BASE, ENTRY, MEDIA, entry
from testbed.northbound.service import Fault, ProblemError, Service
from testbed.scenario.orders.document import parse_document
from testbed.scenario.orders.schema import LIST, ROOT

_ACCEPTED = (MEDIA, "application/json")
_HOST_META = """<?xml version='1.0' encoding='UTF-8'?>
<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>
  <Link rel='restconf' href='/restconf'/>
</XRD>
"""

Content = Literal["all", "config", "nonconfig"]


@dataclass(frozen=True)
class Request:
    """What came in, its size already within limits."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case."""
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What goes out."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(service: Service, request: Request) -> Answer:
    """Carry a request out."""
    try:
        return _route(service, request)
    except ProblemError as problem:
        return refusal(problem.status, *problem.faults)


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


def _route(service: Service, request: Request) -> Answer:
    parts = urlsplit(request.target)
    path = parts.path.rstrip("/") or "/"
    _query(parts.query, request.method)
    if path == "/.well-known/host-meta":
        _allow(request, "GET")
        return Answer(200, _HOST_META.encode(), {"Content-Type": "application/xrd+xml"})
    if path == "/restconf":
        _allow(request, "GET")
        return _found({"ietf-restconf:restconf": {"data": {}, "operations": {}}})
    if path == BASE:
        return _all(service, request, _query(parts.query, request.method))
    name = path.removeprefix(ENTRY)
    if name != path and name and "/" not in name:
        return _one(service, request, unquote(name), _query(parts.query, request.method))
    what = f"there is no resource {path}; expected {BASE} or {ENTRY}ID"
    raise ProblemError(404, Fault("invalid-value", what))


def _all(service: Service, request: Request, content: Content) -> Answer:
    _allow(request, "GET", "POST")
    if request.method in ("GET", "HEAD"):
        slices = [service.read(id_, content) for id_ in service.ids()]
        return _found({ROOT: {"slice-service": slices}})
    id_ = service.create(_document(request))
    return Answer(201, headers={"Location": entry(id_)})


def _one(service: Service, request: Request, id_: str, content: Content) -> Answer:
    _allow(request, "GET", "PUT", "DELETE")
    if request.method in ("GET", "HEAD"):
        return _found({LIST: [service.read(id_, content)]})
    if request.method == "DELETE":
        service.remove(id_)
        return Answer(204)
    return Answer(201 if service.replace(id_, _document(request)) else 204)


def _allow(request: Request, *methods: str) -> None:
    """Raises ProblemError for any other method. HEAD is GET without its body."""
    if request.method in methods or (request.method == "HEAD" and "GET" in methods):
        if request.method in ("GET", "HEAD"):
            _acceptable(request)
        return
    message = f"{request.method} is not offered here; expected {', '.join(methods)}"
    raise ProblemError(405, Fault("operation-not-supported", message))


def _acceptable(request: Request) -> None:
    wanted = request.headers.get("accept", "*/*")
    kinds = [kind.partition(";")[0].strip() for kind in wanted.split(",")]
    if not {"*/*", "application/*", "application/xrd+xml", *_ACCEPTED} & set(kinds):
        raise ProblemError(406, Fault("invalid-value", f"Accept: {wanted}; expected {MEDIA}"))


def _query(query: str, method: str) -> Content:
    content: Content = "all"
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name != "content" or method not in ("GET", "HEAD"):
            message = f"query parameter {name!r} is not offered; expected content, with GET"
            raise ProblemError(400, Fault("invalid-value", message))
        if value not in get_args(Content):
            message = f"content={value}; expected {', '.join(get_args(Content))}"
            raise ProblemError(400, Fault("invalid-value", message))
        content = value  # type: ignore[assignment]
    return content


def _document(request: Request) -> Any:
    given = request.headers.get("content-type", "").partition(";")[0].strip()
    if given not in _ACCEPTED:
        message = f"Content-Type: {given or 'none'}; expected {MEDIA}"
        raise ProblemError(415, Fault("invalid-value", message))
    try:
        return parse_document(request.body, "body")
    except InputError as error:
        told = f"{error.what} ({error.where}); expected {error.expected}"
        raise ProblemError(400, Fault("malformed-message", told, f"/{ROOT}")) from error


def _found(body: Any) -> Answer:
    return Answer(200, _json(body), {"Content-Type": MEDIA, "Cache-Control": "no-cache"})


def _json(body: Any) -> bytes:
    return json.dumps(body).encode() + b"\n"
