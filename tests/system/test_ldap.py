"""ldap: tables against a real slapd, which is killed and started again, and against servers that only look like one."""
import json, os, pathlib, re, socket, subprocess, sys, threading, time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness
import ldap_cases
from harness import BIN, IS_ROOT, free_port, wait_for


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
