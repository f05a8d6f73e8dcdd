"""Starts `conformance` (ours, or the reference when SIO_SERVER=reference) once for the Python suite: on a free port, in a
temporary folder, ended by its process id; its log is shown when a test failed."""

import os
import pathlib
import random
import socket
import subprocess
import time

import pytest

SUITE = pathlib.Path(__file__).resolve().parent.parent


def _command(port):
    if os.environ.get("SIO_SERVER", "ours") == "reference":
        return ["node", str(SUITE / "reference" / "conformance.mjs"), str(port)]
    binaries = (SUITE / os.environ.get("SIO_BIN_DIR", "../target/release")).resolve()
    return [str(binaries / "examples" / "conformance"), str(port)]


def _free_port():
    while True:
        port = random.randrange(18_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def _accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="session")
def url(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("server")
    port = _free_port()
    log_path = folder / "server.log"
    with open(log_path, "wb") as log:
        server = subprocess.Popen(_command(port), cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(1500):
            if _accepts(port):
                break
            assert server.poll() is None, log_path.read_text()
            time.sleep(0.01)
        else:
            pytest.fail("the server does not accept:\n" + log_path.read_text())
        yield f"http://127.0.0.1:{port}"
        assert server.poll() is None, "the server ended by itself:\n" + log_path.read_text()
    finally:
        if server.poll() is None:
            server.terminate()
            try:
                server.wait(12)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        if request.session.testsfailed:
            print("\n--- server log\n" + log_path.read_text()[-4000:])


@pytest.fixture(params=[["polling"], ["websocket"], ["polling", "websocket"]], ids=lambda modes: "+".join(modes))
def transports(request):
    """Polling only, WebSocket only, and polling with the upgrade."""
    return request.param
