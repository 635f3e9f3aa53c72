"""A server of one process that does as it is told: `python told.py PORT [--service-ms N …]`.

An answer takes so many ms of CPU time, all overheads in it, on any machine and beside anything.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import time

add = (parser := argparse.ArgumentParser()).add_argument
add("port", type=int)
add("--service-ms", type=float, default=0.0)
add("--backlog", type=int, default=2048)
add("--fail-every", type=int, default=0)
add("--wrong-every", type=int, default=0)
add("--restart-every", type=float, default=0.0)
told = parser.parse_args()
listener = socket.create_server(("127.0.0.1", told.port), backlog=told.backlog)


class Answers(asyncio.Protocol):
    count, due_s = 0, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        Answers.count += 1
        # busy until this answer is due, so much CPU time after the last one
        Answers.due_s = max(Answers.due_s, time.thread_time() - told.service_ms / 2000)
        Answers.due_s += told.service_ms / 1000
        while time.thread_time() < Answers.due_s:
            pass
        failing = told.fail_every and Answers.count % told.fail_every == 0
        wrong = told.wrong_every and Answers.count % told.wrong_every == 0
        status, body = "500 Oh" if failing else "200 OK", "wrong" if wrong else "hello"
        self.transport.write(f"HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n{body}".encode())
        if b"Connection: close" in data:
            self.transport.close()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answers, sock=listener, backlog=told.backlog)
    if told.restart_every:  # as where a worker is replaced: it stops listening, and then ends
        await asyncio.sleep(told.restart_every)
        server.close()
        await asyncio.sleep(0.3)
        sys.exit()
    await asyncio.Event().wait()


def end_with(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os._exit(0)


while told.restart_every and (child := os.fork()):
    signal.signal(signal.SIGTERM, lambda *_, child=child: end_with(child))
    os.waitpid(child, 0)
asyncio.run(serve())
