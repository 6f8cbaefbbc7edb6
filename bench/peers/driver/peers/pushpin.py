"""Pushpin: holds WebSockets for a backend of ours, which only says which channel each is for."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ..connection import WebSocketClient
from ..ledger import payload
from ..peer import Peer
from ..publisher import HttpPublisher
from ..servers import free_port, listens
from ..wire import http, websocket

_READY = b"ready"


def event(kind: str, content: bytes) -> bytes:
    """A WebSocket event as Pushpin and its backend tell each other."""
    return b"%b %x\r\n%b\r\n" % (kind.encode(), len(content), content)


class Client(WebSocketClient):
    """The path says whose it is; the backend's greeting says that the subscription stands."""

    def opening(self) -> bytes:
        return websocket.handshake("127.0.0.1", f"/to/{self.number}", {})

    def message(self, payload: bytes) -> None:
        if payload == _READY:
            self.up()
        else:
            self.got(payload)


class Publisher(HttpPublisher):
    """`POST /publish/` takes one item or several."""

    def single(self, number: int) -> bytes:
        return self.several([number])

    def several(self, group: list[int]) -> bytes:
        items = [{"channel": str(self.book.target(number)),
                  "formats": {"ws-message": {"content": payload(self.book.run, number)}}} for number in group]
        headers = {"Content-Type": "application/json"}
        return http.request("POST", "/publish/", "127.0.0.1", headers, json.dumps({"items": items}).encode())


class _Backend(BaseHTTPRequestHandler):
    """Answers Pushpin's WebSocket events over HTTP."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = b""
        if said.startswith(b"OPEN\r\n"):
            control = json.dumps({"type": "subscribe", "channel": self.path.rsplit("/", 1)[1]}).encode()
            answer = b"OPEN\r\n" + event("TEXT", b"c:" + control) + event("TEXT", b"m:" + _READY)
        self.send_response(200)
        self.send_header("Content-Type", "application/websocket-events")
        self.send_header("Sec-WebSocket-Extensions", "grip")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is written for each request."""


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A Pushpin that was killed hangs up in the middle of a request; nothing else is let pass."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class WebSocketOverHttp(Peer):
    row = "Pushpin, WebSocket"
    protocol = "pushpin"
    work = "keeps nothing, no acknowledgement by the client; a publication is answered before it is delivered, on a connection that ends with the answer"
    settings_text = ("Debian's package; condure, zurl, proxy, handler; WebSocket over HTTP to a backend that subscribes each"
                     " connection to its own channel; `client_maxconn` 12000, `message_rate` and `message_hwm` 25000")
    _backend: ThreadingHTTPServer | None = None

    def version(self) -> str:
        done = subprocess.run([self.places.program("pushpin"), "--version"], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def configure(self, folder: Path) -> None:
        self.places.program("zurl"), self.places.program("condure")
        self._port, self._api = free_port(), free_port()
        if self._backend is None:
            self._backend = _Listening(("127.0.0.1", 0), _Backend)
            threading.Thread(target=self._backend.serve_forever, daemon=True).start()
        (folder / "routes").write_text(f"* 127.0.0.1:{self._backend.server_port},over_http\n", encoding="utf-8")
        (folder / "pushpin.conf").write_text(self._settings(folder), encoding="utf-8")
        (folder / "zurl.conf").write_text(
            f"[General]\nin_spec=ipc://{folder}/zurl-in\nin_stream_spec=ipc://{folder}/zurl-in-stream\n"
            f"out_spec=ipc://{folder}/zurl-out\ndefpolicy=allow\nmax_open_requests=2000\nbuffer_size=200000\n"
            "timeout=600\nin_hwm=1000\nout_hwm=1000\n", encoding="utf-8")

    def _settings(self, folder: Path) -> str:
        ports = [free_port() for _ in range(3)]
        return (
            "[global]\ninclude={libdir}/internal.conf\n"
            f"rundir={folder}/run\nipc_prefix=peers-\nport_offset=0\n"
            f"[runner]\nservices=condure,pushpin-proxy,pushpin-handler\nhttp_port=127.0.0.1:{self._port}\n"
            f"logdir={folder}\nlog_level=1\nclient_buffer_size=8192\nclient_maxconn=12000\ncondure_bin=condure\n"
            f"[proxy]\nroutesfile={folder}/routes\nsig_key=changeme\nupdates_check=off\n"
            f"zurl_out_specs=ipc://{folder}/zurl-in\nzurl_out_stream_specs=ipc://{folder}/zurl-in-stream\n"
            f"zurl_in_specs=ipc://{folder}/zurl-out\n"
            f"[handler]\npush_in_spec=tcp://127.0.0.1:{ports[0]}\npush_in_sub_specs=tcp://127.0.0.1:{ports[1]}\n"
            f"push_in_http_addr=127.0.0.1\npush_in_http_port={self._api}\n"
            "push_in_http_max_headers_size=10000\npush_in_http_max_body_size=1000000\n"
            f"command_spec=tcp://127.0.0.1:{ports[2]}\nstats_spec=ipc://{folder}/run/peers-stats\n"
            "message_rate=25000\nmessage_hwm=25000\nmessage_wait=5000\nid_cache_ttl=60\n"
            "connection_subscription_max=20\nsubscription_linger=60\nstats_format=tnetstring\n"
        )

    def start(self) -> None:
        folder = self.servers.folder
        (folder / "run").mkdir(exist_ok=True)
        self.servers.start("zurl", [self.places.program("zurl"), f"--config={folder}/zurl.conf", "--loglevel=1"],
                           lambda: (folder / "zurl-in").exists())
        self.servers.start("pushpin", [self.places.program("pushpin"), f"--config={folder}/pushpin.conf"],
                           lambda: listens(self._port) and listens(self._api))

    def client_settings(self) -> dict[str, Any]:
        return {"port": self._port}

    def publisher_settings(self) -> dict[str, Any]:
        return {"api_port": self._api}

    def close(self) -> None:
        if self._backend is not None:
            self._backend.shutdown()
            self._backend.server_close()
            self._backend = None
