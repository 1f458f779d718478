"""socketmap:, tcp: and memcache: tables: servers that are killed and started again in mid-use, servers that mean harm, and a real memcached."""
import os, pathlib, socket, subprocess, sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "compat"))
import harness, table_servers
from harness import BIN, PATIENCE, free_port, wait_for

FLOOD_MAX = 32 << 20  # what fits into the sockets' buffers between the two, and more


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/main.cf").write_text("compatibility_level = 3.6\nmyhostname = mail.example.test\nalias_maps =\nalias_database =\n")
    return tmp_path / "etc"


def postmap(conf, *args, input=None):
    return subprocess.run([str(BIN / "postmap"), "-c", str(conf), *args], input=input, capture_output=True, text=True, timeout=2 * PATIENCE)


def table(kind, s, conf, more=""):
    """The table that asks the server."""
    if kind == "memcache":
        more += "" if "timeout" in more else "timeout = 60\n"
        (conf / "m.cf").write_text(f"memcache = {f'unix:{s.path}' if s.path else f'inet:127.0.0.1:{s.port}'}\nretry_pause = 1\n{more}")
        return f"memcache:{conf}/m.cf"
    return {"socketmap": f"socketmap:unix:{s.path}:n" if s.path else f"socketmap:inet:127.0.0.1:{s.port}:n", "tcp": f"tcp:127.0.0.1:{s.port}"}[kind]


ANSWERS = {"socketmap": table_servers.socketmap, "tcp": table_servers.tcp, "memcache": table_servers.memcache}
KINDS = [("socketmap", False), ("socketmap", True), ("tcp", False), ("memcache", False), ("memcache", True)]


@pytest.mark.parametrize("kind,is_unix", KINDS, ids=[f"{k}-{'unix' if u else 'inet'}" for k, u in KINDS])
def test_a_server_that_is_restarted(kind, is_unix, conf):
    """One process asks before and after; while the server is away it is trouble, never `not found`."""
    with table_servers.Server(ANSWERS[kind], path=str(conf / "s") if is_unix else None) as s:
        t = table(kind, s, conf, "max_try = 1\n")
        p = subprocess.Popen([str(BIN / "postmap"), "-c", str(conf), "-q", "-", t], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def ask(key):
            n = s.answered
            p.stdin.write(key + "\n")
            p.stdin.flush()
            wait_for(f"the server has answered {key}", lambda: s.answered > n)

        ask("ok")
        ask("none")
        assert s.connections == 1  # the connection is kept
        s.stop()
        s.start()
        ask("two")
        assert s.connections == 2
        s.stop()
        out, err = p.communicate("ok\n", timeout=2 * PATIENCE)
        assert p.returncode == 1 and f"fatal: table {t}: query error" in err, err
        assert "ok\tvalue\ntwo\ttwo " in out
        assert postmap(conf, "-q", "none", t).stderr != ""  # away: trouble
        s.start()
        r = postmap(conf, "-q", "none", t)
        assert (r.returncode, r.stdout, r.stderr) == (1, "", "")
        assert postmap(conf, "-q", "ok", t).stdout == "value\n"


class Flood:
    """Sends `piece` over and over until nobody listens."""

    def __init__(self, first, piece):
        self.first, self.piece, self.sent, self.is_over = first, piece, 0, False

    def __call__(self, c):
        c.recv(1000)
        try:
            c.sendall(self.first)
            while self.sent < FLOOD_MAX:
                self.sent += c.send(self.piece)
        except OSError:
            self.is_over = True


FLOODS = [
    ("socketmap", b"", b"9" * 4096, "input exceeds size limit"), ("socketmap", b"", b"0" * 4096, "input format error"), ("socketmap", b"99999999:", b"x" * 4096, "input exceeds size limit"),
    ("socketmap", b"10:OK ", b"x" * 4096, "input format error"), ("tcp", b"", b"2" * 4096, "text longer than 4096"), ("tcp", b"200 ", b"%41" * 4096, "text longer than 4096"),
    ("memcache", b"", b"V" * 4096, "I/O error"), ("memcache", b"VALUE k 0 99999999\r\n", b"x" * 4096, "unexpected memcache server reply: VALUE k 0 99999999"),
    ("memcache", b"VALUE k 0 5\r\n", b"x" * 4096, "unexpected memcache server reply"), ("memcache", b"VALUE k 0 5\r\nvalue\r\n", b"E" * 4096, "I/O error"),
    ("memcache", b"", b"VALUE " * 4096, "I/O error"),
]


@pytest.mark.parametrize("kind,first,piece,why", FLOODS, ids=[f"{f[0]}-{i}" for i, f in enumerate(FLOODS)])
def test_a_server_that_never_ends(kind, first, piece, why, conf):
    flood = Flood(first, piece)
    with table_servers.Server(serve=flood) as s:
        r = postmap(conf, "-q", "k", table(kind, s, conf, "max_try = 1\n"))
        assert r.returncode == 1 and r.stdout == "" and why in r.stderr, r.stderr
        wait_for("the connection is closed", lambda: flood.is_over)


@pytest.mark.parametrize("first", [b"", b"VALUE k 0 9999\r\n"], ids=["line", "data"])
def test_a_server_that_drips(first, conf):
    """A byte now and then gains nothing: the timeout is for the whole answer."""
    gone = []

    def drip(c):
        c.recv(1000)
        c.settimeout(0.1)
        try:
            c.sendall(first)
            for _ in range(600):  # a minute, then it is the client that does not end
                c.sendall(b"x")
                try:
                    if c.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
        finally:
            gone.append(True)

    with table_servers.Server(serve=drip) as s:
        r = postmap(conf, "-q", "k", table("memcache", s, conf, "timeout = 1\nmax_try = 1\ndata_size_limit = 10000\nline_size_limit = 10000\n"))
        assert r.returncode == 1 and "I/O error: Connection timed out" in r.stderr, r.stderr
        wait_for("the connection is closed", lambda: gone)


def test_what_nobody_asked_for_is_no_answer(conf):
    """Two replies to one request: the second one is not taken for the next key's."""
    def two(f, seen):
        r = table_servers.line_request(f)
        seen.append(r)
        return r is not None, b"500 no\n200 forged\n" if r == b"get first" else b"200 honest\n"

    with table_servers.Server(two) as s:
        r = postmap(conf, "-q", "-", table("tcp", s, conf), input="first\nsecond\n")
        assert (r.returncode, r.stdout) == (0, "second\thonest\n"), r.stderr
        assert s.connections == 2


class Memcached:
    def __init__(self, path=None):
        self.program, self.path, self.port, self.p = harness.debian_memcached(), path, free_port(), None
        if self.program is None:
            pytest.skip("Debian's memcached package could not be fetched")

    def start(self):
        where = ["-s", str(self.path)] if self.path else ["-l", "127.0.0.1", "-p", str(self.port), "-U", "0"]
        self.p = subprocess.Popen([self.program, "-u", "root", "-m", "8", "-t", "1", *where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("memcached answers", self.is_up)
        return self

    def is_up(self):
        assert self.p.poll() is None, "memcached ended"
        try:
            return self.say(b"version\r\n").startswith(b"VERSION")
        except OSError:
            return False

    def say(self, text):
        with socket.socket(socket.AF_UNIX if self.path else socket.AF_INET) as s:
            s.settimeout(PATIENCE)
            s.connect(str(self.path) if self.path else ("127.0.0.1", self.port))
            s.sendall(text)
            return s.recv(10000)

    def kill(self):
        if self.p:
            self.p.kill()
            self.p.wait()
            self.p = None

    __enter__ = start

    def __exit__(self, *_):
        self.kill()


@pytest.mark.parametrize("is_unix", [False, True], ids=["inet", "unix"])
def test_memcached(is_unix, conf):
    with Memcached(conf / "sock" if is_unix else None) as m:
        t = table("memcache", m, conf, "max_try = 1\nflags = 5\nttl = 600\nkey_format = p:%s\n")
        assert postmap(conf, "-q", "a@b.test", t).returncode == 1
        r = postmap(conf, "-i", t, input="a@b.test  some words\nUPPER value\n")
        assert r.returncode == 0, r.stderr
        assert m.say(b"get p:a@b.test\r\n") == b"VALUE p:a@b.test 5 10\r\nsome words\r\nEND\r\n"
        assert postmap(conf, "-q", "A@B.TEST", t).stdout == "some words\n"
        assert postmap(conf, "-q", "-", t, input="a@b.test\nnone\nupper\n").stdout == "a@b.test\tsome words\nupper\tvalue\n"
        assert postmap(conf, "-d", "a@b.test", t).returncode == 0
        assert postmap(conf, "-d", "a@b.test", t).returncode == 1
        r = postmap(conf, "-q", "a@b.test", t)
        assert (r.returncode, r.stdout, r.stderr) == (1, "", "")
        assert m.say(b"set p:large 0 0 10241\r\n" + b"x" * 10241 + b"\r\n") == b"STORED\r\n"
        assert "unexpected memcache server reply: VALUE p:large 0 10241" in postmap(conf, "-q", "large", t).stderr
        assert "unexpected memcache server reply: CLIENT_ERROR" in postmap(conf, "-q", "x" * 300, t).stderr  # memcached's own limit
        assert postmap(conf, "-q", "a\r\nset p:evil 0 0 1\r\nx", t).returncode == 1
        assert m.say(b"get p:evil\r\n") == b"END\r\n", "the key was another request"
        m.kill()
        r = postmap(conf, "-q", "upper", t)
        assert r.returncode == 1 and "query error" in r.stderr, r.stderr  # not: not found
        m.start()
        r = postmap(conf, "-q", "upper", t)
        assert (r.returncode, r.stderr) == (1, "")  # memcached forgot it


def test_memcached_before_another_table(conf):
    with Memcached() as m:
        t = table("memcache", m, conf, "max_try = 1\nbackup = inline:{a=kept,b=other}\n")
        assert postmap(conf, "-q", "a", t).stdout == "kept\n"
        assert m.say(b"get a\r\n") == b"VALUE a 0 4\r\nkept\r\nEND\r\n"  # for the next time
        assert m.say(b"set a 0 0 3\r\nnew\r\n") == b"STORED\r\n"
        assert postmap(conf, "-q", "a", t).stdout == "new\n"
        assert postmap(conf, "-s", t).stdout.splitlines() == ["a\tkept", "b\tother"]
        m.kill()
        r = postmap(conf, "-q", "b", t)
        assert (r.returncode, r.stdout) == (0, "other\n") and "Connection refused" in r.stderr, r.stderr
        assert postmap(conf, "-q", "none", t).returncode == 1
        (conf / "m.cf").write_text((conf / "m.cf").read_text().replace("inline:{a=kept,b=other}", "fail:x"))
        r = postmap(conf, "-q", "b", t)
        assert r.returncode == 1 and "query error" in r.stderr


@pytest.mark.smoke
@pytest.mark.parametrize("kind,is_unix", KINDS[:3], ids=[f"{k}-{'unix' if u else 'inet'}" for k, u in KINDS[:3]])
def test_a_server_decides_about_recipients(kind, is_unix, tmp_path):
    """The server's answers reach clients; while it is away they are told to come back, and afterwards all is as before."""
    said = {"socketmap": (lambda key: table_servers.netstring(b"OK box/" if b"good@" in key else b"NOTFOUND ")),
            "tcp": (lambda key: b"200 box/\n" if b"good@" in key else b"500 no\n")}[kind]
    request = {"socketmap": table_servers.socketmap_request, "tcp": table_servers.line_request}[kind]

    def answer(f, seen):
        r = request(f)
        seen.append(r)
        return r is not None, said(r) if r else None

    def reply(m, rcpt):
        with m.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            return c.cmd(f"RCPT TO:<{rcpt}>")

    with table_servers.Server(answer, path=f"{tmp_path}/s" if is_unix else None) as s:
        if is_unix:
            os.chmod(s.path, 0o777)
        where = table(kind, s, None).replace("127.0.0.1", "localhost")  # names are resolved in the confined process
        with harness.Instance(tmp_path, f"virtual_mailbox_maps = {where}\n") as m:
            assert reply(m, "good@mbox.test").startswith("250")
            assert reply(m, "bad@mbox.test").startswith("550 5.1.1")
            assert any(r and b"bad@mbox.test" in r for r in s.seen)
            s.stop()
            assert reply(m, "bad@mbox.test").startswith("451 4.3.0")
            assert reply(m, "good@mbox.test").startswith("451 4.3.0")
            m.wait_log(r"lookup.*warning: .*Connection refused")
            s.start()
            if is_unix:
                os.chmod(s.path, 0o777)
            wait_for("the table is asked again", lambda: reply(m, "good@mbox.test").startswith("250"))
            assert reply(m, "bad@mbox.test").startswith("550 5.1.1")
