"""What a mail server talks to in these cases: a name server that can fail, and a policy service. Both in the test's namespace."""
import re, socket, struct, threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
FAILURES = {"SERVFAIL": 2, "REFUSED": 5, "TIMEOUT": None}


def wire_name(name):
    labels = [l.encode("utf-8", "surrogateescape") for l in name.rstrip(".").split(".") if l]
    return b"".join(bytes([len(l)]) + l for l in labels) + b"\0"


def wire_data(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "MX":
        preference, host = value.split()
        return struct.pack(">H", int(preference)) + wire_name(host)
    if kind == "TXT":
        parts = [p.encode() for p in re.findall(r'"([^"]*)"', value)] or [value.encode()]
        return b"".join(bytes([len(p)]) + p for p in parts)
    return wire_name(value)


class NameServer:
    """Authoritative for everything. Records: lines `NAME TYPE VALUE`; the type SERVFAIL, REFUSED or TIMEOUT is how NAME and all below it fail."""

    def __init__(self, text, address=("127.0.0.1", 53)):
        self.records, self.failures, self.names = {}, {}, set()
        for line in text.splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            name, kind, *value = line.split(None, 2)
            name = name.lower().rstrip(".")
            if kind in FAILURES:
                self.failures[name] = FAILURES[kind]
                continue
            self.records.setdefault(name, []).append((kind, value[0]))
            labels = name.split(".")
            self.names.update(".".join(labels[i:]) for i in range(len(labels)))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(address)
        self.tcp = socket.create_server(address)
        self.is_closing = False
        self.threads = [threading.Thread(target=serve, daemon=True) for serve in (self._serve_udp, self._serve_tcp)]
        for t in self.threads:
            t.start()

    def close(self):
        """Returns when the address is free again: a thread that waits keeps it."""
        self.is_closing = True
        self.udp.sendto(b"", self.udp.getsockname())
        self.tcp.shutdown(socket.SHUT_RDWR)
        for t in self.threads:
            t.join()
        self.udp.close()
        self.tcp.close()

    def _serve_udp(self):
        while not self.is_closing:
            try:
                question, peer = self.udp.recvfrom(4096)
                answer = self.answer(question)
                if answer:
                    self.udp.sendto(answer if len(answer) <= 1232 else answer[:2] + struct.pack(">H", 0x8780) + answer[4:6] + b"\0" * 6 + answer[12:30], peer)
            except OSError:
                return
            except IndexError:
                pass  # half a question

    def _serve_tcp(self):
        while True:
            try:
                s, _ = self.tcp.accept()
            except OSError:
                return
            try:
                s.settimeout(2)
                size, = struct.unpack(">H", s.recv(2))
                answer = self.answer(s.recv(size))
                if answer:
                    s.sendall(struct.pack(">H", len(answer)) + answer)
            except (OSError, struct.error, IndexError):
                pass
            s.close()

    def failure(self, name):
        labels = name.split(".")
        return next(((True, self.failures[n]) for n in (".".join(labels[i:]) for i in range(len(labels))) if n in self.failures), (False, None))

    def answer(self, q):
        i, labels = 12, []
        while q[i]:
            labels.append(q[i + 1:i + 1 + q[i]].decode("utf-8", "surrogateescape"))
            i += 1 + q[i]
        kind, = struct.unpack(">H", q[i + 1:i + 3])
        question, name = q[12:i + 5], ".".join(labels).lower()
        fails, code = self.failure(name)
        if fails:
            return None if code is None else q[:2] + struct.pack(">HHHHH", 0x8580 | code, 1, 0, 0, 0) + question
        found, at = [], name
        for _ in range(8):
            here = self.records.get(at, [])
            found += [(at, t, v) for t, v in here if TYPES[t] == kind]
            aliases = [v for t, v in here if t == "CNAME"]
            if not aliases or kind == TYPES["CNAME"]:
                break
            found.append((at, "CNAME", aliases[0]))
            at = aliases[0].rstrip(".").lower()
        body = b""
        for owner, t, v in found:
            data = wire_data(t, v)
            body += wire_name(owner) + struct.pack(">HHIH", TYPES[t], 1, 60, len(data)) + data
        authority = b""
        if not found:
            soa = wire_name("ns.invalid") + wire_name("root.invalid") + struct.pack(">5I", 1, 60, 60, 60, 60)
            authority = b"\0" + struct.pack(">HHIH", TYPES["SOA"], 1, 60, len(soa)) + soa
        flags = 0x8580 | (0 if at in self.names or not at else 3)
        return q[:2] + struct.pack(">HHHHH", flags, 1, len(found), 1 if authority else 0, 0) + question + body + authority


class PolicyService:
    """Answers by the recipient's local part (by protocol_state when that is listed, `*` otherwise); the action `close` closes without an answer.

    requests: what was asked, each a list of `name=value` lines."""

    def __init__(self, port=10031):
        self.actions, self.requests = {}, []
        self.listener = socket.create_server(("127.0.0.1", port), backlog=50)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def close(self):
        """Closed only when its thread has left it: the descriptor is the next listener's then."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join()
        self.listener.close()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def action(self, asked):
        keys = [asked.get("recipient", "").split("@")[0], asked.get("protocol_state", ""), "*"]
        return next((self.actions[k] for k in keys if k in self.actions), "DUNNO")

    def _serve(self, s):
        with s, s.makefile("rb") as f:
            lines = []
            for line in f:
                text = line.decode("utf-8", "surrogateescape").rstrip("\n")
                if text:
                    lines.append(text)
                    continue
                self.requests.append(lines)
                action = self.action(dict(l.split("=", 1) for l in lines if "=" in l))
                lines = []
                if action == "close":
                    return
                try:
                    s.sendall(f"action={action}\n\n".encode("utf-8", "surrogateescape"))
                except OSError:
                    return
