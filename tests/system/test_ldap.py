"""ldap: tables against a real slapd, which is killed and started again, and against servers that only look like one."""
import json, os, pathlib, re, socket, subprocess, sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "compat"))
import harness
import ldap_cases, table_servers
from harness import BIN, IS_ROOT, free_port, wait_for
from table_peers import Asker, ask, relay


class Slapd:
    """Debian's slapd on loopback with the directory of ldap_cases. start() again after kill(): the same port and data."""

    def __init__(self, folder):
        self.dir, self.p = pathlib.Path(folder), None
        self.top = harness.debian_slapd()
        if self.top is None:
            pytest.skip("Debian's slapd package could not be fetched")
        self.slapd = self.top / "usr/sbin/slapd"
        self.env = dict(os.environ, LD_LIBRARY_PATH=str(self.top / "usr/lib/x86_64-linux-gnu"), LDAPNOINIT="1")
        (self.dir / "data").mkdir(parents=True)
        (self.dir / "mail.schema").write_text(ldap_cases.SCHEMA)
        self.certificate("server")
        tls = f"TLSCertificateFile {self.dir}/server.pem\nTLSCertificateKeyFile {self.dir}/server.key\nTLSCACertificateFile {self.dir}/server.pem"
        (self.dir / "slapd.conf").write_text(ldap_cases.SLAPD_CONF.format(dir=self.dir, schema=self.top / "etc/ldap/schema", modules=self.top / "usr/lib/ldap", tls=tls))
        (self.dir / "all.ldif").write_text(ldap_cases.LDIF)
        r = subprocess.run([str(self.slapd), "-T", "add", "-f", "slapd.conf", "-l", "all.ldif"], cwd=self.dir, env=self.env, capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
        self.port, self.tls_port = free_port(), free_port()
        self.socket = f"{self.dir}/ldapi".replace("/", "%2F")
        self.certificate("other")
        self.ports = {"port": self.port, "tls_port": self.tls_port, "socket": self.socket, "closed": free_port(),
                      "ca": self.dir / "server.pem", "other_ca": self.dir / "other.pem"}

    def certificate(self, name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], cwd=self.dir, check=True, capture_output=True)

    def start(self):
        self.p = subprocess.Popen([str(self.slapd), "-d", "0", "-f", "slapd.conf", "-h", f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.tls_port} ldapi://{self.socket}"],
                                  cwd=self.dir, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("slapd listens", self.is_up)
        return self

    def is_up(self):
        assert self.p.poll() is None, "slapd ended"
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        if self.p is not None:
            self.p.kill()
            self.p.wait()
            self.p = None

    __enter__ = start

    def __exit__(self, *_):
        self.kill()


RECORDED = json.loads(ldap_cases.RECORDED.read_text())


@pytest.fixture(scope="module")
def slapd(tmp_path_factory):
    """One server for all tests that leave it alone."""
    with Slapd(tmp_path_factory.mktemp("slapd")) as s:
        yield s


def configure(folder, ports):
    (folder / "main.cf").write_text(ldap_cases.MAIN_CF.format(user="root" if IS_ROOT else os.environ.get("USER", "nobody")))
    ldap_cases.write(folder, ports)
    return folder


@pytest.fixture
def place(tmp_path, slapd):
    return configure(tmp_path, slapd.ports)


def alike(answer):
    """Behind `query error` Postfix has the errno of something that happened before; ours says what the trouble is. What it calls an
    error is a warning here."""
    status, out, errors = answer
    return [status, out, re.sub(r"(query error): .*", r"\1", errors).replace("postmap: error: ", "postmap: warning: ")]


# What we say where Postfix says something else: (table, key) -> (status, output, in the errors).
DIFFERENT = {
    ("empty_filter", "anna@a.test"): (1, "", "query_filter is empty"),  # Postfix has the server refuse it
    ("octets", "blob@a.test"): (1, "", "a value with a NUL"),  # Postfix gives what stands before the NUL
    ("negative", "anna@a.test"): (1, "", "negative.cf: invalid expansion_limit parameter value -1 < 0"),  # Postfix has the server refuse it
    ("unknown", "anna@a.test"): (0, "anna@host1.test\n", "unused parameter: frobnicate=yes"),  # Postfix says nothing
    ("tls_missing", "anna@a.test"): (1, "", "Unable to set TLS options"),  # Postfix: Unable to allocate new TLS context
}


@pytest.mark.parametrize("table", ldap_cases.TABLES)
def test_as_postfix(table, place, slapd):
    got = ldap_cases.play([str(BIN / "postmap")], place, slapd.ports, [table])[table]
    assert got.keys() == RECORDED[table].keys()
    for key, answer in RECORDED[table].items():
        status, out, words = DIFFERENT.get((table, key), (None, None, None))
        if status is None:
            assert alike(got[key]) == alike(answer), key
        else:
            assert got[key][:2] == [status, out] and words in got[key][2], got[key]


def test_recording_is_postfix(slapd, tmp_path):
    """The recording is what Postfix says, where there is one to ask."""
    if not ldap_cases.has_oracle() or not IS_ROOT:
        pytest.skip("no Postfix with ldap: unpacked here")
    tables = ["plain", "inject", "groups", "base", "size_11", "format"]
    got = ldap_cases.oracle(tmp_path, slapd.ports, tables)
    assert got == {t: RECORDED[t] for t in tables}


# ---- servers that go away
def settings(folder, name, *servers, more="timeout = 60\n"):
    hosts = " ".join(f"ldap://127.0.0.1:{s if isinstance(s, int) else s.port}" for s in servers)
    (folder / f"{name}.cf").write_text(f"server_host = {hosts}\nversion = 3\nsearch_base = dc=example,dc=test\n{more}")
    return f"ldap:{folder}/{name}.cf"


def test_a_server_that_is_killed(tmp_path):
    """The same process asks on when it is back; while it is away it is trouble, never `not found`."""
    seen = []
    with Slapd(tmp_path / "slapd") as s, relay(s.port, seen) as r:
        folder = configure(tmp_path, s.ports)
        spec = settings(folder, "t", r)
        one = Asker(folder, spec)
        one.ask("anna@a.test", seen)
        one.ask("nobody@a.test", seen)
        assert r.connections == 1  # it is kept
        s.kill()
        s.start()
        one.ask("carl@b.test", seen)
        assert r.connections == 2
        s.kill()
        status, out, err = one.end("anna@a.test")
        assert status == 1 and f"fatal: table {spec}: query error: dict_ldap_" in err, err
        assert out == "anna@a.test\tanna@host1.test\ncarl@b.test\tcarl\n"
        status, out, err = ask(folder, spec, "nobody@a.test")
        assert status == 1 and "query error" in err, err
        s.start()
        assert ask(folder, spec, "nobody@a.test") == (1, "", "")
        assert ask(folder, spec, "anna@a.test") == (0, "anna@host1.test\n", "")


@pytest.mark.parametrize("line, version", [("", 3), ("version = 3", 3), ("version = 2", 2)])
def test_the_version_that_is_spoken(place, slapd, line, version):
    """3 when the table names none, as Postfix does whatever its older pages say: today's servers refuse a bind of version 2."""
    seen = []
    with relay(slapd.port, seen) as r:
        (place / "v.cf").write_text(f"server_host = ldap://127.0.0.1:{r.port}\nsearch_base = dc=example,dc=test\nbind = yes\n{line}\n")
        ask(place, f"ldap:{place}/v.cf", "anna@a.test")
        bind = b"".join(seen)
        assert bind[5] == 0x60 and bind[7:10] == bytes([2, 1, version]), bind.hex()


def test_the_other_server(place, slapd):
    """The first one dies between two questions of one process; the second answers. Then the first is back for others."""
    seen, seen2 = [], []
    with relay(slapd.port, seen) as first, relay(slapd.port, seen2) as second:
        spec = settings(place, "t", first, second)
        one = Asker(place, spec)
        one.ask("anna@a.test", seen)
        assert (first.connections, second.connections) == (1, 0)
        first.stop()
        one.ask("carl@b.test", seen2)
        assert one.end("nobody@a.test") == (0, "anna@a.test\tanna@host1.test\ncarl@b.test\tcarl\n", "")
        first.start()
        n = second.connections
        assert ask(place, spec, "anna@a.test") == (0, "anna@host1.test\n", "")
        assert second.connections == n


# ---- servers that only look like one
def tlv(tag, content):
    n = len(content)
    return bytes([tag]) + (bytes([n]) if n < 128 else b"\x84" + n.to_bytes(4, "big")) + content


def message(number, op):
    return tlv(0x30, tlv(2, bytes([number])) + op)


OK = tlv(10, b"\0") + tlv(4, b"") + tlv(4, b"")
BOUND, DONE, STARTED = tlv(0x61, OK), tlv(0x65, OK), tlv(0x78, OK)
ENTRY = tlv(0x64, tlv(4, b"cn=x") + tlv(0x30, tlv(0x30, tlv(4, b"maildrop") + tlv(0x31, tlv(4, b"x" * 60000)))))
FLOOD_MAX = 128 << 20


def number_of(request):
    assert request[:1] == b"\x30" and request[1] < 128, request
    return request[4]


def quiet(c):
    """Until the client goes away."""
    while c.recv(65536):
        pass


def flood(c, piece):
    sent = 0
    while sent < FLOOD_MAX:
        sent += c.send(piece)


def drip(c, data):
    c.settimeout(0.1)
    for b in data:
        c.sendall(bytes([b]))
        try:
            if c.recv(65536) == b"":
                return
        except TimeoutError:
            pass


def after_bind(then):
    def serve(c):
        c.sendall(message(number_of(c.recv(65536)), BOUND))
        then(c, number_of(c.recv(65536)))
    return serve


def after_start_tls(then):
    def serve(c):
        c.sendall(message(number_of(c.recv(65536)), STARTED))
        then(c)
    return serve


HOSTILE = {
    "closes": lambda c: None,
    "never answers": quiet,
    "speaks HTTP": lambda c: (c.recv(65536), c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), quiet(c)),
    "sends noise": lambda c: flood(c, bytes(range(256)) * 64),
    "sends zeros": lambda c: flood(c, bytes(65536)),
    "begins a huge message": lambda c: (c.recv(65536), c.sendall(b"\x30\x84\x7f\xff\xff\xff"), flood(c, b"x" * 65536)),
    "length of length": lambda c: (c.recv(65536), c.sendall(b"\x30\xff" + b"\xff" * 200), quiet(c)),
    "drips": lambda c: (c.recv(65536), drip(c, b"\x30\x84\0\0\xff\xff" + b"\x02" * 600)),
    "answers others": lambda c: flood(c, message(99, DONE) * 1000),
    "half a bind": lambda c: (c.recv(65536), c.sendall(message(1, BOUND)[:-3]), quiet(c)),
    "wrong bind": lambda c: (c.recv(65536), c.sendall(message(1, DONE)), quiet(c)),
    "never finds": after_bind(lambda c, n: quiet(c)),
    "closes when asked": after_bind(lambda c, n: None),
    "noise when asked": after_bind(lambda c, n: flood(c, b"\x30\x05\x02\x01" + bytes([n]) + b"\x64\x00")),
    "entries without end": after_bind(lambda c, n: flood(c, message(n, ENTRY))),
    "one entry without end": after_bind(lambda c, n: (c.sendall(b"\x30\x84\x00\xff\xff\xff\x02\x01" + bytes([n])), flood(c, b"x" * 65536))),
    "drips entries": after_bind(lambda c, n: drip(c, message(n, ENTRY)[:600])),
    "references without end": after_bind(lambda c, n: flood(c, message(n, tlv(0x73, tlv(4, b"ldap://127.0.0.1:9/"))) * 100)),
}
TLS_HOSTILE = {
    "no handshake": after_start_tls(quiet),
    "closes": after_start_tls(lambda c: None),
    "noise": after_start_tls(lambda c: flood(c, b"\x16\x03\x03\x00\x05hello")),
    "drips": after_start_tls(lambda c: drip(c, b"\x16\x03\x03\x3f\xff" + b"\x02" * 600)),
}
SHORT = "timeout = 2\n"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_server_that_means_harm(name, place):
    with table_servers.Server(serve=HOSTILE[name]) as s:
        status, out, err = ask(place, settings(place, "t", s, more=SHORT), "anna@a.test")
        assert (status, out) == (1, "") and "query error: dict_ldap_" in err and "Sanitizer" not in err, err


@pytest.mark.parametrize("name", HOSTILE)
def test_behind_a_server_that_means_harm(name, place, slapd):
    """The other one is asked, unless there is too much of an answer."""
    with table_servers.Server(serve=HOSTILE[name]) as s:
        status, out, err = ask(place, settings(place, "t", s, slapd, more=SHORT), "anna@a.test")
        if name == "entries without end":
            assert (status, out) == (1, "") and "the answer is too large" in err, err
        else:
            assert (status, out, err) == (0, "anna@host1.test\n", "")


@pytest.mark.parametrize("name", TLS_HOSTILE)
def test_a_server_that_does_not_turn_to_tls(name, place):
    with table_servers.Server(serve=TLS_HOSTILE[name]) as s:
        status, out, err = ask(place, settings(place, "t", s, more=SHORT + "start_tls = yes\n"), "anna@a.test")
        assert (status, out) == (1, "") and "dict_ldap_connect: Unable to set STARTTLS: " in err and "Sanitizer" not in err, err


LDAPS_HOSTILE = {
    "no handshake": quiet,
    "closes": lambda c: None,
    "noise": lambda c: flood(c, b"\x16\x03\x03\x00\x05hello"),
    "drips": lambda c: (c.recv(65536), drip(c, b"\x16\x03\x03\x3f\xff" + b"\x02" * 600)),
    "warns": lambda c: flood(c, b"\x15\x03\x03\x00\x02\x01\x5a"),
}


@pytest.mark.parametrize("name", LDAPS_HOSTILE)
def test_behind_a_server_without_tls(name, place, slapd):
    with table_servers.Server(serve=LDAPS_HOSTILE[name]) as s:
        hosts = f"server_host = ldaps://127.0.0.1:{s.port} ldaps://127.0.0.1:{slapd.tls_port}"
        (place / "t.cf").write_text(f"{hosts}\nversion = 3\nsearch_base = dc=example,dc=test\ntimeout = 2\ntls_require_cert = yes\ntls_ca_cert_file = {slapd.ports['ca']}\n")
        assert ask(place, f"ldap:{place}/t.cf", "anna@a.test") == (0, "anna@host1.test\n", "")


@pytest.mark.parametrize("how", ["sasl", "SASL"])
def test_sasl_is_refused(how, place, slapd):
    status, out, err = ask(place, settings(place, "t", slapd, more=f"bind = {how}\n"), "anna@a.test")
    assert (status, out) == (1, "") and "bind = sasl is not built" in err, err


@pytest.mark.smoke
def test_smtpd_asks_through_lookup(tmp_path, slapd_of_its_own):
    """With StartTLS, from the confined process; slapd is away in the middle of a session."""
    s = slapd_of_its_own
    tls = f"start_tls = yes\ntls_require_cert = yes\ntls_ca_cert_file = {s.ports['ca']}\n"
    spec = settings(tmp_path, "t", s, more=f"timeout = 60\nresult_attribute = mail\nquery_filter = (mail=%s)\n{tls}")
    with harness.Instance(tmp_path / "mta", f"virtual_mailbox_domains = a.test\nvirtual_mailbox_maps = {spec}\n") as mta, mta.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@example.test>", 250)
        c.expect("RCPT TO:<anna@a.test>", 250)
        c.expect("RCPT TO:<nobody@a.test>", 550)
        s.kill()
        c.expect("RCPT TO:<dora@a.test>", 451)
        s.start()
        c.expect("RCPT TO:<dora@a.test>", 250)
        c.expect("RCPT TO:<nobody@a.test>", 550)


@pytest.fixture
def slapd_of_its_own(tmp_path):
    if IS_ROOT:
        tmp_path.chmod(0o755)
    with Slapd(tmp_path / "slapd") as s:
        yield s
