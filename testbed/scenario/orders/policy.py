"""SLO and SLE policies of an order: templates, inheritance, units, and their meaning.

A policy is flattened to terms: a metric, `availability`, `mtu`, `isolation` or
`diversity`, each with the path it was written at. Merging two policies is merging their
terms, and a fault in a term that was inherited names the place that wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from testbed.scenario.model import Diversity, Isolation, Slo
from testbed.scenario.orders.schema import AVAILABILITY, ROOT, units_of
from testbed.scenario.orders.yang import Reader, near, quoted
from testbed.scenario.promise import MAX_NS, contradictions

TEMPLATES = f"/{ROOT}/slo-sle-templates/slo-sle-template"
_PPT = 10**12

FIELDS = {
    "one-way-bandwidth": "guaranteed_bps",
    "shared-bandwidth": "maximum_bps",
    "one-way-delay-maximum": "delay_ns",
    "one-way-delay-percentile": "delay_percentile_ns",
    "one-way-delay-variation-maximum": "variation_ns",
    "one-way-delay-variation-percentile": "variation_percentile_ns",
    "one-way-packet-loss": "loss",
}
"""Metric, and the field of Slo that carries it."""

_TERM_OF = {field: metric for metric, field in FIELDS.items()} | {
    "delay_percentile": "one-way-delay-percentile",
    "variation_percentile": "one-way-delay-variation-percentile",
    "availability": "availability",
    "mtu_bytes": "mtu",
}


class Term(NamedTuple):
    """One term of a policy, and where it is written."""

    path: str
    value: Any


Terms = Mapping[str, Term]


def isolation_of(terms: Terms) -> Isolation:
    """Traffic isolation is a queue of the slice's own."""
    term = terms.get("isolation")
    return "dedicated-queue" if term and "traffic-isolation" in term.value else "shared"


class Policies:
    """The policies of one document. Faults and what is left out go to `reader`."""

    def __init__(self, templates: Mapping[str, Any], reader: Reader) -> None:
        self._reader = reader
        self._templates = {t["id"]: t for t in templates.get("slo-sle-template", ())}
        self._resolved: dict[str, Terms] = {}
        for name in self._templates:
            if name not in self._resolved:
                self._template(name)

    def of(self, holder: Mapping[str, Any], path: str) -> Terms | None:
        """The terms a slice, group or construct states itself; None: it states none."""
        if "slo-sle-template" in holder:
            name = holder["slo-sle-template"]
            if name not in self._templates:
                self._dangling(f"{path}/slo-sle-template", name)
                return {}
            return self._resolved[name]
        if "service-slo-sle-policy" in holder:
            return _terms(holder["service-slo-sle-policy"], f"{path}/service-slo-sle-policy")
        return None

    def over(self, outer: Terms, holder: Mapping[str, Any], path: str) -> Terms:
        """The terms that hold inside `holder`; `outer` itself where it states none."""
        own = self.of(holder, path)
        if own is None:
            return outer
        if holder.get("service-slo-sle-policy-override") == "partial-override":
            own = {**outer, **own}
        for name in ("isolation", "diversity"):  # the slice's, not a construct's, in the testbed
            if name in own and own[name] is not outer.get(name):
                self._reader.left_out.append(own[name].path)
        return own

    def slo(self, terms: Terms, path: str) -> Slo:
        """What the terms promise."""
        found: dict[str, Any] = {}
        for name, term in terms.items():
            if name == "availability":
                found["availability"] = AVAILABILITY[term.value]
            elif name == "mtu":
                found["mtu_bytes"] = term.value
            elif name not in ("isolation", "diversity"):
                self._metric(name, term, found)
        slo = Slo(**found)
        for field, what, expected in contradictions(slo):
            term_ = terms.get(_TERM_OF[field])
            self._reader.fault(term_.path if term_ else path, what, expected)
        return slo

    def diversity(self, terms: Terms) -> Diversity:
        """Node-disjoint paths are link-disjoint too, so node is the stronger."""
        term = terms.get("diversity")
        if term and "srlg" in term.value:
            self._reader.left_out.append(f"{term.path}: srlg")
        if term and "node" in term.value:
            return "node"
        return "link" if term and "link" in term.value else "none"

    def _template(self, name: str) -> None:
        """Resolve a template after those it refers to."""
        chain = [name]
        while (base := self._templates[chain[-1]].get("template-ref")) is not None:
            path = f"{TEMPLATES}[id={quoted(chain[-1])}]/template-ref"
            if base not in self._templates:
                self._dangling(path, base)
            elif base in chain:
                self._reader.fault(path, "refers to itself in the end", "another template")
            elif base not in self._resolved:
                chain.append(base)
                continue
            break
        terms: Terms = self._resolved.get(base or "", {})
        for each in reversed(chain):
            own = _terms(self._templates[each], f"{TEMPLATES}[id={quoted(each)}]")
            terms = self._resolved[each] = {**terms, **own}

    def _dangling(self, path: str, name: str) -> None:
        self._reader.fault(
            path,
            f"refers to slo-sle-template {name!r}, which is not there"
            + near(name, self._templates),
            "a template of the same document, or its terms as service-slo-sle-policy",
        )

    def _metric(self, metric: str, term: Term, found: dict[str, Any]) -> None:
        """Add a metric's bound, in ns, bit/s or a ratio."""
        bound, percentile = term.value.get("bound", 0), term.value.get("percentile-value")
        units = units_of(metric)
        unit = units.get(term.value["metric-unit"])
        if unit is None:
            self._reader.fault(
                f"{term.path}/metric-unit",
                f"is {term.value['metric-unit']!r}" + near(term.value["metric-unit"], units),
                "one of " + ", ".join(units),
            )
            return
        if metric.endswith("-percentile"):
            if percentile is None:
                self._reader.fault(
                    f"{term.path}/percentile-value", "is missing", "for a percentile"
                )
                return
            if bound == 0:
                self._reader.fault(
                    f"{term.path}/bound", "percentile without a bound", "a bound above 0"
                )
                return
        elif percentile is not None:
            self._reader.fault(
                f"{term.path}/percentile-value", f"does not go with {metric}", "no percentile"
            )
            return
        field = FIELDS.get(metric)
        if field is None:
            self._reader.left_out.append(term.path)
        elif bound == 0:
            self._reader.left_out.append(f"{term.path}: a bound of 0 is unbounded, so no promise")
        elif bound * unit > MAX_NS:
            self._reader.fault(f"{term.path}/bound", f"is {bound}", "below 2^62 ns or bit/s")
        elif metric.endswith("loss"):
            found[field] = bound * unit / _PPT
        else:
            found[field] = bound * unit
            if percentile is not None:
                found[field.removesuffix("_ns")] = percentile


def _terms(policy: Mapping[str, Any], path: str) -> Terms:
    slo, sle = policy.get("slo-policy", {}), policy.get("sle-policy", {})
    found = {
        bound["metric-type"]: Term(
            f"{path}/slo-policy/metric-bound[metric-type={quoted(bound['metric-type'])}]", bound
        )
        for bound in slo.get("metric-bound", ())
    }
    for name in ("availability", "mtu"):
        if name in slo:
            found[name] = Term(f"{path}/slo-policy/{name}", slo[name])
    if "isolation" in sle:
        found["isolation"] = Term(f"{path}/sle-policy/isolation", sle["isolation"])
    diversity = sle.get("path-constraints", {}).get("diversity", {})
    if "diversity-type" in diversity:
        place = f"{path}/sle-policy/path-constraints/diversity/diversity-type"
        found["diversity"] = Term(place, diversity["diversity-type"])
    return found
