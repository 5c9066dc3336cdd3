#!/usr/bin/env python3
"""Annotates notes with nothing but Python's standard library: annotate.py SOCKET NOTE...

Prints begin, end, label and text of each entity, tab between. Offsets count code points, as Python's strings do.
"""
import http.client
import json
import socket
import sys
import time


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket; keep one for many notes."""

    # Above the daemon's default_deadline_ms (60 s), so that its 408 comes before this.
    def __init__(self, path, timeout=90):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def annotate(connection, text, document_id=None, tries=5):
    """The answer for one note. Waits and tries again where the daemon says that it is busy or restarting."""
    body = json.dumps({"text": text, "document_id": document_id})
    for attempt in range(tries):
        last = attempt + 1 == tries
        try:
            connection.request("POST", "/v1/annotate", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.load(response)
        except (ConnectionError, http.client.HTTPException):
            # A connection that was kept may have been closed by a restart; asking twice does no harm.
            connection.close()
            if last:
                raise
            continue
        if response.status == 200:
            return answer
        if response.status not in (429, 503) or last:
            error = answer["error"]
            raise RuntimeError(f"{response.status} {error['code']}: {error['message']}")
        time.sleep(float(response.headers.get("Retry-After", 1)))
    raise AssertionError("not reached")


def main():
    connection = UnixConnection(sys.argv[1])
    for path in sys.argv[2:]:
        # newline="": offsets are about the text as it is in the file.
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
        # document_id is for your number of the document, never for a file's name, which may be a patient's: the audit trail keeps it.
        answer = annotate(connection, text)
        if answer["status"] != "ok":
            print(f"{path}: without {', '.join(answer['degraded'])}", file=sys.stderr)
        for entity in answer["entities"]:
            assert text[entity["begin"] : entity["end"]] == entity["text"]
            print(entity["begin"], entity["end"], entity["label"], entity["text"].replace("\n", " "), sep="\t")


main()
