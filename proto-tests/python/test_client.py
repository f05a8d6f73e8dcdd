"""python-socketio's threaded Client, unmodified, against `conformance`."""

import queue
from contextlib import contextmanager

import pytest
import socketio

WAIT_S = 15


@contextmanager
def connected(url, transports, **options):
    client = socketio.Client(reconnection=False)
    client.heard = {}
    for event in ("message-back", "auth", "ack-result"):
        heard = client.heard[event] = queue.Queue()
        client.on(event, lambda *args, heard=heard: heard.put(args))
    client.connect(url, transports=transports, wait_timeout=WAIT_S, **options)
    try:
        yield client
    finally:
        client.disconnect()


def hear(client, event):
    return client.heard[event].get(timeout=WAIT_S)


def test_events(url, transports):
    with connected(url, transports) as client:
        assert client.transport() == transports[-1]
        for args in [("text", 1, None), (b"\x00\xff", {"b": [b"\x01"]}), ("é€😀\u2028",)]:
            client.emit("message", args)
            assert hear(client, "message-back") == args


def test_acks_both_ways(url, transports):
    with connected(url, transports) as client:
        assert client.call("message-with-ack", {"a": b"\x01"}, timeout=WAIT_S) == {"a": b"\x01"}
        client.on("ack-me", lambda *args: (*args, "answered"))
        client.emit("request-ack", "q")
        assert hear(client, "ack-result") == ("q", "answered")


def test_auth(url, transports):
    with connected(url, transports, auth={"token": "abc"}) as client:
        assert hear(client, "auth") == ({"token": "abc"},)


def test_namespaces(url, transports):
    client = socketio.Client(reconnection=False)
    client.connect(url, transports=transports, namespaces=["/", "/custom"], wait_timeout=WAIT_S)
    try:
        assert client.get_sid("/") != client.get_sid("/custom")
        assert client.call("message-with-ack", "c", namespace="/custom", timeout=WAIT_S) == "c"
        assert client.call("message-with-ack", "d", timeout=WAIT_S) == "d"
    finally:
        client.disconnect()


def test_unknown_namespace(url, transports):
    client = socketio.Client(reconnection=False)
    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect(url, transports=transports, namespaces=["/nope"], wait_timeout=WAIT_S)
    client.disconnect()
