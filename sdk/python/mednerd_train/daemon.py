"""A client of mednerd's socket, and a private daemon for tests. Standard library only."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


class Refused(RuntimeError):
    """The daemon answered with an error; the message is the daemon's."""


class Client(http.client.HTTPConnection):
    """HTTP over a Unix socket, one connection kept alive."""

    def __init__(self, path: Path) -> None:
        super().__init__("mednerd", timeout=120)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

    def ask(self, method: str, route: str, body: dict | None = None) -> dict:
        """The answer to one request, parsed; raises `Refused` where its status is not 200.

        The daemon closes connections that are idle for a minute: then the request goes out on a new one.
        """
        sent = None if body is None else json.dumps(body)
        try:
            response, answer = self._exchange(method, route, sent)
        except (ConnectionError, http.client.BadStatusLine):
            response, answer = self._exchange(method, route, sent)
        if response.status != 200:
            raise Refused(f"{method} {route}: {response.status}: {json.loads(answer)['error']['message']}")
        return json.loads(answer)

    def _exchange(self, method: str, route: str, sent: str | None) -> tuple[http.client.HTTPResponse, bytes]:
        """One request and its whole answer; where that fails the next one is sent on a new connection."""
        try:
            self.request(method, route, sent, {"Content-Type": "application/json"})
            response = self.getresponse()
            return response, response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def annotate(self, text: str, **options) -> list[dict]:
        """The entities of `text`, offsets in code points. Raises `Refused` where an answer is not complete."""
        answer = self.ask("POST", "/v1/annotate", {"text": text, **options})
        if answer["status"] != "ok":
            raise Refused(f"the answer's status is {answer['status']}, degraded: {answer['degraded']}")
        return answer["entities"]


@contextmanager
def running(
    binary: Path, base: Path, adapters: dict[str, Path] | None = None, engine: str = "threads = 1"
) -> Iterator[Path]:
    """Starts `binary` on a private socket with a base, called `base`, and adapters over it, and with the lines
    `engine` of its section of that name; gives the socket's path.

    Raises `RuntimeError` with what the daemon said where it does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lines = ["[server]", 'socket = "m.sock"', 'admin_socket = "a.sock"', "[access]", "groups = []"]
        lines += ["[engine]", engine, "[[models]]", 'name = "base"', f"path = {json.dumps(str(base.resolve()))}"]
        for name, path in (adapters or {}).items():
            lines += ["[[models.adapters]]", f"name = {json.dumps(name)}", f"path = {json.dumps(str(path.resolve()))}"]
        (place / "mednerd.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        log = place / "log"
        with log.open("w") as said:
            daemon = subprocess.Popen([binary, "--config", place / "mednerd.toml"], stderr=said)
            try:
                _wait(daemon, place / "m.sock", log)
                yield place / "m.sock"
            finally:
                daemon.terminate()
                daemon.wait()


def _wait(daemon: subprocess.Popen, path: Path, log: Path) -> None:
    while daemon.poll() is None:
        try:
            with closing(Client(path)) as client:
                client.ask("GET", "/readyz")
            return
        except (OSError, http.client.HTTPException, Refused, ValueError):
            time.sleep(0.05)
    raise RuntimeError(f"mednerd did not start:\n{log.read_text(encoding='utf-8')}")
