#!/usr/bin/env python3
"""Does the daemon's memory stay flat? Sends requests of random length and prints resident memory.

Starts a daemon with the shipped model on a private socket, sends --requests notes of random length
over a few kept connections, prints the resident memory of each 5 % (mean and peak of samples taken
twenty times a second), and in the end its growth since a warm-up (the first 10 %). It measures and
never asserts. Needs nothing but Python.

    tests/bench/soak.py [--bin DIR] [--requests 100000]
"""

import argparse
import http.client
import json
import pathlib
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import binaries

ROOT = pathlib.Path(__file__).resolve().parents[2]
SENTENCES = (
    "The patient was treated with metformin for type 2 diabetes mellitus.",
    "She developed pneumonia and was given amoxicillin 500 mg three times a day.",
    "There is no history of stroke, seizure or renal failure.",
    "Blood pressure was 142/88 mmHg; temperature 37.2 °C; weight 81 kg.",
    "He stopped taking furosemide because of dizziness and nausea.",
    "A chest radiograph showed bilateral pleural effusions.",
    "Follow-up with the family doctor in two weeks was arranged.",
)


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("mednerd", timeout=120)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def call(self, method, route, body=None):
        self.request(method, route, body=body)
        answer = self.getresponse()
        return answer.status, answer.read()


def note(rng):
    """Mostly short, now and then many windows long, as notes are."""
    sentences = min(int(rng.lognormvariate(1.2, 1.0)) + 1, 120)
    return " ".join(rng.choice(SENTENCES) for _ in range(sentences))


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("the daemon has ended")


def start(binary, place, threads):
    config = place / "mednerd.toml"
    config.write_text(
        f"""[server]
socket = "mednerd.sock"
admin_socket = "admin.sock"
[access]
groups = []
[engine]
threads = {threads}
[[models]]
name = "shipped"
path = "{ROOT / 'packaging/models/biomed-small'}"
default = true
""",
        encoding="utf-8",
    )
    log = open(place / "log", "wb")
    daemon = subprocess.Popen([binary, "--config", config], stderr=log)
    for _ in range(600):
        try:
            if Connection(place / "mednerd.sock").call("GET", "/readyz")[0] == 200:
                return daemon
        except OSError:
            pass
        if daemon.poll() is not None:
            break
        time.sleep(0.05)
    daemon.kill()
    sys.exit("the daemon did not start:\n" + (place / "log").read_text())


class Soak:
    """The clients and what they share."""

    def __init__(self, path, total, seed):
        self.path, self.total, self.seed = path, total, seed
        self.lock = threading.Lock()
        self.taken = self.done = self.characters = self.failed = 0

    def client(self, number):
        rng = random.Random(self.seed + number)
        connection = Connection(self.path)
        while True:
            with self.lock:
                if self.taken == self.total:
                    return
                self.taken += 1
            text = note(rng)
            status, body = connection.call("POST", "/v1/annotate", json.dumps({"text": text}))
            whole = status == 200 and json.loads(body)["text_length"]["unicode_code_point"] == len(text)
            with self.lock:
                self.done += 1
                self.characters += len(text)
                self.failed += not whole


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=binaries.RELEASE, help="the folder that holds mednerd")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="worker threads; 0: one for each core")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="mednerd-soak-") as folder:
        place = pathlib.Path(folder)
        daemon = start(pathlib.Path(options.bin) / "mednerd", place, options.threads)
        try:
            measure(options, place, daemon)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()


def measure(options, place, daemon):
    soak = Soak(place / "mednerd.sock", options.requests, options.seed)
    clients = [
        threading.Thread(target=soak.client, args=(number,), daemon=True) for number in range(options.connections)
    ]
    print(f"{'':>9} {'resident, MiB':>19} {'mean since':>11} {'':>11}")
    print(f"{'requests':>9} {'mean':>9} {'peak':>9} {'warm-up':>11} {'requests/s':>11}")
    print(f"{0:>9} {resident_kib(daemon.pid) / 1024:>9.1f}", flush=True)
    begun, warm = time.monotonic(), None
    for client in clients:
        client.start()
    for part in range(1, 21):
        mark, samples = options.requests * part // 20, []
        while soak.done < mark and any(client.is_alive() for client in clients):
            samples.append(resident_kib(daemon.pid) / 1024)
            time.sleep(0.05)
        samples.append(resident_kib(daemon.pid) / 1024)
        # One sample tells as much about what is computed just now as about what is kept.
        now = (statistics.mean(samples), max(samples))
        if part == 2:
            warm = now
        growth = f"{100 * (now[0] / warm[0] - 1):+.2f} %" if warm else ""
        rate = soak.done / (time.monotonic() - begun)
        print(f"{mark:>9} {now[0]:>9.1f} {now[1]:>9.1f} {growth:>11} {rate:>11.0f}", flush=True)
    for client in clients:
        client.join()
    mean, peak = (f"{then:.1f} -> {end:.1f} MiB, {100 * (end / then - 1):+.2f} %" for then, end in zip(warm, now))
    print(
        f"\n{soak.done} requests, {soak.characters / 1e6:.1f} million characters, {soak.failed} failed\n"
        f"resident memory since the warm-up: mean {mean}; peak {peak}"
    )


if __name__ == "__main__":
    main()
