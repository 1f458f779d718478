"""What system tests stand on: servers, clients, peers, a name server. See README.md."""
import asyncio, contextlib, os, pathlib, pwd, re, shutil, signal, socket, subprocess, sys, threading, time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("HIKYAKU_BUILD", "build/test")
BIN = BUILD / "bin"
IS_ROOT = os.geteuid() == 0
INSIDE = os.environ.get("HIKYAKU_INSIDE") == "1"
PEERS = ROOT / "build" / "peers"
SANITIZED = "release" not in BUILD.name
PATIENCE = 60  # seconds to wait for something that should happen at once, on a machine that has no time for us


def wait_for(what, condition, seconds=PATIENCE):
    """Polls until condition() is true; its value. Fails with `what`, which may be a function that says it then."""
    end = time.monotonic() + seconds
    while True:
        is_over = time.monotonic() > end  # there is one look behind the end, however long we were not running
        value = condition()
        if value:
            return value
        if is_over:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def is_running(pid):
    """Neither gone nor a zombie; before it becomes one a process has closed its descriptors."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def as_owner(what, *args):
    """what(*args) in a process with mail_owner's rights; its exit status."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        if IS_ROOT:
            owner = pwd.getpwnam("postfix")
            os.setgroups([])
            os.setgid(owner.pw_gid)
            os.setuid(owner.pw_uid)
        what(*args)
        os._exit(0)
    except BaseException as e:  # the test's own cleaning up is not this process's
        os.write(2, repr(e).encode())
        os._exit(1)


def write_settled(path, text):
    """A configuration file that Postfix reads at once: it waits until one is two seconds old."""
    path.write_text(text)
    os.utime(path, (1e9, 1e9))


def free_port():
    """One that nobody else is given: below those that the kernel takes for connections, and each one once."""
    while True:
        free_port.last = 10000 + (free_port.last + 1 - 10000) % 20000
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", free_port.last))
            return free_port.last


free_port.last = 10000 + os.getpid() * 97 % 20000


def process_status(pid, name):
    """A line of /proc/PID/status, without its name."""
    return re.search(rf"^{name}:\s*(.*)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]


def process_memory(pid, name):
    """Bytes: VmRSS, VmHWM, RssAnon."""
    return int(process_status(pid, name).split()[0]) << 10


def open_files(pid):
    """What the descriptors of a process are: number to name. It goes on meanwhile: what it closes is not among them."""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


MAIN = """\
compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
mail_owner = {owner}
setgid_group = {group}
maillog_file = {dir}/log/maillog
maillog_file_prefixes = {dir}
myhostname = mail.example.test
mydomain = example.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
default_transport = smtp:[127.0.0.1]:{sink_port}
virtual_mailbox_domains = mbox.test
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = static:u/
virtual_uid_maps = static:{vuid}
virtual_gid_maps = static:{vgid}
virtual_minimum_uid = 100
smtpd_error_sleep_time = 0
"""

# Behind the network, as in Postfix's own master.cf.
SERVICES = """\
pickup    unix  n - n 60    1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
verify    unix  - - n -     1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
smtp      unix  - - n -     - smtp
relay     unix  - - n -     - smtp
showq     unix  n - n -     - showq
error     unix  - - n -     - error
retry     unix  - - n -     - error
discard   unix  - - n -     - discard
virtual   unix  - n n -     - virtual
anvil     unix  - - n -     1 anvil
scache    unix  - - n -     1 scache
postlog   unix-dgram n - n - 1 postlogd
"""
MASTER = "127.0.0.1:{port} inet n - n - - smtpd\n" + SERVICES


class Instance:
    """A server of ours in a folder of its own. Use: with Instance(tmp_path, "name = value") as mta: …"""

    def __init__(self, folder, main="", master="", sink_port=9, drop_main=()):
        self.dir = pathlib.Path(folder)
        self.port = free_port()
        self.sink_port = sink_port
        self.started = False
        for d in ("etc", "spool", "data", "log", "mail", "reports"):
            (self.dir / d).mkdir(parents=True, exist_ok=True)
        os.chmod(self.dir / "reports", 0o777)
        # A sanitizer's report of a daemon goes into this folder; sanitizer_reports() looks there.
        self.env = dict(os.environ, HIKYAKU_REPORTS=str(self.dir / "reports"))
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            self.env[name] = os.environ.get(name, "") + f":log_path={self.dir}/reports/r"
        me = pwd.getpwuid(os.geteuid())
        if IS_ROOT and not INSIDE:
            pytest.skip("root without namespaces of its own: the users that the server needs are made there")
        if IS_ROOT:
            owner, group, vuid = "postfix", "postdrop", pwd.getpwnam("hkvmail")
            os.chown(self.dir / "data", pwd.getpwnam(owner).pw_uid, -1)
            os.chown(self.dir / "mail", vuid.pw_uid, vuid.pw_gid)
            p = self.dir
            while p != p.parent:  # tmp_path is 0700: the mail_owner must reach it
                if p.stat().st_uid == 0 and str(p).startswith(("/tmp/pytest", "/tmp/hk")):
                    os.chmod(p, 0o755)
                p = p.parent
        else:
            import grp
            owner, group, vuid = me.pw_name, grp.getgrgid(me.pw_gid).gr_name, me
        text = MAIN.format(dir=self.dir, owner=owner, group=group, vuid=vuid.pw_uid, vgid=vuid.pw_gid, sink_port=sink_port)
        set_again = {l.split("=")[0].strip() for l in main.splitlines() if "=" in l and not l[:1].isspace()} | set(drop_main)
        text = "".join(l + "\n" for l in text.splitlines() if l.split("=")[0].strip() not in set_again)
        self.main_cf, self.master_cf = self.dir / "etc/main.cf", self.dir / "etc/master.cf"
        self.main_cf.write_text(text + main.format(dir=self.dir, port=self.port) + "\n")
        self.master_cf.write_text(MASTER.format(port=self.port) + master.format(dir=self.dir, port=self.port))

    # ---- commands
    def cmd(self, prog, *args, check=True, input=None, timeout=2 * PATIENCE, env=None):
        flag = "-C" if prog in ("sendmail", "mailq", "newaliases") else "-c"
        env = env or (self.env if prog == "postfix" else None)
        r = subprocess.run([str(BIN / prog), flag, str(self.dir / "etc"), *map(str, args)], input=input, capture_output=True,
                           text=not isinstance(input, bytes), errors=None if isinstance(input, bytes) else "replace", timeout=timeout, env=env)
        if check and r.returncode != 0:
            raise AssertionError(f"{prog} {' '.join(map(str, args))}: exit {r.returncode}\n{r.stdout}\n{r.stderr}\n{self.log()[-3000:]}")
        return r

    def start(self):
        self.cmd("postfix", "start")
        self.started = True
        return self

    def stop(self):
        self.started = False
        return self.cmd("postfix", "stop", check=False)

    def reload(self):
        return self.cmd("postfix", "reload")

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        try:
            if self.started:
                self.stop()
        finally:
            self.kill()
        trouble = self.sanitizer_reports()
        if trouble and kind is None:
            raise AssertionError("a sanitizer spoke:\n" + trouble)

    def master_pid(self):
        try:
            return int((self.dir / "spool/pid/master.pid").read_text())
        except (OSError, ValueError):
            return 0

    def pids(self, role=None):
        """Processes of this instance, master included; of one role when given."""
        top, found = self.master_pid(), []
        if not top:
            return []
        for p in pathlib.Path("/proc").iterdir():
            if not p.name.isdigit():
                continue
            try:
                stat = (p / "stat").read_text()
                exe = (p / "cmdline").read_bytes().split(b"\0")[0].decode()
            except OSError:
                continue
            name, rest = stat.rsplit(")", 1)
            ppid = int(rest.split()[1])
            if (ppid == top or int(p.name) == top) and rest.split()[0] != "Z":
                if role is None or os.path.basename(exe) == role:
                    found.append(int(p.name))
        return found

    def wait_idle(self):
        """Everybody has read what master sent, and has nothing to do."""
        for pid in [self.master_pid(), *self.pids()]:
            wait_for(f"process {pid} to sleep", lambda: process_status(pid, "State")[0] == "S")

    def kill(self, sig=signal.SIGKILL, role=None):
        """Their numbers; after SIGKILL they are gone: what they had open is closed."""
        pids = self.pids(role)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        if sig == signal.SIGKILL:
            wait_for(f"the end of {pids}", lambda: not any(is_running(p) for p in pids))
        return pids

    # ---- what can be seen
    def log(self):
        try:
            return (self.dir / "log/maillog").read_text(errors="replace")
        except OSError:
            return ""

    def wait_log(self, pattern, seconds=PATIENCE, count=1):
        return wait_for(lambda: f"log line {pattern!r}\n{self.log()[-3000:]}",
                        lambda: (lambda m: m if len(m) >= count else None)(list(re.finditer(pattern, self.log()))), seconds)[0]

    def sanitizer_reports(self):
        text = self.log()
        for f in self.dir.glob("reports/*"):
            text += f.read_text(errors="replace")
        i = min([x for x in (text.find("ERROR: AddressSanitizer"), text.find("runtime error:"), text.find("ERROR: LeakSanitizer")) if x >= 0], default=-1)
        return text[i:i + 4000] if i >= 0 else ""

    def maildir(self, user="u"):
        return sorted((self.dir / "mail" / user / "new").glob("*")) if (self.dir / "mail" / user / "new").exists() else []

    def queue(self):
        """Parsed `postqueue -j`."""
        import json
        return [json.loads(l) for l in self.cmd("postqueue", "-j").stdout.splitlines() if l.strip()]

    def wait_deferred(self, n):
        """The queue holds n messages, and none of them is being tried: whoever flushes it now flushes all."""
        wait_for(lambda: f"{n} deferred messages: {self.queue()}", lambda: [q["queue_name"] for q in self.queue()] == ["deferred"] * n)

    def wait_empty(self, seconds=PATIENCE):
        wait_for("an empty queue", lambda: "Mail queue is empty" in self.cmd("postqueue", "-p").stdout, seconds)

    def client(self, **kw):
        return Client(self.port, **kw)

    def wait_all(self, what, ask, role="smtpd"):
        """Until ask(), which is one session, was true in each of the workers that there are now."""
        wait_for("the end of earlier sessions", lambda: (lambda log: log.count(": connect from ") == log.count(": disconnect from "))(self.log()))
        good = set()

        def one():
            mark = len(self.log())
            is_good = ask()
            pid = wait_for("the end of the session", lambda: re.search(rf"/{role}\[(\d+)\]: disconnect from ", self.log()[mark:]))[1]
            (good.add if is_good else good.discard)(int(pid))
            return good >= set(self.pids(role))
        wait_for(what, one)

    def greeted(self, sender="a@example.test"):
        """A client that is about to name recipients."""
        c = self.client()
        c.hello()
        c.expect(f"MAIL FROM:<{sender}>", 250)
        return c

    def rcpt(self, address):
        """What is said to that recipient."""
        with self.greeted() as c:
            return c.cmd(f"RCPT TO:<{address}>")

    def send(self, rcpts=("x@relay.test",), sender="a@example.test", body="Subject: t\r\n\r\nhello\r\n"):
        """One message; returns the final reply."""
        with self.client() as c:
            return c.message(sender, [rcpts] if isinstance(rcpts, str) else rcpts, body)


class Client:
    """Raw SMTP: what you send is what goes out."""

    def __init__(self, port, host="127.0.0.1", banner=True, timeout=PATIENCE):
        self.s = socket.create_connection((host, port), timeout)
        self.buf = b""
        self.banner = self.reply() if banner else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def raw(self, data):
        self.s.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def line(self):
        while b"\n" not in self.buf:
            more = self.s.recv(65536)
            if not more:
                raise EOFError(self.buf)
            self.buf += more
        line, self.buf = self.buf.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin-1")

    def reply(self):
        """A whole reply, lines joined by \\n."""
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return "\n".join(lines)

    def cmd(self, line):
        self.raw(line + "\r\n")
        return self.reply()

    def expect(self, line, code):
        r = self.cmd(line)
        assert r.startswith(str(code)), f"{line} → {r}, not {code}"
        return r

    def hello(self):
        return self.expect("EHLO client.test", 250)

    def envelope(self, sender="a@example.test", rcpts=("x@relay.test",)):
        self.expect(f"MAIL FROM:<{sender}>", 250)
        for r in rcpts:
            self.expect(f"RCPT TO:<{r}>", 250)

    def message(self, sender, rcpts, body):
        if not getattr(self, "greeted", False):
            self.hello()
            self.greeted = True
        self.envelope(sender, rcpts)
        self.expect("DATA", 354)
        self.raw(body if body.endswith("\r\n") else body + "\r\n")
        return self.cmd(".")

    def is_closed(self):
        """True when the server closed, whatever it said before; waits for it."""
        try:
            while self.s.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def stop_accepting(listener, thread):
    """The thread ends before the descriptor is free: it would go on with the next listener that has the same number."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


class Sink:
    """An SMTP server that records messages and refuses what it is told to refuse.

    behave(verb, argument) may return a reply to send in the place of the usual one, or "close"."""

    def __init__(self, behave=None, keywords=("PIPELINING", "8BITMIME", "SIZE 50000000", "ENHANCEDSTATUSCODES", "DSN"), host="127.0.0.1", port=0):
        self.behave, self.keywords = behave or (lambda verb, arg: None), keywords
        self.messages, self.sessions, self.verbs = [], 0, []
        self.listener = socket.create_server((host, port), backlog=200)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def close(self):
        stop_accepting(self.listener, self.thread)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.sessions += 1
            threading.Thread(target=self._session, args=(s,), daemon=True).start()

    def _session(self, s):
        f = s.makefile("rb")
        state = {}

        def say(verb, arg, usual, first=None):
            """`first` is done before a good reply goes out: whoever hears it may look at once."""
            r = self.behave(verb, arg)
            if r == "close":
                raise ConnectionError
            good = (r or usual)[0] in "23"
            if good and first:
                first()
            s.sendall(((r or usual) + "\r\n").encode())
            return good

        try:
            say("CONNECT", "", "220 sink.test ESMTP")
            while True:
                line = f.readline()
                if not line:
                    return
                verb, _, arg = line.rstrip(b"\r\n").decode("latin-1").partition(" ")
                verb = verb.upper()
                self.verbs.append(f"{verb} {arg}".strip())
                if verb == "EHLO":
                    say(verb, arg, "\r\n".join(f"250-{k}" for k in ("sink.test", *self.keywords[:-1])) + (f"\r\n250 {self.keywords[-1]}" if self.keywords else "\r\n250 sink.test"))
                elif verb == "MAIL":
                    state = dict(mail=arg, rcpt=[])
                    say(verb, arg, "250 2.1.0 Ok")
                elif verb == "RCPT":
                    if say(verb, arg, "250 2.1.5 Ok"):
                        state["rcpt"].append(arg)
                elif verb == "DATA":
                    if not state.get("rcpt"):
                        say("NORCPT", arg, "503 5.5.1 Error: need RCPT command")
                        continue
                    if not say(verb, arg, "354 End data with <CR><LF>.<CR><LF>"):
                        continue
                    data = bytearray()  # bytes would be copied for each line
                    while True:
                        l = f.readline()
                        if not l:
                            return
                        if l == b".\r\n":
                            break
                        data += l[1:] if l.startswith(b".") else l
                    say("DOT", data.decode("latin-1"), f"250 2.0.0 Ok: queued as {len(self.messages)}",
                        lambda: self.messages.append(dict(state, data=bytes(data))))
                elif verb == "QUIT":
                    say(verb, arg, "221 2.0.0 Bye")
                    return
                else:
                    say(verb, arg, "250 2.0.0 Ok")
        except (OSError, ConnectionError):
            pass
        finally:
            f.close()
            s.close()

    def wait(self, n, seconds=PATIENCE):
        wait_for(lambda: f"{n} messages at the sink (has {len(self.messages)})", lambda: len(self.messages) >= n, seconds)
        return self.messages


class Zone:
    """nsd on 127.0.0.1:53 serving `records` (zone-file lines below the root)."""

    def __init__(self, folder, records, port=53):
        self.dir = pathlib.Path(folder) / "nsd"
        self.dir.mkdir(parents=True, exist_ok=True)
        os.chmod(self.dir, 0o777)
        (self.dir / "zone").write_text("$ORIGIN .\n$TTL 60\n@ SOA ns.invalid. root.invalid. 1 3600 600 86400 5\n@ NS ns.invalid.\n" + records + "\n")
        (self.dir / "nsd.conf").write_text(f"""server:
  ip-address: 127.0.0.1
  port: {port}
  server-count: 1
  username: ""
  database: ""
  pidfile: "{self.dir}/pid"
  xfrdfile: "{self.dir}/xfrd"
  zonelistfile: "{self.dir}/zones"
  logfile: "{self.dir}/log"
  zonesdir: "{self.dir}"
remote-control:
  control-enable: no
zone:
  name: "."
  zonefile: zone
""")
        nsd = debian_nsd()
        if nsd is None:
            pytest.skip("Debian's nsd package could not be fetched")
        self.p = subprocess.Popen([nsd, "-d", "-c", str(self.dir / "nsd.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("name server", lambda: self.answers(port))

    @staticmethod
    def answers(port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            try:
                s.sendto(b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x01", ("127.0.0.1", port))
                return len(s.recv(512)) > 12
            except OSError:
                return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait()


def unpacked(package, program):
    """A Debian package unpacked under build/peers, never installed: no service starts, no user is made. Its folder;
    None when it could not be fetched."""
    top = PEERS / package
    if not (top / program).exists():
        PEERS.mkdir(parents=True, exist_ok=True)
        for old in PEERS.glob(f"{package}_*.deb"):
            old.unlink()
        debs = []
        for first in ([], ["apt-get", "update"]):  # the package lists may be missing or old
            if first:
                subprocess.run(first, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            subprocess.run(["apt-get", "download", package], cwd=PEERS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            debs = list(PEERS.glob(f"{package}_*.deb"))
            if debs:
                break
        if not debs or subprocess.run(["dpkg", "-x", str(debs[0]), str(top)]).returncode:
            return None
    return top


def debian_postfix():
    return unpacked("postfix", "usr/sbin/smtp-source")


def debian_nsd():
    """The name server's program: the system's, or Debian's unpacked; None when there is neither."""
    installed = shutil.which("nsd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if installed:
        return installed
    top = unpacked("nsd", "usr/sbin/nsd")
    return top and str(top / "usr/sbin/nsd")


def debian_memcached():
    top = unpacked("memcached", "usr/bin/memcached")
    return top and str(top / "usr/bin/memcached")


def debian_slapd():
    """The folder of Debian's LDAP server, with the libraries that only it needs."""
    parts = [unpacked("slapd", "usr/sbin/slapd"), unpacked("libltdl7", "usr/lib"), unpacked("libwrap0", "usr/lib")]
    if None in parts:
        return None
    for part in parts[1:]:
        for lib in part.glob("usr/lib/*/*.so*"):
            (parts[0] / lib.relative_to(part)).unlink(missing_ok=True)
            shutil.copy2(lib, parts[0] / lib.relative_to(part))
    return parts[0]


def debian_mariadb():
    """The folder of Debian's MariaDB server."""
    return unpacked("mariadb-server-core", "usr/sbin/mariadbd")


def debian_postgres():
    """The folder with the programs of Debian's PostgreSQL server."""
    release = next((line.split()[-1] for line in depends("postgresql") if line.split()[-1].startswith("postgresql-")), "postgresql-15")
    top = unpacked(release, "usr/lib/postgresql")
    return top and next(top.glob("usr/lib/postgresql/*/bin"))


def nodemailer():
    """The folder of Node's mail client; None when npm could not fetch it."""
    top = PEERS / "nodemailer"
    if not (top / "node_modules/nodemailer/package.json").exists():
        if not shutil.which("npm"):
            return None
        top.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--prefix", str(top), "--no-audit", "--no-fund", "--ignore-scripts", "nodemailer"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    return top / "node_modules" if (top / "node_modules/nodemailer/package.json").exists() else None


def depends(package):
    return subprocess.run(["apt-cache", "depends", package], capture_output=True, text=True).stdout.splitlines()


def fetch_peers():
    """Before the tests start: they run without a network."""
    debian_postfix()
    debian_nsd()
    debian_memcached()
    debian_slapd()
    debian_mariadb()
    debian_postgres()
    nodemailer()


def peer_env():
    return dict(os.environ, LD_LIBRARY_PATH=str(PEERS / "postfix/usr/lib/postfix"))
