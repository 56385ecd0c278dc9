"""What others send to the probes' sockets changes nothing of what is measured."""

from __future__ import annotations

import socket
import threading

from testbed.probes import reflector
from testbed.probes.batches import name_of
from testbed.probes.events import NO_SESSION
from testbed.probes.reflector import Endpoint, Reflector, _Sent
from testbed.probes.single import Session
from testbed.probes.sockets import open_answering_pair, open_udp
from testbed.probes.stamp import BASE_BYTES, reply, request_of_size

_MS = 1_000_000


def test_strangers_are_counted_while_there_is_room() -> None:
    with socket.socket() as one, socket.socket() as other:
        endpoint = Endpoint(one, other, {})
        known = name_of("10.0.0.1", 1)
        assert [endpoint.count(known, 0), endpoint.count(known, 0)] == [0, 1]
        for n in range(reflector._STRANGERS + 100):
            endpoint.count(n.to_bytes(16, "big"), NO_SESSION)
        assert len(endpoint.strangers) == reflector._STRANGERS
        assert endpoint.count(known, 0) == 2


def test_a_reply_that_is_refused_keeps_none_after_it() -> None:
    inbound, outbound = open_answering_pair("127.0.0.1", 0)
    with inbound, outbound, socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.bind(("127.0.0.1", 0))
        asking.settimeout(5)
        endpoint = Endpoint(inbound, outbound, {})
        answering = Reflector([endpoint], stateful=False, log=None)
        names = [name_of("127.0.0.1", 0), name_of(*asking.getsockname())]  # nobody has port 0
        for i, name in enumerate(names):
            answering._replies.put(i, bytes([i]) * BASE_BYTES, name, 0)
        answering._send(endpoint, [_Sent(NO_SESSION, i, i) for i in range(2)])
        assert asking.recv(100) == bytes([1]) * BASE_BYTES
        assert endpoint.next_id == 1


def test_only_the_reflector_replies_and_only_to_what_was_sent() -> None:
    """Each request has a good reply, one from another port, and one to nothing."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as there,
        socket.socket(type=socket.SOCK_DGRAM) as stranger,
        open_udp("127.0.0.1", 0) as here,
    ):
        there.bind(("127.0.0.1", 0))
        there.settimeout(5)

        def answer() -> None:
            request, back = there.recvfrom(100)
            for seq in (7, 8, 9):
                forged = bytearray(request_of_size(BASE_BYTES))
                forged[:4] = seq.to_bytes(4, "big")
                told = reply(bytes(forged), seq=0, received_ns=1, sent_ns=1, ttl=255)
                there.sendto(told, back)
            told = reply(request, seq=0, received_ns=1, sent_ns=1, ttl=255)
            stranger.sendto(told[:24] + bytes(20), back)
            there.sendto(b"short", back)
            there.sendto(told, back)

        answering = threading.Thread(target=answer)
        answering.start()
        session = Session(here, there.getsockname(), BASE_BYTES)
        session.run(_MS, 1, "periodic", 0, 5_000 * _MS)
        answering.join()
        assert list(session.trips) == [0]
        assert session._replies[0][0].received_ns > 0
