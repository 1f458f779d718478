#!/usr/bin/python3
"""Plays the cases of this folder. README.md says how to write one.

  play.py [GROUP[/CASE]...]             our server (HIKYAKU_BUILD, else build/release) against what is recorded: the differences
  play.py --show GROUP/CASE...          what our server does
  play.py --record [GROUP[/CASE]...]    records anew from Postfix (ORACLE: a program with `start DIR`, `stop DIR`, `cmd DIR PROG …`)
  play.py --oracle GROUP/CASE...        what Postfix does, not recorded

Enters namespaces of its own (tests/system/inside)."""
import difflib, json, os, pathlib, pwd, re, shlex, shutil, socket, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE), str(ROOT / "tests/system")]
sys.dont_write_bytecode = True
if __name__ == "__main__":
    os.environ.setdefault("HIKYAKU_BUILD", "build/release")
import harness, peers

ORACLE = pathlib.Path(os.environ.get("ORACLE", ROOT.parent / "shared/oracle/run-postfix-oracle.sh"))
RECORDED = pathlib.Path(os.environ.get("RECORDED", HERE / "recorded"))
CASES = pathlib.Path(os.environ.get("CASES", HERE))
FIRST_PORT = 20000
SINKS = {"sink": 2525, "other": 2526}  # where mail goes; FILTER, transport_maps and the like choose the second
KEYWORDS = ("PIPELINING", "8BITMIME", "SIZE 50000000", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8")
SECONDS = int(os.environ.get("PATIENCE", harness.PATIENCE))

MAIN = """\
compatibility_level = 3.6
enable_long_queue_ids = yes
myhostname = mail.example.test
mydomain = example.test
mydestination =
mynetworks = 127.0.0.1/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
default_transport = smtp:[127.0.0.1]:2525
relay_transport = smtp:[127.0.0.1]:2525
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_error_sleep_time = 0
smtpd_forbid_bare_newline = normalize
smtpd_forbid_bare_newline_exclusions =
smtpd_forbid_unauth_pipelining = no
smtp_tls_security_level =
biff = no
notify_classes =
"""
FOLDERS = """\
queue_directory = {dir}/spool
data_directory = {dir}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/log/maillog
maillog_file_prefixes = /var, {dir}/log
"""


# ---- case files

class Case:
    def __init__(self, name):
        self.name, self.smtpd, self.cleanup, self.steps, self.differs = name, [], [], [], []


class Group:
    """One file: a server and its cases."""

    def __init__(self, path):
        self.name, self.cases, self.sections = path.stem, [], {}
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="surrogateescape").split("\n"), 1):
            head = re.fullmatch(r"\[(case )?([^\]]+)\]", line)
            if head and head[1]:
                assert head[2] not in [c.name for c in self.cases], f"{path.name}:{number}: {head[2]} again"
                self.cases.append(Case(head[2]))
            elif head:
                lines = self.sections.setdefault(head[2], [])
            elif self.cases:
                try:
                    self._step(self.cases[-1], line)
                except ValueError as e:
                    raise ValueError(f"{path.name}:{number}: {e}") from None
            elif self.sections:
                lines.append(line)

    @staticmethod
    def _step(case, line):
        setting = re.fullmatch(r"(cleanup )?(\w+) *= *(.*)", line)
        if not line.strip() or line.startswith("#"):
            return
        if line.startswith("ours "):
            old, _, new = line[5:].partition(" => ")
            case.differs.append((old, new))
        elif setting and not case.steps:
            (case.cleanup if setting[1] else case.smtpd).append((setting[2], setting[3]))
        elif not re.match(r"[>|@<$]|(mail|text|raw|more|bulk|close|reload|wait|notice)\b", line):
            raise ValueError(f"neither a setting nor a step: {line!r}")
        elif line.startswith("|") and case.steps and case.steps[-1].startswith("$"):
            case.steps[-1] += "\n" + line[2:]
        else:
            case.steps.append(line)

    def text(self, section):
        return "\n".join(self.sections.get(section, [])) + "\n"

    def files(self):
        return {name.split(None, 1)[1]: self.text(name) for name in self.sections if name.startswith("file ")}


def groups():
    return [Group(p) for p in sorted(CASES.glob("*.case"))]


# ---- the server under test

class Server:
    """A server for one group: Postfix or ours. Every case with settings of its own has a service of its own."""

    def __init__(self, group, folder, is_oracle=False):
        self.group, self.dir, self.is_oracle = group, pathlib.Path(folder), is_oracle
        self.dir.mkdir(parents=True, exist_ok=True)
        if is_oracle:
            self.dir.chmod(0o755)
            (self.dir / "etc").mkdir(exist_ok=True)
        else:
            self.instance = harness.Instance(self.dir)
        self.ports = {}
        self.zone = peers.NameServer((HERE / "base.zone").read_text() + group.text("zone"))
        self.policy = peers.PolicyService()
        for line in group.sections.get("policy", []):
            if line.strip():
                key, _, action = line.partition(" ")
                self.policy.actions[key] = action
        self.sinks = {name: self.sink(port=port) for name, port in SINKS.items()}
        self.sinks["mx"] = self.sink(host="127.0.0.2", port=25)
        self._configure()

    def sink(self, **at):
        """The one before at this port may need a moment to go."""
        end = time.monotonic() + SECONDS
        while True:
            try:
                return harness.Sink(self.behave, KEYWORDS, **at)
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    @staticmethod
    def behave(verb, arg):
        coded = re.search(r"<c(\d\d\d)", arg) if verb in ("MAIL", "RCPT") else None
        if coded:
            return f"{coded[1]} said the sink"
        refused = re.search(r"<r([45])", arg) if verb == "RCPT" else None
        return f"{refused[1]}50 {refused[1]}.1.1 refused by sink" if refused else None

    def _configure(self):
        etc = self.dir / "etc"
        own = self.group.text("main.cf").replace("DIR", str(self.dir))
        again = {l.split("=")[0].strip() for l in own.splitlines() if "=" in l and not l[:1].isspace()}
        main = "".join(l + "\n" for l in MAIN.splitlines() if l.split("=")[0].strip() not in again) + own
        master = harness.SERVICES + self.group.text("master.cf").replace("DIR", str(self.dir))
        ports = [(None, FIRST_PORT, [], [])]
        ports += [(c.name, FIRST_PORT + 1 + i, c.smtpd, c.cleanup) for i, c in enumerate(self.group.cases)]
        for name, port, smtpd, cleanup in ports:
            if name and not smtpd and not cleanup:
                self.ports[name] = FIRST_PORT
                continue
            self.ports[name] = port
            if cleanup:
                smtpd = [*smtpd, ("cleanup_service_name", f"cleanup{port}")]
                master += f"cleanup{port} unix n - n - 0 cleanup\n" + self._options(cleanup)
            master += f"127.0.0.1:{port} inet n - n - - smtpd\n" + self._options(smtpd)
        (etc / "main.cf").write_text(main + ("" if self.is_oracle else FOLDERS.format(dir=self.dir)), errors="surrogateescape")
        (etc / "master.cf").write_text(master, errors="surrogateescape")
        for name, text in self.group.files().items():
            (etc / name).write_text(text.replace("DIR", str(self.dir)), errors="surrogateescape")

    def _options(self, settings):
        return "".join("  -o {{ {} = {} }}\n".format(n, v.replace("DIR", str(self.dir))) for n, v in settings)

    def start(self):
        if self.is_oracle:
            subprocess.run([ORACLE, "start", self.dir], check=True)
        else:
            self.instance.start()
        return self

    def stop(self):
        try:
            if self.is_oracle:
                subprocess.run([ORACLE, "stop", self.dir], env=dict(os.environ, ORACLE_FAST_STOP="1"))
            else:
                self.instance.__exit__(None)
        finally:
            for peer in (self.zone, self.policy, *self.sinks.values()):
                peer.close()

    def command(self, prog, *args, input=""):
        if not self.is_oracle:
            return self.instance.cmd(prog, *args, check=False, input=input.encode("utf-8", "surrogateescape"))
        return subprocess.run([ORACLE, "cmd", self.dir, prog, *args], input=input.encode("utf-8", "surrogateescape"), capture_output=True, timeout=60)

    def log(self, mark=0):
        """From byte `mark` on."""
        try:
            with (self.dir / "log/maillog").open("rb") as f:
                f.seek(mark)
                return f.read().decode("utf-8", "surrogateescape")
        except OSError:
            return ""

    def log_mark(self):
        try:
            return (self.dir / "log/maillog").stat().st_size
        except OSError:
            return 0


# ---- playing

UNESCAPED = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0"}


def unescape(text):
    return re.sub(rb"\\(x[0-9a-fA-F]{2}|.)", lambda m: bytes([int(m[1][1:], 16)]) if m[1][:1] == b"x" and len(m[1]) == 3 else UNESCAPED.get(m[1], m[1]),
                  text.encode("utf-8", "surrogateescape"))


class Connection:
    def __init__(self, port, source="127.0.0.1"):
        self.s = socket.create_connection(("127.0.0.1", port), SECONDS, source_address=(source, 0))
        self.buffer = b""

    def send(self, data):
        try:
            self.s.sendall(data)
        except OSError:
            pass  # the reply says what happened

    def line(self):
        while b"\n" not in self.buffer:
            try:
                more = self.s.recv(65536)
            except TimeoutError:
                return "(nothing)"
            except OSError:
                more = b""
            if not more:
                return "(closed)"
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode("utf-8", "surrogateescape").removesuffix("\r")

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == "-" and lines[-1][:3].isdigit():
            lines.append(self.line())
        return lines


class Play:
    """One case being played: `seen` is the dialogue."""

    def __init__(self, server, case):
        self.server, self.case, self.seen = server, case, []
        self.port, self.connection, self.connections, self.submitted = server.ports[case.name], None, 0, 0

    def open(self, source="127.0.0.1"):
        self.close()
        end = time.monotonic() + SECONDS
        while self.server.log(self.mark).count(": disconnect from ") < self.connections and time.monotonic() < end:
            time.sleep(0.01)  # so that its lines come first
        self.connection = Connection(self.port, source)
        self.connections += 1
        self.seen.append([f"@ {source}", self.connection.reply()])

    def close(self, _=""):
        if self.connection:
            self.connection.s.close()
        self.connection = None

    def ask(self, line):
        self.connection.send(line.encode("utf-8", "surrogateescape") + b"\r\n")
        self.seen.append([f"> {line}", self.connection.reply()])
        return self.seen[-1][1][-1]

    def step(self, line):
        word, _, rest = line.partition(" ")
        if word in ("$", "reload", "wait", "@", "close", "notice"):
            getattr(self, {"$": "command", "@": "at"}.get(word, word))(rest)
            return
        if self.connection is None:
            self.open()
        if word == ">":
            self.ask(rest)
        elif word == "|":
            self.connection.send(rest.encode("utf-8", "surrogateescape") + b"\r\n")
        elif word == "<eof":
            self.seen.append(["eof", [self.connection.line()]])
        elif word == "<":
            for _ in range(int(rest or 1)):
                self.seen.append(["<", self.connection.reply()])
        elif word == "<all":
            self.rest()
        elif word == "raw":
            self.connection.send(unescape(rest))
        elif word == "more":
            if self.seen[-1][1][-1].startswith("354"):
                self.connection.send(unescape(rest))
                self.seen.append(["more", self.connection.reply()])
        elif word == "bulk":
            times, _, text = rest.partition(" ")
            for _ in range(int(times)):
                self.ask(text)
        elif word == "mail":
            self.mail(rest.split())
        elif word == "text":
            self.text(rest)
        else:
            raise ValueError(line)

    def rest(self):
        """Says no more, and reads to the end."""
        try:
            self.connection.s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was closed already
        while self.seen[-1][1][-1] not in ("(closed)", "(nothing)"):
            self.seen.append(["<", self.connection.reply()])

    def at(self, rest):
        self.open(rest or "127.0.0.1")

    def mail(self, addresses):
        """Greets unless the case did (what EHLO lists is not kept), then an envelope."""
        if not any(s[0][2:6].upper() in ("EHLO", "HELO") for s in self.seen[max(i for i, s in enumerate(self.seen) if s[0][0] == "@"):]):
            self.ask("EHLO client.test")
            self.seen[-1][1] = ["250"] if self.seen[-1][1][-1].startswith("250") else self.seen[-1][1]
        self.ask("MAIL FROM:<%s>" % addresses[0].strip("<>"))
        for a in addresses[1:]:
            self.ask(f"RCPT TO:<{a}>")

    def text(self, subject):
        if self.ask("DATA").startswith("354"):
            self.connection.send(f"From: <writer@sender.test>\r\nTo: <reader@good.test>\r\nSubject: {subject or self.case.name}\r\n\r\ntext\r\n".encode())
            self.ask(".")

    def command(self, rest):
        line, _, text = rest.partition("\n")
        prog, *args = shlex.split(line.replace("DIR", str(self.server.dir)))
        r = self.server.command(prog, *args, input=text + "\n" if text else "")
        out = (r.stdout + r.stderr).decode("utf-8", "surrogateescape").splitlines()
        self.seen.append([f"$ {line}", [*out, f"exit {r.returncode}"]])
        self.submitted += sum(" queued as " in l for l in out)
        if prog == "sendmail" and r.returncode == 0 and not any(re.match(r"-(b[psihd]|I|q)", a) for a in args):
            self.submitted += 1

    def reload(self, rest):
        self.command("postfix reload")

    def wait(self, rest):
        self.settle()

    def notice(self, rest):
        """Messages about sessions belong to none of the replies."""
        self.close()
        sink, end = self.server.sinks["sink"], time.monotonic() + SECONDS
        while sum(b"errors from " in m["data"] for m in sink.messages[self.sunk:]) < int(rest) and time.monotonic() < end:
            time.sleep(0.01)

    # ---- until everything that this case began has ended

    def settle(self):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            why = self.unsettled(self.server.log(self.mark))
            if not why:
                return
            time.sleep(0.01)
        self.seen.append(["unsettled", [why]])

    def unsettled(self, log):
        """What is still to come, as a text; empty: nothing."""
        if log.count(": disconnect from ") < self.connections:
            return "a session"
        replies = [m[1] for s in self.seen if s[0][0] != "$" for l in s[1] for m in [re.search(r"queued as (\S+)", l)] if m]
        ids = set(replies) | set(re.findall(r": (\w+): from=<", log)) | set(re.findall(r"(?:notification|forwarded as|queued as) ?: ?(\w{12,})\b", log))
        ids |= {m for m in re.findall(r": (\w+): uid=", log)}
        if len(re.findall(r": (\w+): uid=", log)) + len(re.findall(r"pickup\[\d+\]: (?:warning|fatal)", log)) < self.submitted:
            return "a submission"
        for i in ids:
            if re.search(rf": {i}: removed|cleanup\[\d+\]: {i}: (hold|discard|reject): ", log):
                continue
            first = re.search(rf": {i}: from=<.*nrcpt=(\d+)", log)
            if not first and re.search(r": (hold|discard): ", log) and self.rests(i):
                continue
            if not first or len(re.findall(rf": {i}: to=<", log)) < int(first[1]) or not re.search(rf": {i}: to=<.*status=(deferred|SOFTBOUNCE)", log):
                return "a message"
        return ""

    def rests(self, i):
        """Whether a message that the queue manager has not touched never will be: it is on hold, or gone. Asked twice: what was
        logged before the first answer is in the file when the second comes."""
        for _ in range(2):
            r = self.server.command("postqueue", "-j")
            queues = [m["queue_name"] for m in map(json.loads, r.stdout.splitlines()) if m["queue_id"] == i]
            if r.returncode or queues not in ([], ["hold"]):
                return False
        return f": {i}: from=<" not in self.server.log(self.mark)


def play(server, case):
    p = Play(server, case)
    p.mark, p.sunk = server.log_mark(), len(server.sinks["sink"].messages)
    before = {name: len(s.messages) for name, s in server.sinks.items()}
    asked = len(server.policy.requests)
    boxes = set((server.dir / "mail").rglob("new/*"))
    try:
        for step in case.steps:
            p.step(step)
    finally:
        p.close()
    p.settle()
    log = server.log(p.mark)
    mail = [dict(via=name, mail=m["mail"], rcpt=sorted(m["rcpt"]), lines=m["data"].decode("utf-8", "surrogateescape").split("\r\n"))
            for name, s in server.sinks.items() for m in s.messages[before[name]:]]
    mail += [dict(via=str(f.relative_to(server.dir / "mail").parent.parent), lines=f.read_text(errors="surrogateescape").split("\n"))
             for f in (server.dir / "mail").rglob("new/*") if f not in boxes]
    return tidy(server, dict(dialogue=p.seen, mail=[shorten(m) for m in mail], policy=[known(r) for r in server.policy.requests[asked:]], log=log_lines(log)))


# ---- what is the same in every run

ID = r"[0-9BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz]{10,}z[0-9BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz]{3,}"
TIDY = [(rf"\b{ID}\b", "ID"), (r"<\d{14}\.\w+@", "<STAMP@"), (r"\b\w+\.\d{9,11}/mail\.example\.test", "BOUNDARY"),
        (r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), +\d+ [A-Z]\w\w \d{4} \d\d:\d\d:\d\d [+-]\d{4}(?: \(\w+\))?", "DATE"),
        (r"\b[A-Z]\w\w [ \d]\d \d\d:\d\d:\d\d\b", "TIME"), (r"\bsize=\d+", "size=N"), (r" (?:delay|delays|conn_use)=[\d./]+,", ""), (r"\bSIZE=\d+", "SIZE=N"), (r"queued as \d+\b", "queued as N"), (r"\b\d+ IN (?=[A-Z])", "N IN "),
        (r"(127\.\d+\.\d+\.\d+\]?):\d+", r"\1:PORT"), (r"\b(uid=)\d+", r"\1N"), (r"\bpid[= ]\d+", "pid N"), (r"/\S*/(?:libexec/\w+|sbin|bin)/(?=\w)", "")]
ORDERED = ("smtpd", "cleanup", "pickup", "sendmail", "postdrop")  # their lines stay in order; those of others are sorted
UNHEARD = ("master", "postfix-script", "postlog", "postlogd", "trivial-rewrite")
UNTOLD = re.compile(r"statistics: |daemon started|terminating on|reload -- version|table .* has changed|: connect from ")
VOLATILE = ("instance", "queue_id", "client_port", "server_port")
NEWER = ("tls_sni", "mail_version", "compatibility_level")  # attributes that Postfix 3.7 does not send


def tidy_text(server, text):
    text = text.replace(str(server.dir), "DIR")
    for pattern, instead in TIDY:
        text = re.sub(pattern, instead, text)
    return text


def tidy(server, value):
    if isinstance(value, str):
        return tidy_text(server, value)
    if isinstance(value, list):
        return [tidy(server, v) for v in value]
    return {k: tidy(server, v) for k, v in value.items()}


def known(request):
    names = [(n, n.split("=")[0]) for n in request]
    return [n if name not in VOLATILE else name + "=" for n, name in names if name not in NEWER]


def shorten(message):
    """Of a delivery report only who, what and why."""
    lines = message["lines"]
    if any("multipart/report" in l for l in lines):
        message["lines"] = sorted(l for l in lines if re.match(r"(From|To|Subject|Final-Recipient|Original-Recipient|Action|Status|Diagnostic-Code):", l))
    return message


def log_lines(log):
    """[daemon, text], those of smtpd, cleanup and pickup in their order. When a message that was refused had its message-id logged is chance."""
    found, queued = [], set(re.findall(r": (\w+): from=<", log))
    for line in log.splitlines():
        told = re.search(r"cleanup\[\d+\]: (\w+): (?:resent-)?message-id=", line)
        if told and told[1] not in queued:
            continue
        m = re.match(r"(?:\S+ +\d+ [\d:]+|\S+T\S+) \S+ (?:postfix\S*/)?([\w-]+)\[\d+\]: (.*)", line)
        if m and not UNTOLD.search(line) and m[1] not in UNHEARD:
            found.append([m[1], m[2]])
    rank = {d: i for i, d in enumerate(ORDERED)}
    return sorted(found, key=lambda l: (rank.get(l[0], len(rank)), l[0], "" if l[0] in rank else re.sub(ID, "ID", l[1])))


# ---- comparing

def expected(group, case):
    """What is recorded, with the case's listed differences; fails when a listed one is not there."""
    found = json.loads((RECORDED / f"{group.name}.json").read_text())[case.name]
    for old, new in case.differs:
        text = json.dumps(found, ensure_ascii=False)
        quoted = json.dumps(old, ensure_ascii=False)[1:-1]
        assert quoted in text, f"{group.name}/{case.name}: Postfix never said {old!r}"
        found = json.loads(text.replace(quoted, json.dumps(new, ensure_ascii=False)[1:-1]))
    return drop_emptied(found)


def drop_emptied(value):
    """A log line or reply line whose whole text a difference took away is not expected."""
    if isinstance(value, list):
        return [drop_emptied(v) for v in value if not (isinstance(v, list) and len(v) == 2 and v[1] == "" and isinstance(v[0], str))]
    return {k: drop_emptied(v) for k, v in value.items()} if isinstance(value, dict) else value


def lines_of(value):
    out = [f"{a}\n" if not isinstance(b, list) else f"{a}\n" + "".join(f"    {l}\n" for l in b) for a, b in value["dialogue"]]
    out += [f"mail via {m['via']}: {m.get('mail', '')} {' '.join(m.get('rcpt', []))}\n" + "".join(f"    {l}\n" for l in m["lines"])
            for m in sorted(value["mail"], key=lambda m: json.dumps(m, sort_keys=True))]
    out += ["policy\n" + "".join(f"    {l}\n" for l in r) for r in value["policy"]]
    out += [f"log {d}: {t}\n" for d, t in value["log"]]
    return "".join(out).splitlines()


def differences(want, got):
    return list(difflib.unified_diff(lines_of(want), lines_of(got), "Postfix", "ours", lineterm="", n=2))


def as_text(recorded):
    """A line for each reply, message, request and log line, so that changes can be read."""
    parts = []
    for name, case in recorded.items():
        lists = [f'  {json.dumps(key)}: [' + ",".join("\n   " + json.dumps(item) for item in items) + "]" for key, items in case.items()]
        parts.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lists) + "}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


# ---- by hand

def chosen(words):
    for group in groups():
        names = [w.partition("/")[2] for w in words if w.partition("/")[0] == group.name]
        if names or not words:
            yield group, [c for c in group.cases if not names or "" in names or c.name in names]


def main(args):
    if os.environ.get("HIKYAKU_INSIDE") != "1":
        os.execv(ROOT / "tests/system/inside", ["inside", sys.executable, __file__, *args])
    option = args.pop(0) if args[:1] and args[0].startswith("--") else ""
    failed = played = 0
    for group, cases in chosen(args):
        target = RECORDED / f"{group.name}.json"
        kept = json.loads(target.read_text()) if target.exists() else {}
        top = tempfile.mkdtemp(prefix="hk-dialogue-")
        os.chmod(top, 0o755)
        server = Server(group, f"{top}/s", option in ("--record", "--oracle"))
        try:
            server.start()
            for case in cases:
                got = play(server, case)
                played += 1
                if option == "--record":
                    kept[case.name] = got
                elif option:
                    print(f"=== {group.name}/{case.name}", *lines_of(got), sep="\n")
                else:
                    diff = differences(expected(group, case), got)
                    failed += bool(diff)
                    print(f"{'FAILED' if diff else 'ok    '} {group.name}/{case.name}", *("    " + l for l in diff), sep="\n", flush=True)
        finally:
            server.stop()
            shutil.rmtree(top, ignore_errors=True)
        if option == "--record":
            kept = {c.name: kept[c.name] for c in group.cases if c.name in kept}
            target.write_text(as_text(kept))
    print(f"{played} played, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
