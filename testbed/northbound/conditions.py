"""Conditional requests (RFC 9110 section 13; RFC 8040 sections 3.4.1 and 3.5).

The entity-tag of a configuration changes with every change of it, and never comes again.
What is read with its state has the same tag and a suffix for the state, so that a copy is
called current only if all of it is; a change may name either.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from typing import NamedTuple

from testbed.northbound.problem import Fault, ProblemError

_TAGS = re.compile(r'(?:[ \t]*(?:W/)?"[!#-~\x80-\xff]*"[ \t]*(?:,|$))+')
_TAG = re.compile(r'(W/)?"([!#-~\x80-\xff]*)"')


class Version(NamedTuple):
    """Of a resource's configuration."""

    tag: str
    modified_ns: int
    """When it became what it is (CLOCK_REALTIME)."""

    def with_state(self, body: bytes) -> Version:
        """Of the configuration and the state in a body."""
        suffix = hashlib.sha256(body).hexdigest()[:16]
        return Version(f"{self.tag}.{suffix}", self.modified_ns)

    @property
    def fields(self) -> dict[str, str]:
        """As an answer tells it."""
        when = formatdate(self.modified_ns // 10**9, usegmt=True)
        return {"ETag": f'"{self.tag}"', "Last-Modified": when}


def require(fields: Mapping[str, str], version: Version | None) -> None:
    """Whether a change may be made of what has this version; None: it is not there.

    Raises ProblemError 412, or 400 for a condition that is none.
    """
    if "if-match" in fields:
        if not _among(fields["if-match"], version, strong=True):
            raise _failed("If-Match", version)
    elif (limit_s := _date(fields.get("if-unmodified-since"))) is not None and (
        version is not None and version.modified_ns // 10**9 > limit_s
    ):
        raise _failed("If-Unmodified-Since", version)
    if "if-none-match" in fields and _among(fields["if-none-match"], version, strong=False):
        raise _failed("If-None-Match", version)


def current(fields: Mapping[str, str], version: Version, *, dated: bool) -> bool:
    """Whether a reader's copy is as good (304); `dated`: the time tells, too.

    Raises ProblemError as require().
    """
    rest = {name: value for name, value in fields.items() if name != "if-none-match"}
    require(rest, version)
    if "if-none-match" in fields:
        wanted = fields["if-none-match"]
        return wanted.strip() == "*" or version.tag in {tag for _, tag in _parsed(wanted)}
    since_s = _date(fields.get("if-modified-since"))
    return dated and since_s is not None and version.modified_ns // 10**9 <= since_s


def _among(wanted: str, version: Version | None, *, strong: bool) -> bool:
    if wanted.strip() == "*":
        return version is not None
    found = [tag for weak, tag in _parsed(wanted) if not (weak and strong)]
    # a version with state is all of its tag, one of a configuration what comes before the state
    return version is not None and any(version.tag in (tag, tag.partition(".")[0]) for tag in found)


def _parsed(wanted: str) -> list[tuple[str, str]]:
    if not _TAGS.fullmatch(wanted):
        message = f'{wanted[:60]!r} is no list of entity-tags; expected "TAG", ... or *'
        raise ProblemError(400, Fault("invalid-value", message))
    return _TAG.findall(wanted)


def _date(written: str | None) -> float | None:
    """Seconds of an HTTP-date; None for one that is none, which is ignored."""
    try:
        when = parsedate_to_datetime(written or "")
        return when.replace(tzinfo=when.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _failed(name: str, version: Version | None) -> ProblemError:
    there = "it is not there" if version is None else f'it has the entity-tag "{version.tag}"'
    message = f"{name} does not hold: {there}"
    fields = {} if version is None else version.fields
    return ProblemError(412, Fault("operation-failed", message), fields=fields)
