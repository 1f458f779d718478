"""Peers of tables: a server whose answers a test decides, a relay that sees what a real one is asked, a postmap that asks on."""
import pathlib, socket, subprocess, sys, threading, urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "compat"))
import table_servers
from harness import BIN, PATIENCE, wait_for

TROUBLE = object()
ANSWER = b""


def never(key):
    return None


class TcpTable(table_servers.Server):
    """A server of tcp_table(5), at work from the beginning. `answers`: key to value, TROUBLE or a function of the key, which may return
    None (never answers). Everything asked is in `asked`."""

    def __init__(self, answers=None, default=None):
        super().__init__(serve=self.serve_lines)
        self.answers, self.default, self.asked = answers or {}, default, []
        self.start()

    @property
    def spec(self):
        return f"tcp:127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def serve_lines(self, s):
        with s.makefile("rb") as f:
            for line in f:
                key = urllib.parse.unquote(line.decode().rstrip("\n").partition(" ")[2])
                self.asked.append(key)
                value = self.answers.get(key, self.default)
                if callable(value):
                    value = value(key)
                    if value is None:
                        continue
                if value is None or value == "":
                    s.sendall(b"500 not%20found\n")
                elif value is TROUBLE:
                    s.sendall(b"400 on%20fire\n")
                else:
                    s.sendall(b"200 " + urllib.parse.quote(value).encode() + b"\n")


def relay(port, seen):
    """Serves connections by passing all on to `port`; seen: what came from clients, and ANSWER when something went back to them."""
    def pump(a, b, before=seen.append, behind=lambda _: None):
        try:
            while data := a.recv(65536):
                before(data)
                b.sendall(data)
                behind(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve(c):
        with socket.create_connection(("127.0.0.1", port)) as to:
            back = threading.Thread(target=pump, args=[to, c, lambda _: None, lambda _: seen.append(ANSWER)])
            back.start()
            pump(c, to)
            back.join()

    return table_servers.Server(serve=serve)


def postmap(folder, spec, key):
    """The command that looks up `key`; those of its input when that is "-"."""
    return [str(BIN / "postmap"), "-c", str(folder), "-q", key, spec]


def ask(folder, spec, key, seconds=2 * PATIENCE):
    """The exit status, what was found, what was said."""
    r = subprocess.run(postmap(folder, spec, key), capture_output=True, text=True, errors="replace", timeout=seconds)
    return r.returncode, r.stdout, r.stderr


class Asker:
    """One postmap that is asked key after key."""

    def __init__(self, folder, spec):
        self.p = subprocess.Popen(postmap(folder, spec, "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ask(self, key, seen):
        """Returns when the key was seen on the wire, and its answer: who then kills the server cuts nothing off."""
        n = len(seen)
        self.p.stdin.write(key + "\n")
        self.p.stdin.flush()

        def is_answered():
            asked = next((i for i, data in enumerate(seen) if i >= n and key.encode() in data), None)
            return asked is not None and ANSWER in seen[asked + 1:]
        wait_for(f"the answer to {key}", is_answered)

    def end(self, *keys):
        out, err = self.p.communicate("".join(k + "\n" for k in keys), timeout=2 * PATIENCE)
        return self.p.returncode, out, err
