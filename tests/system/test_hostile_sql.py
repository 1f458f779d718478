"""What a database server that was taken over can get out of us, and what the log tells about tables."""
import socket, sqlite3, ssl, struct, subprocess, threading

import pytest

from harness import BIN

MODULES = BIN.parent / "lib" / "hikyaku"


def needs(name):
    return pytest.mark.skipif(not (MODULES / f"map_{name}.so").exists(), reason=f"built without {name}")


def postmap(tmp_path, *args, status):
    etc = tmp_path / "etc"
    if not etc.exists():
        etc.mkdir()
        (etc / "main.cf").write_text("compatibility_level = 3.6\n")
    r = subprocess.run([BIN / "postmap", "-c", etc, *args], capture_output=True, text=True, timeout=120)
    assert r.returncode == status, r.stdout[:1000] + r.stderr[:1000]
    return r


# ---- a MySQL server of few words
class Mysql:
    """Lets everybody in, and then does what `play` says with each query."""

    def __init__(self, folder, play):
        self.path, self.play, self.heard = folder / "mysql.sock", play, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(10)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                self.serve(self.listener.accept()[0])
            except (OSError, EOFError, struct.error):
                pass

    def serve(self, conn):
        self.file = conn.makefile("rwb")
        caps = 1 | 8 | 0x80 | 0x200 | 0x2000 | 0x8000 | 0x20000 | 0x80000
        self.put(0, b"\x0a8.0.0\0" + struct.pack("<I", 1) + b"a" * 8 + b"\0" + struct.pack("<HBHH", caps & 0xffff, 33, 2, caps >> 16)
                 + b"\x15" + b"\0" * 10 + b"b" * 12 + b"\0mysql_native_password\0")
        self.get()
        self.put(2, b"\0\0\0\2\0\0\0")
        while True:
            command = self.get()
            if command[:1] == b"\x03":
                self.play(self)
            else:
                self.put(1, b"\0\0\0\2\0\0\0")

    def put(self, number, payload):
        self.file.write(struct.pack("<I", len(payload))[:3] + bytes([number % 256]) + payload)
        self.file.flush()

    def get(self):
        head = self.file.read(4)
        if len(head) < 4:
            raise EOFError
        return self.file.read(int.from_bytes(head[:3], "little"))

    def table(self):
        cf = self.path.parent / "my.cf"
        cf.write_text(f"hosts = unix:{self.path}\ndbname = x\nuser = u\npassword = hush\nquery = SELECT x FROM y WHERE z = '%s'\n")
        return f"mysql:{cf}"

    def rows(self, row):
        """A result that does not end."""
        self.put(1, b"\1")
        self.put(2, b"\3def" + b"\0" * 3 + b"\1x\0" + b"\x0c" + struct.pack("<HIBHB", 33, 1000, 253, 0, 0) + b"\0\0")
        self.put(3, b"\xfe\0\0\2\0")
        number, block = 4, []
        while True:
            for _ in range(256):
                block.append(struct.pack("<I", len(row))[:3] + bytes([number % 256]) + row)
                number += 1
            self.file.write(b"".join(block))
            self.file.flush()
            block = []


@needs("mysql")
def test_mysql_server_asks_for_our_files(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("not for the server\n")

    def play(server):
        server.put(1, b"\xfb" + str(secret).encode())
        server.heard.append(server.get())
        server.put(4, b"\xff\x28\x04#HY000no")

    server = Mysql(tmp_path, play)
    postmap(tmp_path, "-q", "joe", server.table(), status=1)
    assert server.heard == [b""]


@needs("mysql")
@pytest.mark.parametrize("row", [b"\xfb", b"\0", b"\xfc\xe8\3" + b"x" * 1000], ids=["null", "empty", "text"])
def test_mysql_answer_without_end(tmp_path, row):
    r = postmap(tmp_path, "-q", "joe", Mysql(tmp_path, lambda s: s.rows(row)).table(), status=1)
    assert "query error" in r.stderr and len(r.stderr) < 10000


@needs("sqlite")
@pytest.mark.parametrize("query, says", [("SELECT v FROM large", "too big"), ("ATTACH 'other.db' AS o", "too many attached")])
def test_sqlite_file_of_somebody_else(tmp_path, query, says):
    db = sqlite3.connect(tmp_path / "t.db")
    db.execute("CREATE VIEW large(v) AS SELECT zeroblob(90000000)")
    db.close()
    cf = tmp_path / "t.cf"
    cf.write_text(f"dbpath = {tmp_path}/t.db\nquery = {query}\n")
    assert says in postmap(tmp_path, "-q", "joe", f"sqlite:{cf}", status=1).stderr


# ---- words
@pytest.mark.parametrize("name, password", [("mysql", "password"), ("pgsql", "password"), ("ldap", "bind_pw")])
def test_passwords_in_warnings(tmp_path, name, password):
    if not (MODULES / f"map_{name}.so").exists():
        pytest.skip(f"built without {name}")
    cf = tmp_path / "t.cf"
    cf.write_text(f"{password} = hush1\n{password} = hush2\n{password}_of_old = hush3\npasswrod = hush4\nunused = shown\ntimeout = x\n"
                  "dbname = d\nquery = q\nsearch_base = b\nhosts = unix:/nonexistent\nserver_host = ldapi://%2fnonexistent\n")
    r = postmap(tmp_path, "-q", "joe", f"{name}:{cf}", status=1)
    assert "hush" not in r.stderr
    assert f"overriding earlier entry: {password}=" in r.stderr and "unused parameter: " in r.stderr


@needs("pgsql")
def test_password_of_a_server_that_is_away(tmp_path):
    cf = tmp_path / "t.cf"
    cf.write_text("hosts = postgresql://joe:hush@127.0.0.1:1/db?password=hush2, postgresql://127.0.0.1:1/db?password=hush3 password=hush4\n"
                  "query = SELECT 1\n")
    r = postmap(tmp_path, "-q", "joe", f"pgsql:{cf}", status=1)
    assert "connect to pgsql server postgresql://" in r.stderr and "hush" not in r.stderr


class Login:
    """A MySQL server that can TLS, or not, and notes whether a client logs in."""

    def __init__(self, certificate=None):
        self.certificate, self.logins, self.ended = certificate, [], threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        conn = self.listener.accept()[0]
        try:
            caps = 1 | 8 | 0x80 | 0x200 | 0x2000 | 0x8000 | 0x20000 | 0x80000 | (0x800 if self.certificate else 0)
            hello = (b"\x0a8.0.0\0" + struct.pack("<I", 1) + b"a" * 8 + b"\0" + struct.pack("<HBHH", caps & 0xffff, 33, 2, caps >> 16)
                     + b"\x15" + b"\0" * 10 + b"b" * 12 + b"\0mysql_native_password\0")
            conn.sendall(struct.pack("<I", len(hello))[:3] + b"\0" + hello)
            said = conn.recv(36 if self.certificate else 4096)
            if self.certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.certificate)
                conn = context.wrap_socket(conn, server_side=True)
                said = conn.recv(4096)
            if b"u\0" in said[4:]:
                self.logins.append(said)
        except OSError:
            pass
        finally:
            conn.close()
            self.ended.set()


def certificate(folder, name, address):
    """Its own authority, good for one address."""
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}"], check=True, capture_output=True)
    return cert, key


@needs("mysql")
@pytest.mark.parametrize("who, logs_in", [("the right one", True), ("of another authority", False), ("for another address", False), ("without TLS", False)])
def test_mysql_password_goes_to_a_server_that_was_not_verified(tmp_path, who, logs_in):
    right = certificate(tmp_path, "right", "127.0.0.1")
    shown = {"the right one": right, "of another authority": certificate(tmp_path, "other", "127.0.0.1"),
             "for another address": certificate(tmp_path, "elsewhere", "192.0.2.1"), "without TLS": None}[who]
    trusted = shown if who == "for another address" else right
    server = Login(shown)
    (tmp_path / "my.cf").write_text(f"hosts = inet:127.0.0.1:{server.listener.getsockname()[1]}\ndbname = x\nuser = u\npassword = hush\n"
                                    f"query = SELECT 1\ntls_CAfile = {trusted[0]}\ntls_verify_cert = yes\n")
    postmap(tmp_path, "-q", "joe", f"mysql:{tmp_path}/my.cf", status=1)
    assert server.ended.wait(120)
    assert bool(server.logins) == logs_in
