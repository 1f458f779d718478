"""Servers of socketmap:, tcp: and memcache: tables whose answers depend on the key alone, good ones and bad ones.

With Server(PROTOCOL) as s: s.port, s.stop(), s.start() (the same port again), s.connections and s.answered (how many there were)."""
import os, re, socket, threading, time

LONG = b"x" * 5000


def netstring(b):
    return b"%d:%s," % (len(b), b)


# What stands behind the last blank of a socketmap request -> the bytes that are sent; None: hang up.
SOCKETMAP = {
    b"ok": netstring(b"OK value"), b"ok-empty": netstring(b"OK "), b"ok-nothing": netstring(b"OK"), b"two": netstring(b"OK two  words "),
    b"none": netstring(b"NOTFOUND "), b"none-bare": netstring(b"NOTFOUND"), b"none-words": netstring(b"NOTFOUND no such"),
    b"temp": netstring(b"TEMP come again"), b"temp-bare": netstring(b"TEMP"), b"timeout": netstring(b"TIMEOUT too slow"), b"perm": netstring(b"PERM never"),
    b"what": netstring(b"WHAT is this"), b"lower": netstring(b"ok value"), b"empty": netstring(b""), b"blank": netstring(b" "),
    b"tab": netstring(b"OK\tvalue"), b"long": netstring(b"OK " + LONG), b"huge": netstring(b"OK " + b"x" * 99990), b"too-long": netstring(b"OK " + b"x" * 99998),
    b"nul": netstring(b"OK a\0b"), b"newline": netstring(b"OK a\nb"), b"bytes": netstring(b"OK \xff\xfe"), b"utf8": netstring("OK é".encode()),
    b"no-comma": b"8:OK value;", b"no-colon": b"8;OK value,", b"no-number": b":OK value,", b"zeros": b"0008:OK value,", b"blanks": b" 8:OK value,",
    b"minus": b"-8:OK value,", b"overflow": b"99999999999999999999:OK value,", b"hang-up": None, b"more": netstring(b"OK value") + b"rubbish",
    b"text": b"OK value\n",
}
# The key of a tcp request -> the line that is sent.
TCP = {
    b"ok": b"200 value\n", b"ok-empty": b"200 \n", b"ok-nothing": b"200\n", b"two": b"200 two%20%20words%20\n", b"plain": b"200 two words\n",
    b"none": b"500 no such\n", b"none-bare": b"500\n", b"temp": b"400 come again\n", b"temp-bare": b"400\n", b"temp-quoted": b"400 come%20again\n",
    b"what": b"300 is this\n", b"letters": b"OK value\n", b"blank": b" \n", b"empty": b"\n", b"bad-hex": b"200 a%zzb\n", b"half-hex": b"200 a%4\n",
    b"percent": b"200 100%25\n", b"nul": b"200 a%00b\n", b"newline": b"200 a%0ab\n", b"crlf": b"200 value\r\n", b"long": b"200 " + b"x" * 4000 + b"\n",
    b"longer": b"200 " + b"x" * 4091 + b"\n", b"too-long": b"200 " + LONG + b"\n", b"bytes": b"200 %ff%FE\n", b"raw": b"200 \xff\n", b"utf8": "200 é\n".encode(),
    b"digits": b"2000 value\n", b"tab": b"200\tvalue\n", b"blanks": b"200   value\n", b"before": b" 200 value\n", b"hang-up": None, b"more": b"200 value\nrubbish\n",
    b"two words": b"200 blank in the key\n", b"a%b": b"200 percent in the key\n", b"a@b": b"200 at in the key\n", b"<x>": b"200 angles\n", b"a+b": b"200 plus in the key\n",
    b"\xc3\xa9": b"200 e-acute in the key\n", b"a=b": b"200 equals\n", b"\x7f": b"200 delete\n",
}
# The key of a memcache request -> what is sent for "get".
MEMCACHE = {
    b"ok": b"VALUE ok 0 5\r\nvalue\r\nEND\r\n", b"none": b"END\r\n", b"flags": b"VALUE flags 17 5\r\nvalue\r\nEND\r\n", b"cas": b"VALUE cas 0 5 77\r\nvalue\r\nEND\r\n",
    b"zero": b"VALUE zero 0 0\r\n\r\nEND\r\n", b"two": b"VALUE two 0 9\r\ntwo words\r\nEND\r\n", b"lf": b"VALUE lf 0 5\nvalue\nEND\n",
    b"other": b"VALUE else 0 5\r\nvalue\r\nEND\r\n", b"error": b"ERROR\r\n", b"server-error": b"SERVER_ERROR out of memory\r\n", b"client-error": b"CLIENT_ERROR bad\r\n",
    b"what": b"WHAT\r\n", b"empty": b"\r\n", b"no-end": b"VALUE no-end 0 5\r\nvalue\r\nVALUE\r\n", b"no-size": b"VALUE no-size 0\r\nvalue\r\nEND\r\n",
    b"minus": b"VALUE minus 0 -5\r\nvalue\r\nEND\r\n", b"short": b"VALUE short 0 3\r\nvalue\r\nEND\r\n", b"large": b"VALUE large 0 10240\r\n" + b"x" * 10240 + b"\r\nEND\r\n",
    b"too-large": b"VALUE too-large 0 10241\r\n" + b"x" * 10241 + b"\r\nEND\r\n", b"long-line": b"VALUE " + b"x" * 1100 + b" 0 5\r\nvalue\r\nEND\r\n",
    b"nul": b"VALUE nul 0 3\r\na\0b\r\nEND\r\n", b"newline": b"VALUE newline 0 3\r\na\nb\r\nEND\r\n", b"bytes": b"VALUE bytes 0 2\r\n\xff\xfe\r\nEND\r\n",
    b"lower": b"value lower 0 5\r\nvalue\r\nend\r\n", b"hang-up": None, b"junk": b"VALUE junk 0 5x\r\nvalue\r\nEND\r\n", b"a@b": b"VALUE a@b 0 2\r\nat\r\nEND\r\n",
}


def socketmap_request(f):
    head = b""
    while not head.endswith(b":"):
        c = f.read(1)
        if not c:
            return None
        head += c
    body = f.read(int(head[:-1]) + 1)[:-1]
    return body


def line_request(f):
    line = f.readline(100000)
    return line.rstrip(b"\r\n") if line else None


def socketmap(f, seen):
    r = socketmap_request(f)
    seen.append(r)
    return r is not None, SOCKETMAP.get(r.split(b" ", 1)[1], netstring(b"NOTFOUND ")) if r else None


def tcp(f, seen):
    r = line_request(f)
    seen.append(r)
    if r is None:
        return False, None
    key = re.sub(rb"%([0-9a-fA-F]{2})", lambda m: bytes([int(m[1], 16)]), r[4:])
    return True, TCP.get(key, b"500 unknown\n")


def memcache(f, seen):
    r = line_request(f)
    seen.append(r)
    if r is None:
        return False, None
    words = r.split(b" ")
    if words[0] == b"get":
        return True, MEMCACHE.get(words[1], b"END\r\n")
    if words[0] == b"set":
        f.read(int(words[4]) + 2)
        return True, b"SERVER_ERROR full\r\n" if words[1] == b"temp" else b"NOT_STORED\r\n" if words[1] == b"not-stored" else b"STORED\r\n"
    return True, b"NOT_FOUND\r\n" if words[1] == b"none" else b"SERVER_ERROR no\r\n" if words[1] == b"temp" else b"DELETED\r\n"


def hang_up(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class Server:
    """answer(f, seen) -> (is there a request, the bytes to send or None); or serve(socket): all by itself."""

    def __init__(self, answer=None, serve=None, path=None):
        self.answer, self.by_itself, self.path, self.port = answer, serve, path, 0
        self.seen, self.open, self.connections, self.answered = [], [], 0, 0

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET, socket.SOCK_STREAM)
        if self.path:
            if os.path.exists(self.path):
                os.unlink(self.path)
            self.listener.bind(str(self.path))
        else:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", self.port))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(200)
        self.thread = threading.Thread(target=self.accept, args=[self.listener], daemon=True)
        self.thread.start()
        return self

    def accept(self, listener):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(c)
            threading.Thread(target=self.serve, args=[c], daemon=True).start()

    def serve(self, c):
        try:
            if self.by_itself:
                self.by_itself(c)
                return
            f = c.makefile("rb")
            while True:
                there, reply = self.answer(f, self.seen)
                if not there or reply is None:
                    return
                c.sendall(reply)
                self.answered += 1
        except (OSError, ValueError):  # it went away, or stop() closed it
            pass
        finally:
            hang_up(c)
            c.close()

    def stop(self):
        hang_up(self.listener)
        self.thread.join()  # before its descriptor is another listener's
        self.listener.close()
        for s in self.open:
            hang_up(s)  # its thread closes it
        self.open = []

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
