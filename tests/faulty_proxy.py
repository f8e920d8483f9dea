"""A proxy before a tracking server that delays, fails, loses answers, or asks for a password, as it is told."""

import base64
import http.client
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["", "fail", "fail after", "drop", "drop after"]
"""Nothing; a 500 or a closed connection in place of the request's work, or after it: the answer is lost."""
KEPT_TO_A_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server"}


class FaultyProxy:
    """In a context it listens at `uri`; its attributes may change at any time."""

    def __init__(self, upstream: str, *, port: int = 0, user: str = "", password: str = ""):
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname or "", parts.port or 80)
        self.wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self.fault: Callable[[str, str], Fault] = lambda method, path: ""
        self.delay = 0.0
        self.requests: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.uri = f"http://{self.address}"

    def __enter__(self) -> "FaultyProxy":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, end: str) -> int:
        """Requests whose path ends so."""
        return sum(path.endswith(end) for _, path in self.requests)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self._body()
                path = urlsplit(self.path).path
                proxy.requests.append((self.command, path))
                time.sleep(proxy.delay)
                fault = proxy.fault(self.command, path)
                if proxy.wanted and self.headers["Authorization"] != proxy.wanted:
                    self._answer(401, b"who are you?", {})
                elif fault in ("fail", "drop"):
                    self._break(fault)
                else:
                    try:
                        answer = self._upstream(body)
                    except OSError as error:
                        self._answer(502, str(error).encode(), {})
                        return
                    self._break(fault) if fault else self._answer(*answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on  # noqa: N815 (http.server's names)

            def _body(self) -> bytes:
                if self.headers["Transfer-Encoding"] != "chunked":
                    return self.rfile.read(int(self.headers["Content-Length"] or 0))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _upstream(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
                connection = http.client.HTTPConnection(*proxy.upstream, timeout=60)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in KEPT_TO_A_HOP}
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                found = answer.status, answer.read(), dict(answer.getheaders())
                connection.close()
                return found

            def _break(self, fault: Fault) -> None:
                if fault.startswith("drop"):
                    self.close_connection = True
                else:
                    self._answer(500, b"out of order", {})

            def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in KEPT_TO_A_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        return Handler
