"""One OpenFlow surface for two frameworks: os-ken, or Ryu 4.34 where os-ken is not installed.

Everything of the framework that controllers/ uses enters here, untyped.
Importing costs about a second in a lab; half of that again would go to the
garbage collector looking at modules that stay, so it rests meanwhile.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable
from typing import Any, TypeVar

gc.disable()
try:
    import os_ken
    from os_ken import cfg
    from os_ken.base.app_manager import AppManager  # before controller.controller: they import
    from os_ken.base.app_manager import OSKenApp as App  # each other
    from os_ken.controller import handler, ofp_event
    from os_ken.lib import hub
    from os_ken.ofproto import ofproto_protocol, ofproto_v1_3, ofproto_v1_3_parser

    FRAMEWORK = f"os-ken {os_ken.__version__}"
except ImportError:
    # Ryu imports a name that eventlet has dropped
    vars(importlib.import_module("eventlet.wsgi")).setdefault("ALREADY_HANDLED", b"")
    import ryu
    from ryu import cfg
    from ryu.base.app_manager import AppManager
    from ryu.base.app_manager import RyuApp as App
    from ryu.controller import handler, ofp_event
    from ryu.lib import hub
    from ryu.ofproto import ofproto_protocol, ofproto_v1_3, ofproto_v1_3_parser

    FRAMEWORK = f"ryu {ryu.version}"
finally:
    gc.freeze()
    gc.enable()

__all__ = [
    "FRAMEWORK",
    "App",
    "AppManager",
    "cfg",
    "handler",
    "hub",
    "of13",
    "ofp",
    "ofp_event",
    "on",
    "parser",
]

ofp: Any = ofproto_v1_3
parser: Any = ofproto_v1_3_parser

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def of13() -> Any:
    """What messages are encoded for: stands in for a datapath before there is one."""
    return ofproto_protocol.ProtocolDesc(ofproto_v1_3.OFP_VERSION)


def on(event: Any, *states: str) -> Callable[[_Handler], _Handler]:
    """The framework's `set_ev_cls`, typed: call the method on `event` in these states."""
    decorate: Callable[[_Handler], _Handler] = handler.set_ev_cls(event, list(states))
    return decorate
