"""A daemon on this GPU under load while faults strike its worker: no request lost, no answer that differs from the CPU's.

faults.py MEDNERD FOLDER TIMES [FAULT…]: FOLDER holds `worker`, the program to run, and gets the daemon's files; TIMES is how often
each fault strikes, of all or of those named. MODEL is another token classifier than the shipped one, and DAYS how long notes are at
most, where the GPU is a slow one. After SECONDS_IN_ALL no fault strikes any more: each has its share of them, and a line says how many there were.
"""

import ctypes
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

BEGUN = time.monotonic()
SECONDS = float(os.environ.get("SECONDS_IN_ALL", "inf"))
FAULTS = ["oom", "sticky", "exit", "kill", "wrong", "nan", "short", "hang", "stop"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = [
    " ".join(f"Day {n}: metformin {n} mg for type 2 diabetes mellitus, aspirin for migraine." for n in range(first, last))
    for first, last in [(1, 2), (2, 9), (3, 40), (5, 200), (7, 12)]
    if last - first < int(os.environ.get("DAYS", "1000"))
]


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ask(path, method, route, body=None):
    connection = Connection(path)
    connection.request(method, route, None if body is None else json.dumps(body))
    answer = connection.getresponse()
    found = answer.read()
    assert answer.status == 200, (answer.status, found[:200])
    return json.loads(found)


class Daemon:
    """Started in its folder; `engine` are lines of its configuration."""

    def __init__(self, program, folder, engine):
        folder.mkdir(exist_ok=True)
        self.socket, self.admin = folder / "mednerd.sock", folder / "admin.sock"
        (folder / "mednerd.toml").write_text(
            f'[server]\nsocket = "{self.socket}"\nadmin_socket = "{self.admin}"\n[access]\ngroups = []\n'
            f'[engine]\nthreads = 4\n{engine}\n[[models]]\nname = "m"\ndefault = true\n'
            f'path = "{os.environ.get("MODEL", ROOT / "packaging/models/biomed-small")}"\n'
            f'[[models]]\nname = "z"\npath = "{ROOT}/tests/fixtures/gliner/span-rnn"\n'
        )
        self.log = open(folder / "log", "w")
        self.process = subprocess.Popen(
            [program, "--config", folder / "mednerd.toml"],
            stderr=self.log,
            stdout=subprocess.DEVNULL,
            # PR_SET_PDEATHSIG: a step that takes too long leaves no daemon behind.
            preexec_fn=lambda: ctypes.CDLL(None).prctl(1, 9),
        )
        self.folder = folder
        until(self.is_ready, "the daemon is ready")

    def is_ready(self):
        assert self.process.poll() is None, f"the daemon ended with {self.process.returncode}"
        return self.admin.exists() and "ready on" in (self.folder / "log").read_text()

    def gpu(self):
        return ask(self.admin, "GET", "/v1/status")["engine"]["gpus"][0]

    def annotate(self, text):
        # A token classifier, and a zero-shot model whose encoder is a DeBERTa.
        request = {"text": text, "offset_unit": "utf8_byte", "models": ["m", "z"], "labels": ["disease", "drug"]}
        return ask(self.socket, "POST", "/v1/annotate", request)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0


def until(condition, what, patience=120):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < patience, f"waited in vain until {what}"
        time.sleep(0.01)


def found(answer):
    """Scores of a GPU are those of the CPU but for rounding."""
    return [(e["begin"], e["end"], e["label"], round(e["score"], 2)) for e in answer["entities"]]


def near(one, other):
    return len(one) == len(other) and all(
        a[:3] == b[:3] and abs(a[3] - b[3]) < 0.015 for a, b in zip(one, other, strict=True)
    )


def serves(daemon):
    until(lambda: len(daemon.gpu()["models"]) == 2, "the GPU has both models")
    # A batch that others beside it keep waiting may be the CPU's.
    until(lambda: daemon.annotate(TEXTS[0])["engine"] == "cuda", "the GPU answers")


def under_load(daemon, expected, name, strike):
    """What `strike` does while eight clients ask; how long their requests took."""
    over, errors, waits = threading.Event(), [], []

    def client(first):
        n = first
        while not over.is_set():
            n = (n + 1) % len(TEXTS)
            begun = time.monotonic()
            try:
                answer = daemon.annotate(TEXTS[n])
                assert answer["status"] == "ok", answer["status"]
                own = found(answer)
                apart = [pair for pair in zip(own, expected[n]) if not near(pair[:1], pair[1:])]
                assert near(own, expected[n]), f"{name}: another answer to text {n} by {answer['engine']}: {len(own)} of {len(expected[n])}, {apart[:2]}"
            except Exception as error:  # noqa: BLE001
                errors.append(error)
                return
            waits.append(time.monotonic() - begun)

    clients = [threading.Thread(target=client, args=(n,), daemon=True) for n in range(8)]
    for thread in clients:
        thread.start()
    strike(waits, errors)
    over.set()
    for thread in clients:
        thread.join()
    assert not errors, errors[0]
    return waits


def struck(program, folder, expected, name, times, deadline):
    """How often the fault struck, and how long each request took."""
    fault = folder / "fault"
    # Where it is not the wait itself that is tested, batches of daemons side by side are not taken for stuck ones.
    patient = "" if name in ("hang", "stop") else "gpu_call_ms = 2000\n"
    count, took = 0, []
    # A few deaths in a minute take a GPU out of service: a new daemon for every three.
    while count < times and (time.monotonic() < deadline or count == 0):
        daemon = Daemon(program, folder / "gpu", f'device = "cuda"\nworker = "{folder}/worker"\n{patient}')
        serves(daemon)

        def strike(waits, errors, most=min(times - count, 3)):
            nonlocal count
            for number in range(most):
                if number > 0 and time.monotonic() >= deadline:
                    return
                new = fault.with_suffix(".new")
                new.write_text(name)
                os.rename(new, fault)
                until(lambda: not fault.exists() or errors, f"{name} strikes")
                seen = len(waits)
                until(lambda: len(waits) > seen + 16 or errors, f"requests are answered after {name}")
                until(lambda: daemon.gpu()["state"] == "ready" or errors, f"the GPU is back after {name}")
                if errors:
                    return
                count += 1

        took += under_load(daemon, expected, name, strike)
        daemon.stop()
    return count, took


def main():
    program, folder, times = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    faults = sys.argv[4:] or FAULTS
    cpu = Daemon(program, folder / "cpu", 'device = "cpu"')
    expected = [found(cpu.annotate(text)) for text in TEXTS]
    cpu.stop()
    assert any(expected), "nothing to find"
    for number, name in enumerate(faults, 1):
        deadline = BEGUN + SECONDS * number / len(faults)
        count, took = struck(program, folder, expected, name, times, deadline)
        why = "" if count == times else ", there was no time for more"
        print(
            f"ok      {name} {count} of {times} times{why}: {len(took)} answers right, the longest took {1000 * max(took):.0f} ms",
            flush=True,
        )


def tell(folder):
    """What the daemons said last, before the cause."""
    for log in sorted(folder.glob("*/log")):
        print(f"note {log.parent.name}:", *log.read_text().splitlines()[-40:], sep="\nnote ", file=sys.stderr)


try:
    main()
except Exception as error:  # noqa: BLE001
    tell(pathlib.Path(sys.argv[2]))
    sys.exit(f"{type(error).__name__}: {error}")
