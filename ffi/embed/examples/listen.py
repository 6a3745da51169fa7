#!/usr/bin/env python3
"""The resuming listener again, in Python: the stream goes to standard output, what happens to standard error.

    listen.py http://localhost:8000/live.mp3 http://relay:8000/live.mp3 | mpv -

The library is found by the loader (LD_LIBRARY_PATH, ldconfig).
"""

import os
import select
import socket
import ssl
import sys
import time
from ctypes import CDLL, POINTER, Structure, byref, c_char, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p, sizeof, string_at

ABI = 1
CONNECT, READ, WAIT, ENDED = 1, 2, 3, 4
AUDIO, PRELUDE, TITLE, LOST = 2, 3, 4, 8
UNKNOWN = 2**64 - 1


class Sized(Structure):
    def __init__(self):
        super().__init__()
        self.size = sizeof(self)


class Options(Sized):
    _fields_ = [("size", c_size_t), ("relays", POINTER(c_char_p)), ("relay_count", c_size_t), ("agent", c_char_p),
                ("seed", c_uint64), ("epoch", c_char_p), ("offset", c_uint64), ("miss", c_uint32), ("titles", c_uint32),
                ("max_lag", c_uint32), ("silence", c_uint32), ("give_up", c_uint32), ("max_relays", c_uint32),
                ("max_url", c_uint32), ("history", c_uint32), ("max_prelude", c_uint32),
                ("evidence", c_uint32)]


class Step(Sized):
    _fields_ = [("size", c_size_t), ("kind", c_uint32), ("tls", c_uint32), ("port", c_uint32), ("reserved", c_uint32),
                ("until", c_uint64), ("host", c_char_p), ("request", c_void_p), ("request_length", c_size_t),
                ("text", c_char_p)]


class Event(Sized):
    _fields_ = [("size", c_size_t), ("kind", c_uint32), ("why", c_uint32), ("bytes", c_void_p), ("length", c_size_t),
                ("text", c_char_p), ("url", c_void_p), ("url_length", c_size_t), ("lost", c_uint64), ("pause", c_uint64),
                ("offset", c_uint64), ("epoch", c_char * 24)]


library = CDLL("libicecast_ext.so.1")
library.icecast_ext_last_error.restype = c_char_p
handle = c_void_p()


def call(name, *arguments):
    result = getattr(library, "icecast_ext_" + name)(*arguments)
    if result < 0:
        sys.exit(f"{name}: {library.icecast_ext_last_error().decode()}")
    return result


def now():
    return c_uint64(time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000)


def say(*what):
    print(*what, file=sys.stderr, flush=True)


def connect(step):
    connection = socket.create_connection((step.host.decode(), step.port), timeout=3)
    if step.tls:
        connection = ssl.create_default_context().wrap_socket(connection, server_hostname=step.host.decode())
    connection.sendall(string_at(step.request, step.request_length))
    return connection


def events():
    event = Event()
    while call("client_event", handle, byref(event)) == 0:
        if event.kind in (AUDIO, PRELUDE):
            sys.stdout.buffer.write(string_at(event.bytes, event.length))
        elif event.kind == TITLE:
            say("title:", string_at(event.bytes, event.length).decode(errors="replace"))
        elif event.kind == LOST:
            say("lost", "nobody knows how much" if event.lost == UNKNOWN else event.lost, event.text.decode())
        elif event.text:
            say(event.text.decode())
    sys.stdout.buffer.flush()


def main(urls):
    call("init", c_uint32(ABI))
    options, step, connection = Options(), Step(), None
    call("client_options_init", byref(options))
    options.relays = (c_char_p * len(urls))(*(url.encode() for url in urls))
    options.evidence = 1  # our clock goes on while the machine sleeps
    options.relay_count, options.titles, options.seed = len(urls), 1, int.from_bytes(os.urandom(8), "little")
    call("client_new", byref(options), byref(handle))
    while True:
        call("client_poll", handle, now(), byref(step))
        events()
        if step.kind != READ and connection:
            connection.close()
            connection = None
        if step.kind == ENDED:
            sys.exit(step.text.decode())
        patience = max(0, step.until - now().value) / 1000
        if step.kind == WAIT:
            time.sleep(patience)
            continue
        try:
            if step.kind == CONNECT:
                connection = connect(step)
                continue
            pending = isinstance(connection, ssl.SSLSocket) and connection.pending()
            if not pending and not select.select([connection], [], [], patience)[0]:
                continue
            data = connection.recv(65536)
        except OSError as error:
            call("client_failed", handle, now(), str(error).encode())
            continue
        if not data:
            call("client_closed", handle, now())
        while data:
            taken = c_size_t()
            call("client_received", handle, now(), data, c_size_t(len(data)), byref(taken))
            data = data[taken.value:]
            events()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: listen.py URL...   (relays of one stream, the preferred one first)")
    try:
        main(sys.argv[1:])
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(0)
