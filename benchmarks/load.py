"""How much a server bears: closed-loop and open-loop load on loopback, with a thread a core or one alone, in one or
more processes; a soak; and a worker that is killed.

Closed loop: so many clients each ask for a completion of 30 characters, wait for it, and ask for the next one. Open
loop: people who type five characters a second want three suggestions after each, whether the last answer has come or
not; a time counts from when the key was pressed. Every prompt is another piece of a text, so little of it was read
before. Three servers, one with a thread a core, one with a process a core and one with a single thread, run side by
side and take turns.

A soak (`--soak 10`) asks the first one, at random times, for 80 % of the completions a second that it gave to 32
clients, for so many minutes, and watches errors and the server's memory. Then a worker of the second one is killed
while 32 clients ask.

The client is in this process and speaks HTTP by hand: a client library takes longer than the server. Processor seconds
are the server's own, per request.

Run: `python benchmarks/load.py` (2 cores; about 4 minutes, and the soak). Writes load.json.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kammil.data import sources

LENGTH = 30
CONCURRENCY = (1, 2, 4, 8, 16, 32, 64)
USUAL = 32
"""Clients at once where one number is enough."""
TYPISTS, KEYS = 20, 5.0
"""People, and keystrokes a second of each."""
IDLE = 3.0
"""Seconds after which a client hangs up a connection: the server does so after five, perhaps while a request comes."""
ONE = "a thread a core"
SHARE = 0.8
"""Of the throughput with the usual number of clients, while soaking."""


@dataclass
class Server:
    """A server process."""

    process: subprocess.Popen[bytes]
    port: int

    def processor(self) -> float:
        """Seconds of processor time so far, its workers' included."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._all()]
        return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Resident memory, its workers' included."""
        found = [re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()) for pid in self._all()]
        return sum(int(size[1]) for size in found if size) / 1000

    def workers(self) -> list[int]:
        """Processes that answer, where there are several."""
        return [pid for pid in self._all()[1:] if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def _all(self) -> list[int]:
        pid = self.process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


@dataclass
class Load:
    """What came of one load."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list[float])
    """Of each request, in seconds."""
    errors: int = 0
    processor: float = 0.0

    def summary(self) -> dict[str, float]:
        """Throughput, and times in milliseconds."""
        times = sorted(self.times) or [float("nan")]

        def at(share: float) -> float:
            return round(1000 * times[min(int(share * len(times)), len(times) - 1)], 2)

        return {
            "requests": len(self.times),
            "errors": self.errors,
            "per_second": round(len(self.times) / self.seconds, 1),
            "p50_ms": at(0.5),
            "p90_ms": at(0.9),
            "p99_ms": at(0.99),
            "processor_ms": round(1000 * self.processor / max(1, len(self.times)), 2),
        }


class Client:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        """Connect at the first request."""
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, body: dict[str, Any]) -> int:
        """The status of one POST; the answer is read whole."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        sent = json.dumps(body).encode()
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(sent)}\r\n\r\n".encode()
            + sent
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"content-length: (\d+)", head)
        assert length
        await reader.readexactly(int(length[1]))
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()


_drawn = itertools.count()


def prompts() -> Iterator[str]:
    """Pieces of texts, each time others: what was read before would be read again from memory."""
    generator = random.Random(next(_drawn))
    texts = sources.sample()
    while True:
        text = generator.choice(texts)
        begin = generator.randrange(max(1, len(text) - 60))
        yield text[begin : begin + generator.randrange(20, 70)]


def completion(some: Iterator[str]) -> dict[str, Any]:
    """A request for 30 characters; few texts end before."""
    return {"prompt": next(some), "max_tokens": LENGTH, "temperature": 0.7}


async def closed(server: Server, concurrency: int, seconds: float) -> Load:
    """So many clients, each with one request at a time."""
    load = Load()
    end = time.perf_counter() + seconds

    async def one() -> None:
        client, some = Client(server.port), prompts()
        while (begun := time.perf_counter()) < end:
            status = await client.ask("/v1/completions", completion(some))
            load.times.append(time.perf_counter() - begun)
            load.errors += status != 200
        client.close()

    before, begun = server.processor(), time.perf_counter()
    await asyncio.gather(*(one() for _ in range(concurrency)))
    load.seconds, load.processor = time.perf_counter() - begun, server.processor() - before
    return load


async def typing(server: Server, people: int, seconds: float) -> Load:
    """People who type at their own pace; each has a session."""
    load = Load()
    texts = sources.sample()

    async def key(client: Client, prefix: str, session: str, pressed: float) -> None:
        status = await client.ask("/v1/suggest", {"prefix": prefix, "k": 3, "session": session})
        load.times.append(time.perf_counter() - pressed)
        load.errors += status != 200

    async def one(seed: int) -> None:
        generator = random.Random(seed)
        clients = [Client(server.port) for _ in range(4)]
        text, length = generator.choice(texts), 0
        pressed = time.perf_counter() + generator.random() / KEYS
        going: list[asyncio.Task[None]] = []
        for i in range(int(seconds * KEYS)):
            await asyncio.sleep(max(0.0, pressed - time.perf_counter()))
            length += 1
            if length > len(text):
                text, length = generator.choice(texts), 1
            if i >= len(clients):  # a browser has a few connections; one more waits for a free one
                await going[i - len(clients)]
            going.append(asyncio.create_task(key(clients[i % len(clients)], text[:length], str(seed), pressed)))
            pressed += generator.uniform(0.5, 1.5) / KEYS
        await asyncio.gather(*going)
        for client in clients:
            client.close()

    before, begun = server.processor(), time.perf_counter()
    await asyncio.gather(*(one(i) for i in range(people)))
    load.seconds, load.processor = time.perf_counter() - begun, server.processor() - before
    return load


async def killed(server: Server, seconds: float) -> dict[str, Any]:
    """A worker dies while many clients ask: what fails, and how long until there are as many workers as before."""
    failed: list[tuple[float, float]] = []
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    struck = back = 0.0

    async def one() -> None:
        client, some = Client(server.port), prompts()
        while (begun := time.perf_counter()) < end:
            try:
                assert await client.ask("/v1/completions", completion(some)) == 200
                times.append((begun, time.perf_counter()))
            except (OSError, asyncio.IncompleteReadError, AssertionError):
                failed.append((begun, time.perf_counter()))
                client.close()
                client = Client(server.port)
        client.close()

    async def strike() -> None:
        nonlocal struck, back
        await asyncio.sleep(seconds / 4)
        before = server.workers()
        struck = time.perf_counter()
        os.kill(before[0], signal.SIGKILL)
        while before[0] in (now := server.workers()) or len(now) < len(before):
            await asyncio.sleep(0.05)
        back = time.perf_counter()

    await asyncio.gather(strike(), *(one() for _ in range(USUAL)))
    return {
        "clients": USUAL,
        "workers": len(server.workers()),
        "answered": len(times),
        "failed": len(failed),
        "failed_that_began_after_the_kill": sum(begun > struck for begun, _ in failed),
        "longest_silence_s": round(max(b - a for a, b in itertools.pairwise(sorted(end for _, end in times))), 3),
        "worker_back_after_s": round(back - struck, 2),
    }


async def soak(server: Server, rate: float, minutes: float) -> dict[str, Any]:
    """So many requests a second, at random times, and the memory every five seconds."""
    load, some, generator = Load(), prompts(), random.Random(0)
    free: list[tuple[Client, float]] = []
    memory: list[float] = []

    async def one(due: float) -> None:
        while free and free[0][1] < time.perf_counter() - IDLE:
            free.pop(0)[0].close()
        client = free.pop()[0] if free else Client(server.port)
        try:
            load.errors += await client.ask("/v1/completions", completion(some)) != 200
            free.append((client, time.perf_counter()))
        except (OSError, asyncio.IncompleteReadError):
            load.errors += 1
        load.times.append(time.perf_counter() - due)

    before, begun = server.processor(), time.perf_counter()
    going: set[asyncio.Task[None]] = set()
    due, look = begun, begun
    while due < begun + 60 * minutes:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(due))
        going.add(task)
        task.add_done_callback(going.discard)
        due += generator.expovariate(rate)
        if time.perf_counter() >= look:
            memory.append(server.megabytes())
            look += 5
    await asyncio.gather(*going)
    load.seconds, load.processor = time.perf_counter() - begun, server.processor() - before
    settled = memory[len(memory) // 10 :]  # the caches of states fill up first
    growth = 100 * (max(settled) / settled[0] - 1)
    return load.summary() | {
        "minutes": minutes,
        "asked_per_second": round(rate, 1),
        "memory_first_mb": round(settled[0], 1),
        "memory_last_mb": round(settled[-1], 1),
        "memory_growth_percent": round(growth, 2),
    }


@contextmanager
def serving(*arguments: str) -> Generator[Server]:
    """A server that is ready."""
    with tempfile.TemporaryFile("w+b") as log:
        command = [sys.executable, "-m", "kammil", "serve", "--port", "0", "--queue", "1000", *arguments]
        process = subprocess.Popen(command, stderr=log)
        try:
            port = 0
            while not port:
                time.sleep(0.05)
                log.seek(0)
                found = re.search(rb"listening on http://127.0.0.1:(\d+)", log.read())
                port = int(found[1]) if found else 0
                if process.poll() is not None:
                    raise RuntimeError("the server did not start")
            server = Server(process, port)
            asyncio.run(_ready(server))
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


async def _ready(server: Server) -> None:
    while True:
        try:
            if await Client(server.port).ask("/v1/completions", {"max_tokens": 1}) == 200:
                return
        except OSError:
            await asyncio.sleep(0.05)


def row(name: str, load: dict[str, float]) -> str:
    """One line of the table."""
    return (
        f"{name:<34} {load['per_second']:>8.1f} {load['p50_ms']:>8.2f} {load['p90_ms']:>8.2f} {load['p99_ms']:>8.2f} "
        f"{load['processor_ms']:>8.2f} {load['errors']:>6.0f}"
    )


def soaked(server: Server, result: dict[str, Any], minutes: float) -> dict[str, Any]:
    """A soak at a share of the throughput that was measured."""
    rate = SHARE * result["closed"][ONE][str(USUAL)]["per_second"]
    made = asyncio.run(soak(server, rate, minutes))
    print(row(f"soak, {rate:.0f} a second", made))
    print(f"memory grew by {made['memory_growth_percent']} %")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Load, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--only-soak", action="store_true", help="the soak anew, at the rate of the last run")
    options = parser.parse_args(arguments)
    if options.only_soak and not options.soak:
        parser.error("--only-soak needs --soak MINUTES")
    if options.only_soak:
        kept: dict[str, Any] = json.loads(options.out.read_text("utf-8"))
        with serving("--no-access-log") as server:
            kept["soak"] = soaked(server, kept, options.soak)
        options.out.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
        return
    result: dict[str, Any] = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "load_average_before": round(os.getloadavg()[0], 2),
        },
        "characters": LENGTH,
        "people": TYPISTS,
        "seconds_each": options.seconds,
    }
    print(f"{'':<34} {'per s':>8} {'p50 ms':>8} {'p90 ms':>8} {'p99 ms':>8} {'proc ms':>8} {'errors':>6}")
    cores = max(2, len(os.sched_getaffinity(0)))
    with (
        serving("--no-access-log") as many,
        serving("--no-access-log", "--workers", str(cores)) as several,
        serving("--no-access-log", "--threads", "1") as single,
    ):
        servers = {ONE: many, f"{cores} workers": several, "one thread": single}
        for concurrency in CONCURRENCY:
            for name, server in servers.items():
                load = asyncio.run(closed(server, concurrency, options.seconds)).summary()
                result.setdefault("closed", {}).setdefault(name, {})[str(concurrency)] = load
                print(row(f"{concurrency} at once, {name}", load), flush=True)
        for name, server in servers.items():
            load = asyncio.run(typing(server, TYPISTS, 2 * options.seconds)).summary()
            result.setdefault("typing", {})[name] = load
            print(row(f"{TYPISTS} people typing, {name}", load), flush=True)
        for name, loads in result["closed"].items():
            ratio = round(loads[str(USUAL)]["per_second"] / loads["1"]["per_second"], 2)
            result.setdefault("throughput_ratio_at_32", {})[name] = ratio
            print(f"{USUAL} at once against 1, {name}: {ratio} times the throughput")
        if options.soak:
            result["soak"] = soaked(many, result, options.soak)
        result["killed"] = asyncio.run(killed(several, 4 * options.seconds))
        print("a worker is killed: " + ", ".join(f"{name} {value}" for name, value in result["killed"].items()))
    options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
