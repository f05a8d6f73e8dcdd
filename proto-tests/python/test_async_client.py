"""python-socketio's AsyncClient, unmodified, against `conformance`."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import socketio

WAIT_S = 15


@asynccontextmanager
async def connected(url, transports, namespaces=("/",), auth=None):
    """A client whose received events are put, by namespace and name, into `client.heard`."""
    client = socketio.AsyncClient(reconnection=False)
    client.heard = {}
    for namespace in namespaces:
        for event in ("message-back", "auth", "ack-result"):
            queue = client.heard[namespace, event] = asyncio.Queue()

            async def hear(*args, queue=queue):
                await queue.put(args)

            client.on(event, hear, namespace=namespace)
    await client.connect(url, transports=transports, namespaces=list(namespaces), auth=auth, wait_timeout=WAIT_S)
    try:
        yield client
    finally:
        await client.disconnect()


async def hear(client, event, namespace="/"):
    return await asyncio.wait_for(client.heard[namespace, event].get(), WAIT_S)


def test_transport(url, transports):
    async def main():
        async with connected(url, transports) as client:
            assert client.transport() == transports[-1]

    asyncio.run(main())


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("text",),
        (1, 2.5, None, True),
        ("é€😀\u2028",),
        ({"a": [1, {"b": None}]}, []),
        (b"\x00\xff",),
        ({"nested": [b"\x01", {"more": b"\x02\x03"}]}, b""),
        (b"x" * 200_000,),
        ("x" * 200_000,),
    ],
    ids=lambda args: repr(args)[:30],
)
def test_events_and_acks_come_back(url, transports, args):
    async def main():
        async with connected(url, transports) as client:
            await client.emit("message", args)
            assert await hear(client, "message-back") == args
            answer = await client.call("message-with-ack", args, timeout=WAIT_S)
            assert answer == (args[0] if len(args) == 1 else args or None)

    asyncio.run(main())


def test_ack_from_the_client(url, transports):
    async def main():
        async with connected(url, transports) as client:

            @client.on("ack-me")
            async def ack_me(*args):
                return (*args, b"\x07")

            await client.emit("request-ack", ("q", 1))
            assert await hear(client, "ack-result") == ("q", 1, b"\x07")

    asyncio.run(main())


def test_auth(url, transports):
    async def main():
        async with connected(url, transports, auth={"token": "é", "list": [1]}) as client:
            assert await hear(client, "auth") == ({"token": "é", "list": [1]},)

    asyncio.run(main())


def test_namespaces(url, transports):
    async def main():
        async with connected(url, transports, namespaces=("/", "/custom")) as client:
            assert client.get_sid("/") != client.get_sid("/custom")
            for namespace in ("/", "/custom"):
                await client.emit("message", ("to", namespace, b"\x01"), namespace=namespace)
                assert await hear(client, "message-back", namespace) == ("to", namespace, b"\x01")

    asyncio.run(main())


def test_unknown_namespace(url, transports):
    async def main():
        with pytest.raises(socketio.exceptions.ConnectionError):
            async with connected(url, transports, namespaces=("/nope",)):
                pass

    asyncio.run(main())


def test_many_events_in_order(url, transports):
    # This client refuses payloads of more than 16 packets, so it must not be sent more at once over polling.
    at_once = 5 if transports[-1] == "polling" else 100

    async def main():
        async with connected(url, transports) as client:
            heard = []
            for first in range(0, 300, at_once):
                for number in range(first, first + at_once):
                    await client.emit("message", (number, b"\x01") if number % 2 else number)
                heard += [(await hear(client, "message-back"))[0] for _ in range(at_once)]
            assert heard == list(range(300))

    asyncio.run(main())


def test_heartbeats(url, transports):
    async def main():
        async with connected(url, transports) as client:
            pings = 0
            receive = client.eio._receive_packet

            async def counting(packet):
                nonlocal pings
                pings += packet.packet_type == 2
                await receive(packet)

            client.eio._receive_packet = counting
            for _ in range(WAIT_S * 100):
                if pings >= 4:
                    break
                await asyncio.sleep(0.01)
            assert pings >= 4 and client.connected
            assert await client.call("message-with-ack", "alive", timeout=WAIT_S) == "alive"

    asyncio.run(main())
