"""What a server of the page must refuse, or keep as text."""

from __future__ import annotations

import os
from typing import Any

SCRIPT = "<script>alert(1)</script>"

HOSTS = ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "")

ORIGINS = (
    "http://evil.example",
    "null",
    "https://127.0.0.1",
    "http://127.0.0.1:1",
    "http://localhost",
    "http://[",
)

PATHS = (
    "/static/../app.py",
    "/static/%2e%2e/app.py",
    "/static//etc/passwd",
    "/static/..%5capp.py",
    "/api/clips/..%2f..%2fetc/media",
    "/api/clips/../../etc/passwd",
    "/api/clips/%00/media",
)

POLYGLOTS = {
    "html.mp4": b"<html><body><script>alert(1)</script></body></html>",
    "gif.wav": b"GIF89a/*" + b"\x01" * 64 + b"*/=1;alert(1)//",
    "playlist.mp4": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    "concat.wav": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "zip.mp3": b"PK\x03\x04" + b"\0" * 200,
    "svg.webm": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "empty.wav": b"",
    "random.flac": os.urandom(4096),
    "text.ogg": b"just words\n" * 50,
    "pdf.avi": b"%PDF-1.7\n" + b"\0" * 300,
}

TRAVERSALS = (
    "../../../etc/passwd",
    "..\\..\\windows\\system32\\a.wav",
    "/etc/cron.d/a.wav",
    "C:\\a.wav",
    "a\0b.wav",
    "a\r\nSet-Cookie: x=1.wav",
    "....//....//a.wav",
    "%2e%2e%2fa.wav",
    "\u202egnp.wav",
    "x" * 5000 + ".wav",
    ".",
    "",
    "CON.wav",
)


def named_form(name: str, data: bytes) -> dict[str, Any]:
    """Return the content and the headers of a form with a file of any name."""
    boundary = "b0undary"
    quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").encode()
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="'.encode()
    content = head + quoted + b'"\r\n\r\n' + data + f"\r\n--{boundary}--\r\n".encode()
    return {
        "content": content,
        "headers": {"content-type": f"multipart/form-data; boundary={boundary}"},
    }
