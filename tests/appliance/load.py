#!/usr/bin/env python3
"""Asks for ever, on a new connection each time, until SIGTERM; then prints how many requests failed and how many did not.

load.py SOCKET. Never asks twice for the same thing: whatever is not answered with 200 is a failure.
"""
import json
import signal
import socket
import sys
import threading

NOTE = "Zyxgardquist was started on metformin 500 mg for type 2 diabetes mellitus."
stop = threading.Event()
answered, failures = [0], []


def ask(path):
    body = json.dumps({"text": NOTE, "document_id": "load"}).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(path)
        head = f"POST /v1/annotate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    if not answer.startswith(b"HTTP/1.1 200") or b"Disease" not in answer:
        raise RuntimeError(repr(answer[:200]))


def work(path):
    while not stop.is_set():
        try:
            ask(path)
            answered[0] += 1
        except Exception as error:
            failures.append(repr(error))


signal.signal(signal.SIGTERM, lambda *_: stop.set())
threads = [threading.Thread(target=work, args=sys.argv[1:2]) for _ in range(3)]
for thread in threads:
    thread.start()
while not stop.wait(0.2):
    pass
for thread in threads:
    thread.join()
for failure in failures[:5]:
    print(failure)
print(f"{answered[0]} answered, {len(failures)} failed")
sys.exit(1 if failures or not answered[0] else 0)
