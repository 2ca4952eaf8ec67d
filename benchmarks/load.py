"""How much a server bears: closed-loop and open-loop load on loopback, with and without micro-batching.

Closed loop: so many clients each ask for a completion of 30 characters, wait for it, and ask for the next one. Open
loop: people who type five characters a second want three suggestions after each, whether the last answer has come or
not; a time counts from when the key was pressed. Every prompt is another piece of a text, so little of it was read
before. The two servers, one with micro-batching and one without, run side by side and take turns. A soak (`--soak 10`)
asks for completions at 80 % of the highest throughput for so many minutes, and watches errors and the server's memory.

The client is in this process and speaks HTTP by hand: a client library takes longer than the server. Processor seconds
are the server's own, per request.

Run: `python benchmarks/load.py` (2 cores; about 2 minutes, and the soak). Writes load.json.
"""

from __future__ import annotations

import argparse
import asyncio
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

from kammil.corpus import reading

LENGTH = 30
CONCURRENCY = (1, 2, 4, 8, 16, 32, 64)
TYPISTS, KEYS = 20, 5.0
"""People, and keystrokes a second of each."""
SHARE = 0.8
"""Of the highest throughput, while soaking."""


@dataclass
class Server:
    """A server process."""

    process: subprocess.Popen[bytes]
    port: int

    def processor(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Resident memory."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found
        return int(found[1]) / 1000


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


def prompts(seed: int) -> Iterator[str]:
    """Pieces of texts, ever others."""
    generator = random.Random(seed)
    texts = reading.sample()
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

    async def one(seed: int) -> None:
        client, some = Client(server.port), prompts(seed)
        while (begun := time.perf_counter()) < end:
            status = await client.ask("/v1/completions", completion(some))
            load.times.append(time.perf_counter() - begun)
            load.errors += status != 200
        client.close()

    before, begun = server.processor(), time.perf_counter()
    await asyncio.gather(*(one(i) for i in range(concurrency)))
    load.seconds, load.processor = time.perf_counter() - begun, server.processor() - before
    return load


async def typing(server: Server, people: int, seconds: float) -> Load:
    """People who type at their own pace; each has a session."""
    load = Load()
    texts = reading.sample()

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


async def soak(server: Server, rate: float, minutes: float) -> dict[str, Any]:
    """So many requests a second, at random times, and the memory every five seconds."""
    load, some, generator = Load(), prompts(0), random.Random(0)
    free: list[Client] = []
    memory: list[float] = []

    async def one(due: float) -> None:
        client = free.pop() if free else Client(server.port)
        try:
            load.errors += await client.ask("/v1/completions", completion(some)) != 200
            free.append(client)
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Load, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args(arguments)
    result: dict[str, Any] = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "load_average_before": round(os.getloadavg()[0], 2),
        },
        "characters": LENGTH,
        "seconds_each": options.seconds,
        "closed": {"micro-batching": {}, "one at a time": {}},
    }
    print(f"{'':<34} {'per s':>8} {'p50 ms':>8} {'p90 ms':>8} {'p99 ms':>8} {'proc ms':>8} {'errors':>6}")
    with serving("--no-access-log") as many, serving("--no-access-log", "--rows", "1") as single:
        for concurrency in CONCURRENCY:
            for name, server in (("micro-batching", many), ("one at a time", single)):
                load = asyncio.run(closed(server, concurrency, options.seconds)).summary()
                result["closed"][name][str(concurrency)] = load
                print(row(f"{concurrency} at once, {name}", load), flush=True)
        for name, server in (("micro-batching", many), ("one at a time", single)):
            load = asyncio.run(typing(server, TYPISTS, 2 * options.seconds)).summary()
            result.setdefault("typing", {})[name] = load
            print(row(f"{TYPISTS} people typing, {name}", load), flush=True)
        best = result["closed"]["micro-batching"]
        result["throughput_ratio_at_32"] = round(best["32"]["per_second"] / best["1"]["per_second"], 2)
        print(f"32 at once against 1: {result['throughput_ratio_at_32']} times the throughput")
        if options.soak:
            rate = SHARE * max(load["per_second"] for load in best.values())
            result["soak"] = asyncio.run(soak(many, rate, options.soak))
            print(row(f"soak, {rate:.0f} a second", result["soak"]))
            print(f"memory grew by {result['soak']['memory_growth_percent']} %")
    options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
