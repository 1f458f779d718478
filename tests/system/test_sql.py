"""mysql:, pgsql: and sqlite: tables against real servers, which are killed and started again."""
import json, os, pathlib, pwd, re, signal, socket, subprocess, sys, threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "compat"))
import harness, sql_cases, table_servers
from harness import BIN, IS_ROOT, free_port, wait_for


class Server:
    """One of Debian's servers on loopback with the rows of sql_cases. start() again after kill(): the same port and data."""

    def __init__(self, folder):
        self.dir, self.p = pathlib.Path(folder), None
        self.data = self.dir / "data"
        self.data.mkdir(parents=True)
        self.port = free_port()
        self.place = {"port": self.port, "socket": self.socket(), "closed": free_port(), "dir": str(self.dir)}
        self.prepare()

    def socket(self):
        return ""

    def start(self):
        # A group of its own: what the server started must not outlive it.
        self.p = subprocess.Popen(self.command(), cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.dir / "log", "ab"), start_new_session=True)
        wait_for(f"{type(self).__name__} answers", self.is_up, 60)
        return self

    def is_up(self):
        assert self.p.poll() is None, (self.dir / "log").read_text()[-3000:]
        return self.hello()

    def kill(self):
        if self.p is not None:
            os.killpg(self.p.pid, signal.SIGKILL)
            self.p.wait()
            self.p = None

    __enter__ = start

    def __exit__(self, *_):
        self.kill()


def batch(command, text, folder):
    r = subprocess.run(command, input=text.encode(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert r.returncode == 0, r.stdout.decode(errors="replace")[-3000:]
    return r.stdout.decode(errors="replace")


class Mysql(Server):
    def socket(self):
        return str(self.dir / "s")

    def prepare(self):
        self.top = harness.debian_mariadb()
        if self.top is None:
            pytest.skip("Debian's mariadb-server-core package could not be fetched")
        share = self.top / "usr/share/mysql"
        system = [(share / f"{name}.sql").read_text() for name in ("mysql_system_tables", "mysql_performance_tables", "mysql_system_tables_data")]
        text = "\n".join(["CREATE DATABASE mysql;", "USE mysql;", "SET @auth_root_socket=NULL;", *system, *(s + ";" for s in sql_cases.MYSQL), ""])
        said = batch([*self.command(), "--bootstrap"], text, self.dir)
        assert "[ERROR]" not in said and "ERROR:" not in said, said[-3000:]

    def command(self):
        return [str(self.top / "usr/sbin/mariadbd"), "--no-defaults", f"--user={pwd.getpwuid(os.geteuid()).pw_name}", f"--datadir={self.data}", f"--port={self.port}",
                "--bind-address=127.0.0.1", f"--socket={self.dir}/s", f"--pid-file={self.dir}/pid", f"--lc-messages-dir={self.top}/usr/share/mysql",
                f"--character-sets-dir={self.top}/usr/share/mysql/charsets", f"--plugin-dir={self.dir}", "--character-set-server=utf8mb4", "--innodb-buffer-pool-size=8M",
                "--innodb-log-file-size=4M", "--innodb-use-native-aio=0", "--skip-name-resolve", "--tmpdir=" + str(self.dir), "--sql-mode="]

    def hello(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                return b"MariaDB" in s.recv(200)
        except OSError:
            return False


class Pgsql(Server):
    def socket(self):
        return str(self.dir)

    def prepare(self):
        self.bin = harness.debian_postgres()
        if self.bin is None:
            pytest.skip("Debian's postgresql package could not be fetched")
        # It does not run as root.
        self.drop = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if IS_ROOT else []
        if IS_ROOT:
            for p in (self.dir, self.data):
                os.chown(p, pwd.getpwnam("nobody").pw_uid, -1)
        (self.dir / "password").write_text("geheim")
        batch([*self.drop, str(self.bin / "initdb"), "-D", str(self.data), "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={self.dir}/password", "-E", "UTF8", "--locale=C", "-N"], "", self.dir)
        with open(self.data / "postgresql.conf", "a") as f:
            f.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{self.dir}'\nshared_buffers = 4MB\nmax_connections = 20\n")
        single = [*self.drop, str(self.bin / "postgres"), "--single", "-D", str(self.data)]
        for database, statements in (("postgres", ["CREATE DATABASE mail"]), ("mail", sql_cases.PGSQL)):
            said = batch([*single, "-j", database], "".join(s + ";\n\n" for s in statements), self.dir)
            assert "ERROR" not in said, said[-3000:]

    def command(self):
        return [*self.drop, str(self.bin / "postgres"), "-D", str(self.data)]

    def hello(self):
        """Whether it asks for the password, rather than to say that it is starting up."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                words = b"user\0reader\0database\0mail\0\0"
                s.sendall((len(words) + 8).to_bytes(4, "big") + (3 << 16).to_bytes(4, "big") + words)
                return s.recv(1) == b"R"
        except OSError:
            return False


class Sqlite(Server):
    """No server: files. To be away is to have another name."""

    def prepare(self):
        sql_cases.sqlite_file(self.dir / "mail.db")
        (self.dir / "not.db").write_text("This is text, and not the header of a database.\n" * 100)

    def start(self):
        if (self.dir / "away.db").exists():
            (self.dir / "away.db").rename(self.dir / "mail.db")
        return self

    def kill(self):
        (self.dir / "mail.db").rename(self.dir / "away.db")

    __enter__ = start

    def __exit__(self, *_):
        pass


SERVERS = {"mysql": Mysql, "pgsql": Pgsql, "sqlite": Sqlite}


@pytest.fixture(autouse=True)
def reachable(tmp_path):
    """The servers and the mail system have other users than the tests."""
    open_up(tmp_path)


def open_up(folder):
    for p in (folder, *folder.parents) if IS_ROOT else ():
        if str(p).startswith(("/tmp/pytest", "/tmp/hk")):
            p.chmod(0o755)


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    """One server for all tests that leave it alone."""
    folder = tmp_path_factory.mktemp(request.param)
    open_up(folder)
    with SERVERS[request.param](folder / "server") as s:
        s.kind = request.param
        yield s


RECORDED = json.loads(sql_cases.RECORDED.read_text())


def alike(answer):
    """Behind `query error` Postfix has the errno of something that happened before; ours says what the trouble is. Line breaks at the
    end of what a library says are not shown as `?`."""
    status, out, errors = answer
    return [status, out, re.sub(r"\?+$", "", re.sub(r"(query error): .*", r"\1", errors), flags=re.M)]


def test_as_postfix(server, tmp_path):
    """All tables and keys of sql_cases, each by a postmap of its own."""
    (tmp_path / "main.cf").write_text(sql_cases.MAIN_CF.format(user="root" if IS_ROOT else os.environ.get("USER", "nobody")))
    sql_cases.write(server.kind, tmp_path, server.place)
    got = sql_cases.play([str(BIN / "postmap")], server.kind, tmp_path, server.place)
    recorded, wrong = RECORDED[server.kind], []
    assert {t: list(got[t]) for t in got} == {t: list(recorded[t]) for t in recorded}
    for table in recorded:
        for key, answer in recorded[table].items():
            different = DIFFERENT.get((server.kind, table, key)) or DIFFERENT.get((server.kind, table))
            if table == "hosts":  # one of them is drawn
                ok = got[table][key][:2] == answer[:2]
            elif different is None:
                ok = alike(got[table][key]) == alike(answer)
            else:
                ok = got[table][key][:2] == list(different[:2]) and different[2] in got[table][key][2]
            if not ok:
                wrong.append(f"{table} {key!r}:\n  {got[table][key]}\n  Postfix: {answer}")
    assert not wrong, "\n".join(wrong)


# What we say where Postfix says something else: (type, table[, key]) -> (status, output, in the errors).
DIFFERENT = {
    **{(t, "utf8", k): (1, "", f"non-UTF-8 key \"{'?' * n}\"") for t in sql_cases.TYPES for k, n in (("\\xed\\xa0\\x80", 3), ("\\xf4\\x90\\x80\\x80", 4))},  # Postfix logs the octets
    **{(t, "nul", "\0"): (1, "", "") for t in sql_cases.TYPES},  # Postfix takes it for the empty key, and warns
    **{(t, "expansion_bad"): (1, "", "invalid expansion_limit parameter value -1 < 0") for t in sql_cases.TYPES},  # Postfix: no limit
    **{(t, "unknown"): (0, "anna@host1.test\n", "unused parameter: frobnicate=yes") for t in sql_cases.TYPES},  # Postfix says nothing
    ("pgsql", "utf8", "日本@a.test"): (0, "日本\n", ""),  # the connection's encoding is UTF8 since 3.8
    ("pgsql", "utf8", "😀@a.test"): (0, "😀\n", ""),
    ("pgsql", "comment"): (1, "", "pgsql query failed: fatal error from host 127.0.0.1:PORT: no statement"),  # Postfix: unknown code 0x0
    # Trouble of a look-up is the look-up's. Postfix ends the process, and makes files that are missing.
    ("sqlite", "no_table"): (1, "", "query error: dict_sqlite_lookup: DIR/no_table.cf: SQL prepare failed: no such table: nosuch"),
    ("sqlite", "broken"): (1, "", 'query error: dict_sqlite_lookup: DIR/broken.cf: SQL prepare failed: near "SELEC": syntax error'),
    ("sqlite", "not_db"): (1, "", "query error: dict_sqlite_lookup: DIR/not_db.cf: SQL prepare failed: file is not a database"),
    ("sqlite", "no_file"): (1, "", "query error: open database DIR/nosuch.db: No such file or directory"),
    ("sqlite", "comment"): (1, "", "query error: dict_sqlite_lookup: DIR/comment.cf: SQL step failed: no statement"),  # Postfix: not an error
    ("sqlite", "update"): (1, "", "SQL step failed: attempt to write a readonly database"),  # Postfix writes
    ("sqlite", "double", "anna@a.test"): (0, "anna@host1.test\n", "quote with 'single quotes'"),
    ("sqlite", "double", "o'hara@a.test"): (1, "", "quote with 'single quotes'"),
    ("sqlite", "double", 'x"y'): (1, "", 'key "x"y" cannot be quoted'),
    ("sqlite", "double", '" OR 1=1 OR "x"="'): (1, "", "cannot be quoted"),  # Postfix gives all rows
}
