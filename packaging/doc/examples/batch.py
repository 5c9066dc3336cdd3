#!/usr/bin/env python3
"""Annotates many notes in one request, with nothing but Python's standard library: batch.py SOCKET REQUESTS

REQUESTS has one JSON object a line, each with "text" and best with a "document_id". Prints one answer a line, as they finish; each has a
"status" of its own. Where the daemon is gone before all are answered, it says which lines have none and ends with 1; http.client by itself takes
an answer that was cut off for a whole one. A thread writes requests while answers are read here: whoever writes all of them first stands still as soon as nobody
takes the answers, and is cut off after stall_timeout_ms (15 s).
"""
import http.client
import json
import socket
import sys
import threading
import time


class UnixConnection(http.client.HTTPConnection):
    # Above the daemon's default_deadline_ms (60 s), so that its 408 comes before this.
    def __init__(self, path, timeout=90):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def send(sock, lines):
    """Writes lines as chunks. Where the daemon has closed, the reason is in what it answered."""
    try:
        for line in lines:
            line = line.rstrip(b"\r\n") + b"\n"
            sock.sendall(b"%x\r\n%s\r\n" % (len(line), line))
        sock.sendall(b"0\r\n\r\n")
    except (OSError, ValueError) as error:
        print(f"not everything was sent: {error}", file=sys.stderr)


def annotate(path, lines):
    """The answers to these requests, as they come, or an error with the seconds to wait, if waiting helps."""
    connection = UnixConnection(path)
    connection.putrequest("POST", "/v1/annotate/batch")
    connection.putheader("Content-Type", "application/x-ndjson")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    # The socket itself: the connection lets go of it where the daemon says that it closes.
    writer = threading.Thread(target=send, args=(connection.sock, lines), daemon=True)
    writer.start()
    response = connection.getresponse()
    if response.status != 200:
        error = json.load(response)["error"]
        return None, error, response.headers.get("Retry-After")
    return response, None, None


def whole_lines(response):
    """The lines of an answer, as far as they came."""
    try:
        for line in response:
            if line.endswith(b"\n"):
                yield line
    except (OSError, http.client.HTTPException) as error:
        print(f"the connection broke: {error}", file=sys.stderr)


def main():
    path, requests = sys.argv[1:]
    with open(requests, "rb") as lines:
        # Blank ones have no answer, and count.
        missing = {index for index, line in enumerate(lines) if line.strip()}
    for _ in range(5):
        with open(requests, "rb") as lines:
            answers, error, wait = annotate(path, lines)
            for line in whole_lines(answers or ()):
                answer = json.loads(line)
                if answer["index"] is None:
                    # The batch was ended, and not for one of its lines.
                    sys.exit(f"{answer['error']['code']}: {answer['error']['message']}")
                missing.discard(answer["index"])
                print(line.decode(), end="", flush=True)
        if wait is None:
            break
        # Nothing of it was done.
        time.sleep(float(wait))
    if error:
        sys.exit(f"{error['code']}: {error['message']}")
    if missing:
        first = ", ".join(str(index) for index in sorted(missing)[:10])
        sys.exit(f"{len(missing)} lines have no answer, the first of them {first} (counted from 0): send them again")


main()
