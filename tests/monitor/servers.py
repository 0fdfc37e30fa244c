"""Servers of endless streams on 127.0.0.1 that can fail in every way a camera does."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

import numpy as np

TONE_HZ, AMPLITUDE = 440.0, 0.25
BLOCK_SECONDS = 0.02
STORED_SECONDS = 4.0
"""Sound that a server sends at once at the start; the rest comes in real time."""

STALL_SECONDS = 6.0
"""Sound that one sends, all of it at once, before it stalls."""


class Server:
    """Serves a tone to each client until it is stopped, and can be started again.

    ``mode`` is read for each client: ``sound``, ``stall`` (six seconds at once, then nothing),
    ``silent`` (it takes the connection and says nothing), ``drop`` (half a second, then the end),
    ``rubbish``, ``refuse`` (status 401), ``redirect`` or ``text``.
    """

    scheme, path = "http", "/live.wav"
    rate_hz, n_channels = 16_000, 1

    def __init__(self, mode: str = "sound") -> None:
        self.mode = mode
        self.requests: list[str] = []
        self._port = 0
        self._clients: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.start()

    def url(self, user: str = "", query: str = "") -> str:
        return f"{self.scheme}://{user}127.0.0.1:{self._port}{self.path}{query}"

    def start(self) -> None:
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", self._port))
        self._port = self._socket.getsockname()[1]
        self._run(self._accept)

    def stop(self) -> None:
        """Close the port and all connections, as a camera does that loses its power."""
        self._over.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for client in tuple(self._clients):
            with contextlib.suppress(OSError):
                # No orderly end, and the port is free at once.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._threads.clear()

    def _run(self, target, *args) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self._clients.add(client)
                self._run(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if self.mode == "silent":
                self._over.wait()
            else:
                self.answer(client)
        self._clients.discard(client)

    def answer(self, client: socket.socket) -> None:
        self._read_request(client)
        if self.mode == "refuse":
            client.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            return
        if self.mode == "text":
            self._send_text(client)
            return
        if self.mode == "redirect":
            head = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"
            client.sendall(head % self.target.encode())
            return
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n\r\n")
        if self.mode == "rubbish":
            client.sendall(np.random.default_rng(0).bytes(400_000))
            return
        client.sendall(wav_header(self.rate_hz, self.n_channels))
        for block in self.blocks():
            client.sendall(block.astype("<i2").tobytes())

    target = ""
    """Where ``redirect`` sends to."""

    text: str | bytes = ""
    text_type = "video/mp2t"
    text_seconds = 0.0
    """What ``text`` sends, what it calls it, and how long it takes for it."""

    def _send_text(self, client: socket.socket) -> None:
        data = self.text.encode() if isinstance(self.text, str) else self.text
        client.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {self.text_type}\r\n\r\n".encode())
        n = max(1, round(self.text_seconds / BLOCK_SECONDS))
        size = -(-len(data) // n)
        for k in range(n):
            client.sendall(data[k * size : (k + 1) * size])
            self._over.wait(BLOCK_SECONDS if n > 1 else 0)

    def _read_request(self, client: socket.socket) -> dict[str, str]:
        """Read one request of HTTP or RTSP; headers by lower-case name, the first line as ''."""
        text = b""
        while not text.endswith(b"\r\n\r\n"):
            if not (byte := client.recv(1)):
                raise OSError("the client has gone")
            text += byte
        first, *lines = text.decode().strip().split("\r\n")
        self.requests.append(text.decode())
        return {"": first, **{k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}}

    def blocks(self) -> Iterator[np.ndarray]:
        """Iterate over int16 blocks of the tone, paced, shape (n, n_channels)."""
        n = round(self.rate_hz * BLOCK_SECONDS)
        stored_s = STALL_SECONDS if self.mode == "stall" else STORED_SECONDS
        begun, sent = time.monotonic() - stored_s, 0
        while not self._over.is_set():
            tone = np.sin(2 * np.pi * TONE_HZ * np.arange(sent, sent + n) / self.rate_hz)
            yield np.repeat(
                (32768 * AMPLITUDE * tone).astype(np.int16)[:, None], self.n_channels, 1
            )
            sent += n
            if self.mode == "stall" and sent >= STALL_SECONDS * self.rate_hz:
                self._over.wait()
            if self.mode == "drop" and sent >= self.rate_hz // 2:
                return
            self._over.wait(max(0.0, begun + sent / self.rate_hz - time.monotonic()))


class RtspServer(Server):
    """Serves the tone as RTP within the RTSP connection, to whom knows user and password."""

    scheme, path = "rtsp", "/stream1"

    def answer(self, client: socket.socket) -> None:
        while True:
            request = self._read_request(client)
            method = request[""].split()[0]
            status, headers, body = "200 OK", "", ""
            if "authorization" not in request and method != "OPTIONS" and self.mode != "open":
                status, headers = "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"\r\n'
            elif self.mode == "refuse":
                status = "401 Unauthorized"
            elif method == "DESCRIBE":
                body = (
                    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 97\r\n"
                    "a=rtpmap:97 L16/16000/1\r\na=control:track1\r\n"
                )
                headers = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif method == "SETUP":
                headers = f"Session: 1\r\nTransport: {request['transport']}\r\n"
            head = f"RTSP/1.0 {status}\r\nCSeq: {request['cseq']}\r\n{headers}\r\n"
            client.sendall((head + body).encode())
            if method == "PLAY":
                break
        for k, block in enumerate(self.blocks()):
            data = struct.pack(">BBHII", 0x80, 97, k & 0xFFFF, k * len(block), 1)
            data += block.astype(">i2").tobytes()
            client.sendall(b"$\0" + struct.pack(">H", len(data)) + data)


def wav_header(rate_hz: int, n_channels: int) -> bytes:
    """Return the header of 16-bit sound without a known end."""
    endless = 0xFFFFFFFF
    head = struct.pack("<4sI4s4sI", b"RIFF", endless, b"WAVE", b"fmt ", 16)
    form = (1, n_channels, rate_hz, rate_hz * n_channels * 2, n_channels * 2, 16)
    return head + struct.pack("<HHIIHH", *form) + struct.pack("<4sI", b"data", endless)
