"""The OpenFlow 1.3 application: puts a plan's rules on its switches, and reads counters back.

It decides nothing. When a switch says its datapath id, it gets one buffer (delete all,
add groups, add rules); when its last barrier comes back its rules are in. Switches the
plan does not know are left alone. A switch that connects again gets its rules again,
without the deletion: it may still be forwarding.

When switches say that ports are no longer live, paths are put on the ways that
`restoration` says, in two steps: the rules of the new way, and when their barriers came
back the rule that sends packets there. So no packet meets a switch that does not know
it. Another way is taken back in the same manner.

The application's own thread handles events; `launch` reads the state from the main
thread, woken by `notify`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from controllers import encode
from controllers.compat import App, handler, hub, ofp, ofp_event, on
from controllers.restoration import Restoration
from testbed.net.deltas.reroute import Reroute
from testbed.net.tables import Group, Rule
from testbed.net.timeline import UNCONFIRMED, Entry
from testbed.plan.model import Plan

LOG = logging.getLogger("slice_app")

CONNECTED = (handler.CONFIG_DISPATCHER, handler.MAIN_DISPATCHER)
KINDS = ("flows", "ports")
PORT_COUNTERS = tuple(
    f"{way}_{what}" for what in ("packets", "bytes", "dropped", "errors") for way in ("rx", "tx")
)


_AWAY_POLL_S = 0.05
_FIRST_CHANGE = 1 << 20
"""Transaction ids of changes come after those of any setting up."""


@dataclass(eq=False)
class _Step:
    """What is to be done when switches have confirmed."""

    way: Reroute
    at_ns: int
    """When it was to begin (CLOCK_MONOTONIC, as all times here)."""
    began_ns: int
    then: Callable[[_Step], None]
    why: str
    missing: set[tuple[int, int]] = field(default_factory=set)


@dataclass(eq=False)
class _Change:
    """Rules that come and go while the plan runs, until every switch has confirmed."""

    batches: dict[int, encode.Batch]
    missing: set[int]
    """Datapath ids."""
    done: threading.Event = field(default_factory=threading.Event)
    error: str = ""

    def concerns(self, dpid: int, xid: int) -> bool:
        """Whether a message is of this change."""
        return dpid in self.batches and self.batches[dpid].has(xid)

    def fail(self, why: str) -> None:
        self.error = self.error or why
        self.done.set()


class SliceApp(App):
    """Installs `plan`; calls `notify` when something the main thread waits for happened."""

    OFP_VERSIONS = (ofp.OFP_VERSION,)

    def __init__(
        self,
        *args: Any,
        plan: Plan,
        notify: Callable[[], None],
        note: Callable[[Entry], None],
        taken: Sequence[Reroute] = (),
        keep: bool = False,
        repair: bool = True,
        **kwargs: Any,
    ) -> None:
        """
        Args:
            note: told of each path that is put on another way, before the switch is told so
                (unconfirmed) and when it has confirmed; times are of CLOCK_MONOTONIC.
            taken: what an earlier controller had done, in order.
            keep: nothing is deleted at first either, since another controller was here.
            repair: paths are put on other ways.
        """
        super().__init__(*args, **kwargs)
        self._keep, self._repair = keep, repair
        self._notify, self._note = notify, note
        self.names = {switch.dpid: switch.name for switch in plan.switches}
        rules: dict[str, list[Rule]] = {name: [] for name in self.names.values()}
        groups: dict[str, list[Group]] = {name: [] for name in self.names.values()}
        for rule in plan.rules:
            rules[rule.switch].append(rule)
        for group in plan.groups:
            groups[group.switch].append(group)
        self._batches = {
            dpid: encode.Batch(rules[name], groups[name]) for dpid, name in self.names.items()
        }
        self._buffers = {dpid: batch.encode() for dpid, batch in self._batches.items()}

        self._dpids = {name: dpid for dpid, name in self.names.items()}
        self._restoration = Restoration(plan, taken)
        self._decision_ns = plan.recovery.decision_ns
        self._steps: dict[tuple[int, int], _Step] = {}
        """(datapath id, transaction id) of a barrier -> what waits for it."""
        self._last_xid = _FIRST_CHANGE
        self._lock = threading.RLock()
        self._changing: _Change | None = None

        self.waiting = set(self.names)
        """Datapath ids whose barrier has not come back yet."""
        self.refused: list[str] = []
        """What switches said about messages they did not take."""
        self.installs: Counter[str] = Counter()
        """How often each switch was set up."""
        self.first_ns = self.last_ns = 0
        """CLOCK_MONOTONIC of the first switch's features and of the latest barrier reply."""

        self._datapaths: dict[int, Any] = {}
        self.awaited: set[tuple[int, str]] = set()
        """(datapath id, "flows" | "ports") asked for and not answered yet."""
        self._answered: set[tuple[int, str]] = set()
        self.flows: list[dict[str, Any]] = []
        self.ports: list[dict[str, Any]] = []

    # --- installing

    @on(ofp_event.EventOFPSwitchFeatures, handler.CONFIG_DISPATCHER)
    def connected(self, event: Any) -> None:
        datapath, dpid = event.msg.datapath, event.msg.datapath_id
        if dpid not in self._batches:
            LOG.warning("switch with datapath id %#x is not in the plan: left alone", dpid)
            return
        self._datapaths[dpid] = datapath
        self.first_ns = self.first_ns or time.monotonic_ns()
        self.waiting.add(dpid)
        clear = not self.installs[self.names[dpid]] and not self._keep
        self.installs[self.names[dpid]] += 1
        datapath.send(self._buffers[dpid] if clear else self._again(dpid))

    def _again(self, dpid: int) -> bytes:
        """What a switch gets that was set up before."""
        name = self.names[dpid]
        with self._lock:
            rules = self._restoration.rules(name)
        self._batches[dpid] = encode.Batch(rules, self._batches[dpid].groups)
        return self._batches[dpid].encode(clear=False)

    @on(ofp_event.EventOFPBarrierReply, *CONNECTED)
    def installed(self, event: Any) -> None:
        dpid = event.msg.datapath.id
        self._confirmed(dpid, event.msg.xid)
        if (
            dpid in self.waiting
            and event.msg.datapath is self._datapaths.get(dpid)
            and event.msg.xid == self._batches[dpid].done
        ):
            self.waiting.discard(dpid)
            self.last_ns = time.monotonic_ns()
            if not self.waiting or self.refused:
                self._notify()

    @on(ofp_event.EventOFPErrorMsg, *CONNECTED)
    def failed(self, event: Any) -> None:
        message = event.msg
        name = self.names.get(message.datapath.id, "a switch not in the plan")
        if (self._keep or self.installs[name] > 1) and encode.is_kept(message.type, message.code):
            return
        batch = self._batches.get(message.datapath.id, encode.Batch(()))
        change = self._changing
        if change is not None and change.concerns(message.datapath.id, message.xid):
            batch = change.batches[message.datapath.id]
        subject = batch.subject(message.xid)
        kind = ofp.ofp_error_type_to_str(message.type)
        code = ofp.ofp_error_code_to_str(message.type, message.code)
        told = f"{name} answered {kind} {code} to: {subject}"
        LOG.error(told)
        if change is not None and change.concerns(message.datapath.id, message.xid):
            change.fail(told)
        else:
            self.refused.append(told)

    @on(ofp_event.EventOFPStateChange, handler.DEAD_DISPATCHER)
    def gone(self, event: Any) -> None:
        dpid = event.datapath.id
        if self._datapaths.get(dpid) is event.datapath:
            del self._datapaths[dpid]
            LOG.warning("switch %s closed its connection", self.names[dpid])
            self.awaited -= {(dpid, what) for what in KINDS}
            if self._changing is not None and dpid in self._changing.missing:
                self._changing.fail(f"switch {self.names[dpid]} went away")
            self._notify()

    # --- going round failures

    @on(ofp_event.EventOFPPortDescStatsReply, *CONNECTED)
    def ports_are(self, event: Any) -> None:
        for port in event.msg.body:
            self._port(event.msg.datapath.id, port, gone=False)

    @on(ofp_event.EventOFPPortStatus, *CONNECTED)
    def port_is(self, event: Any) -> None:
        gone = event.msg.reason == ofp.OFPPR_DELETE
        self._port(event.msg.datapath.id, event.msg.desc, gone=gone)

    def _port(self, dpid: int, port: Any, *, gone: bool) -> None:
        live = bool(port.state & ofp.OFPPS_LIVE) and not port.state & ofp.OFPPS_LINK_DOWN
        if dpid not in self.names or not self._repair:
            return
        now_ns = time.monotonic_ns()
        with self._lock:
            at_ns = self._restoration.port(
                self.names[dpid], port.port_no, live and not gone, now_ns
            )
        if at_ns is not None:
            state = "up" if live and not gone else "down"
            why = f"{self.names[dpid]} says that its port {port.port_no} is {state}"
            hub.spawn(self._decide, at_ns + self._decision_ns, why)

    def _decide(self, at_ns: int, why: str) -> None:
        """At a moment, ask for changes and begin them."""
        time.sleep(max(0, at_ns - time.monotonic_ns()) / 1e9)
        with self._lock:
            now_ns = time.monotonic_ns()
            for way in self._restoration.changes(now_ns):
                step = _Step(way, at_ns, now_ns, self._switch_over, why=why)
                self._change(step, way.prepare)

    def _change(self, step: _Step, rules: Sequence[Rule]) -> None:
        """Put rules on their switches; `step` goes on when all have confirmed."""
        by_switch: dict[int, list[Rule]] = {}
        for rule in rules:
            by_switch.setdefault(self._dpids[rule.switch], []).append(rule)
        if self._away(rules):
            LOG.warning("%s is not put on another way: a switch is away", step.way.path)
            return
        for dpid, batch in by_switch.items():
            change = encode.Batch(batch, after=self._last_xid)
            self._last_xid = change.done
            step.missing.add((dpid, change.done))
            self._steps[dpid, change.done] = step
            self._datapaths[dpid].send(change.encode(clear=False))
        if not by_switch:
            step.then(step)

    def _away(self, rules: Sequence[Rule]) -> bool:
        """Whether a switch of the rules is not connected; it gets them when it is again."""
        return any(self._dpids[rule.switch] not in self._datapaths for rule in rules)

    def _confirmed(self, dpid: int, xid: int) -> None:
        change = self._changing
        if change is not None and change.concerns(dpid, xid):
            change.missing.discard(dpid)
            if not change.missing:
                change.done.set()
        with self._lock:
            step = self._steps.pop((dpid, xid), None)
            if step is not None:
                step.missing.discard((dpid, xid))
                if not step.missing:
                    step.then(step)

    def _switch_over(self, step: _Step) -> None:
        if self._restoration.current(step.way, time.monotonic_ns()):
            self._restoration.take(step.way)
            if not self._away(step.way.switch_over):
                self._note(_entry(step, confirmed=False))
            last = _Step(step.way, step.at_ns, step.began_ns, self._taken, why=step.why)
            self._change(last, step.way.switch_over)

    def _taken(self, step: _Step) -> None:
        self._note(_entry(step, confirmed=True))

    # --- other rules while the plan runs

    def change(self, add: Sequence[Rule], delete: Sequence[Rule], seconds: float) -> str:
        """Add rules, take others away, and wait for the barriers; why not, or nothing.

        Switches that connect again get what the last complete change has made of the plan.
        One change at a time, from a thread that may wait.
        """
        parts: dict[int, tuple[list[Rule], list[Rule]]] = {}
        for which, rules in enumerate((add, delete)):
            for rule in rules:
                parts.setdefault(self._dpids[rule.switch], ([], []))[which].append(rule)
        end = time.monotonic() + seconds
        while away := (parts.keys() - self._datapaths.keys()) | (parts.keys() & self.waiting):
            if time.monotonic() > end:
                return f"switch {self.names[min(away)]} is away"
            time.sleep(_AWAY_POLL_S)
        with self._lock:
            batches = {}
            for dpid, (more, gone) in parts.items():
                batches[dpid] = encode.Batch(more, delete=gone, after=self._last_xid)
                self._last_xid = batches[dpid].done
            change = self._changing = _Change(batches, set(batches))
        for dpid, batch in batches.items():
            self._datapaths[dpid].send(batch.encode(clear=False))
        if batches and not change.done.wait(end - time.monotonic()):
            change.fail(f"switch {self.names[min(change.missing)]} did not confirm")
        self._changing = None
        if not change.error:
            with self._lock:
                self._restoration.change(add, delete)
        return change.error

    # --- reading counters

    def ask_counters(self) -> None:
        """Ask every connected switch for flow and port counters; notifies when all answered."""
        datapaths = dict(self._datapaths)
        self.flows, self.ports, self._answered = [], [], set()
        self.awaited = {(dpid, what) for dpid in datapaths for what in KINDS}
        request = encode.statistics()
        for datapath in datapaths.values():
            datapath.send(request)

    def silent(self) -> list[str]:
        """Switches of the plan that did not answer the latest question completely."""
        answered = self._answered
        return [
            name
            for dpid, name in self.names.items()
            if any((dpid, what) not in answered for what in KINDS)
        ]

    @on(ofp_event.EventOFPFlowStatsReply, *CONNECTED)
    def flow_counters(self, event: Any) -> None:
        name = self.names[event.msg.datapath.id]
        self.flows += (
            {
                "switch": name,
                "priority": flow.priority,
                "match": dict(flow.match.items()),
                "cookie": flow.cookie,
                "packets": flow.packet_count,
                "bytes": flow.byte_count,
            }
            for flow in event.msg.body
        )
        self._replied(event.msg, "flows")

    @on(ofp_event.EventOFPPortStatsReply, *CONNECTED)
    def port_counters(self, event: Any) -> None:
        name = self.names[event.msg.datapath.id]
        self.ports += (
            {"switch": name, "port": port.port_no}
            | {what: getattr(port, what) for what in PORT_COUNTERS}
            for port in event.msg.body
            if port.port_no <= ofp.OFPP_MAX
        )
        self._replied(event.msg, "ports")

    def _replied(self, message: Any, what: str) -> None:
        if not message.flags & ofp.OFPMPF_REPLY_MORE:
            self._answered.add((message.datapath.id, what))
            self.awaited.discard((message.datapath.id, what))
            if not self.awaited:
                self._notify()


def _entry(step: _Step, *, confirmed: bool) -> Entry:
    return Entry(
        delta=msgspec.structs.replace(step.way, at_ns=step.at_ns, why=step.why),
        began_ns=step.began_ns,
        actual_ns=time.monotonic_ns(),
        told={} if confirmed else UNCONFIRMED,
    )
