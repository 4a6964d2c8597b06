"""What 200 slow, dead and oversized clients cost a training: ``python -m lab.clients [TURNS]`` in tests.

In turns, the same steps are trained alone (no lab at all), and beside a lab whose clients never send a whole
request, send too much, read nothing, or a byte at a time; who is shut out comes again. Printed: the median of
their ratios of time and of processor time, lost steps, and the server's largest memory.
Take the figure on a machine that does nothing else.
"""

import contextlib
import json
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from lab.serving import Served, tiny_config

from handgrad.lab.feed import Feed
from handgrad.training.run import start_run

CLIENTS = 200
EPOCHS = 108


def train(folder, how):
    """Train in this process, and print its steps, seconds and seconds of processor time."""
    run = start_run(
        tiny_config(**{"model.hidden_dim": 400, "training.epochs": EPOCHS}), Path(folder)
    )
    callbacks = [Feed(run)] if how == "live" else []
    began, worked = time.perf_counter(), time.process_time()
    run.train(callbacks)
    took, worked = time.perf_counter() - began, time.process_time() - worked
    print(json.dumps([run.solver.iteration, took, worked]))


class Clients(threading.Thread):
    """Clients of four kinds, each a socket; one that the server closes is opened again."""

    def __init__(self, served, run, number):
        super().__init__(daemon=True)
        self.served, self.number = served, number
        head = (
            f"GET /api/events?id={run}&weights=live HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        )
        whole = head + f"Authorization: Bearer {served.token}\r\n\r\n"
        self.kinds = [b"GET / HT", whole.encode(), whole.encode(), b"X" * 70_000]
        self.sockets, self.opened, self.is_over = {}, 0, False

    def open(self, i):
        with contextlib.suppress(OSError):
            self.sockets[i] = self.served.socket()
            self.opened += 1
            self.sockets[i].sendall(self.kinds[i % 4])
            self.sockets[i].setblocking(False)

    def run(self):
        while not self.is_over:
            for i in range(self.number):
                if i not in self.sockets:
                    self.open(i)
                elif (
                    i % 4 != 1 and select.select([self.sockets[i]], [], [], 0)[0]
                ):  # 1 reads nothing
                    with contextlib.suppress(OSError):
                        if self.sockets[i].recv(1 if i % 4 == 2 else 4096):
                            continue
                    self.sockets.pop(i).close()
            time.sleep(0.5)
        for one in self.sockets.values():
            one.close()


def memory_of(pid):
    """The most memory that a process had, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def child(folder, how):
    command = [sys.executable, "-m", "lab.clients", "train", str(folder), how]
    here = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure(root, turns, number=CLIENTS):
    """Return the ratios of time and processor time of each turn, lost steps, opened clients and memory."""
    ratios, works, lost, opened = [], [], 0, 0
    served = Served(root)
    try:
        served.request("/api/runs")
        before = memory_of(served.process.pid)
        for turn in range(turns + 1):  # the first is for warming up
            found = {}
            for how in ("plain", "live") if turn % 2 else ("live", "plain"):
                folder = root / f"{how}-{turn}"
                clients = Clients(served, folder.name, number) if how == "live" else None
                if clients:
                    clients.start()
                found[how] = child(folder, how)
                if clients:
                    clients.is_over = True
                    clients.join()
                    opened += clients.opened
                records = (folder / "history.jsonl").read_text().splitlines()
                steps = sum(json.loads(x)["kind"] == "step" for x in records)
                lost += found[how][0] - steps
            if turn:
                ratios.append(found["live"][1] / found["plain"][1])
                works.append(found["live"][2] / found["plain"][2])
        return {"time": ratios, "work": works, "lost": lost, "opened": opened,
                "seconds": found["plain"][1], "steps": found["plain"][0],
                "memory": [before, memory_of(served.process.pid)]}  # fmt: skip
    finally:
        served.close()


def main():
    if sys.argv[1:2] == ["train"]:
        train(*sys.argv[2:4])
        return
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), turns)
    for name in ("time", "work"):
        values = sorted(found[name])
        print(
            f"{name}: median {statistics.median(values):.4f}, from {values[0]:.4f} to {values[-1]:.4f}"
        )
    print(
        f"{found['steps']} steps in {found['seconds']:.2f} s, {turns} turns, {found['lost']} steps lost"
    )
    print(f"{found['opened']} connections; server's memory {found['memory'][0]:.0f} MiB, then "
          f"{found['memory'][1]:.0f} MiB at most")  # fmt: skip


if __name__ == "__main__":
    main()
