"""mysql:, pgsql: and sqlite: tables against real servers, which are killed and started again."""
import json, os, pathlib, pwd, re, signal, socket, subprocess, sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness, sql_cases
from harness import BIN, IS_ROOT, free_port, wait_for
from table_peers import Asker, ask, relay


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
        wait_for(f"{type(self).__name__} answers", self.is_up, 4 * harness.PATIENCE)
        return self

    def is_up(self):
        assert self.p.poll() is None, (self.dir / "log").read_text()[-3000:]
        return self.hello()

    def kill(self):
        if self.p is not None:
            below = subprocess.run(["pgrep", "-P", str(self.p.pid)], stdout=subprocess.PIPE, text=True).stdout.split()
            os.killpg(self.p.pid, signal.SIGKILL)
            for pid in below:  # PostgreSQL's are sessions of their own, and would answer on for a moment
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
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


def test_recording_is_postfix(server, tmp_path):
    """The recording is what Postfix says, where there is one to ask."""
    if not sql_cases.has_oracle() or not IS_ROOT:
        pytest.skip("no Postfix with its SQL tables unpacked here")
    names = ["plain", "local", "legacy", "columns", "expansion_3"]
    got = sql_cases.oracle(server.kind, tmp_path, server.place, names)
    assert {t: {k: alike(v) for k, v in got[t].items()} for t in got} == {t: {k: alike(v) for k, v in RECORDED[server.kind][t].items()} for t in names}


# ---- servers that go away
SELECT = "query = SELECT v FROM m WHERE k = '%s' AND k <> '@a.test' ORDER BY id\n"  # nobody for unknown ones


def settings(folder, server, *ports, more="retry_interval = 1\n"):
    """Of a table that asks these ports, the server's own when there is none."""
    common = sql_cases.COMMON[server.kind].replace("127.0.0.1:{port}", " ".join(f"127.0.0.1:{p}" for p in ports or [server.port])).format(**server.place)
    (folder / "t.cf").write_text(common + SELECT + (more if server.kind != "sqlite" else ""))
    return f"{server.kind}:{folder}/t.cf"


def configure(folder):
    (folder / "main.cf").write_text(sql_cases.MAIN_CF.format(user="root" if IS_ROOT else os.environ.get("USER", "nobody")))


@pytest.fixture(params=SERVERS)
def mortal(request, tmp_path):
    with SERVERS[request.param](tmp_path / "server") as s:
        s.kind = request.param
        configure(tmp_path)
        yield s


def test_a_server_that_is_killed(mortal, tmp_path):
    """The same process asks on when it is back; while it is away it is trouble, never `not found`."""
    if mortal.kind == "sqlite":
        pytest.skip("no server")
    seen = []
    with relay(mortal.port, seen) as r:
        spec = settings(tmp_path, mortal, r.port)
        one = Asker(tmp_path, spec)
        one.ask("anna@a.test", seen)
        one.ask("nobody@a.test", seen)
        assert r.connections == 1  # it is kept
        mortal.kill()
        mortal.start()
        one.ask("carl@b.test", seen)
        assert r.connections == 2
        mortal.kill()
        status, out, err = one.end("anna@a.test")
        assert status == 1 and re.search(rf"fatal: table {spec}: query error: \w", err), err
        assert out == "anna@a.test\tanna@host1.test\ncarl@b.test\tcarl\n"
        status, out, err = ask(tmp_path, spec, "nobody@a.test")
        assert (status, out) == (1, "") and "query error: " in err, err
        mortal.start()
        assert ask(tmp_path, spec, "nobody@a.test") == (1, "", "")
        assert ask(tmp_path, spec, "anna@a.test") == (0, "anna@host1.test\n", "")


def test_the_other_server(server, tmp_path):
    """Killed between two questions of one process, whichever it was: the other one answers, without a word of trouble for the client."""
    if server.kind == "sqlite":
        pytest.skip("no server")
    configure(tmp_path)
    seen, seen2 = [], []
    with relay(server.port, seen) as first, relay(server.port, seen2) as second:
        spec = settings(tmp_path, server, first.port, second.port, more="")
        one = Asker(tmp_path, spec)
        both = first, second
        one.p.stdin.write("anna@a.test\n")
        one.p.stdin.flush()
        wait_for("a question", lambda: any(b"anna@a.test" in d for d in seen + seen2))
        used, other, log = (*both, seen2) if any(b"anna@a.test" in d for d in seen) else (*reversed(both), seen)
        assert (used.connections, other.connections) == (1, 0)
        used.stop()
        one.ask("carl@b.test", log)
        status, out, err = one.end("nobody@a.test", "team@a.test")
        assert (status, out) == (0, "anna@a.test\tanna@host1.test\ncarl@b.test\tcarl\nteam@a.test\tbert@host1.test,bert@host2.test,carl\n"), err


def test_bad_sql_is_not_the_servers_fault(tmp_path):
    """A server that refuses the SQL of one key answers the next one at once."""
    with Pgsql(tmp_path / "server") as s:
        s.kind = "pgsql"
        spec = settings(tmp_path, s, s.port, s.port, more="retry_interval = 3600\n")
        path = tmp_path / "t.cf"
        path.write_text(path.read_text().replace(SELECT, "query = SELECT 'yes' WHERE 1/(length('%s') - length('four@a.test')) <> 7\n"))
        with harness.Instance(tmp_path / "mta", f"virtual_mailbox_domains = a.test\nvirtual_mailbox_maps = {spec}\n") as mta, mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            for _ in range(3):
                c.expect("RCPT TO:<four@a.test>", 451)
                c.expect("RCPT TO:<anna.b@a.test>", 250)
            mta.wait_log("division by zero")


def test_a_folder_and_a_port(tmp_path):
    """hosts = /folder:port, beyond what Postfix takes."""
    with Pgsql(tmp_path / "server") as s:
        s.kind = "pgsql"
        configure(tmp_path)
        spec = settings(tmp_path, s)
        path = tmp_path / "t.cf"
        path.write_text(path.read_text().replace(f"127.0.0.1:{s.port}", f"{s.dir}:{s.port}"))
        assert ask(tmp_path, spec, "anna@a.test") == (0, "anna@host1.test\n", "")


def test_sqlite_is_only_read(tmp_path):
    """A missing file is not made, one that comes back is found by the same process."""
    s = Sqlite(tmp_path / "server")
    s.kind = "sqlite"
    configure(tmp_path)
    spec = settings(tmp_path, s)
    s.kill()
    status, out, err = ask(tmp_path, spec, "anna@a.test")
    assert (status, out) == (1, "") and "No such file or directory" in err
    assert not (s.dir / "mail.db").exists()
    s.start()
    before = (s.dir / "mail.db").read_bytes(), sorted(p.name for p in s.dir.iterdir())
    assert ask(tmp_path, spec, "anna@a.test") == (0, "anna@host1.test\n", "")
    assert before == ((s.dir / "mail.db").read_bytes(), sorted(p.name for p in s.dir.iterdir()))


@pytest.mark.smoke
def test_smtpd_asks_through_lookup(mortal, tmp_path):
    """The server is away in the middle of a session."""
    spec = settings(tmp_path, mortal)
    (tmp_path / "t.cf").chmod(0o600)  # it has a password: lookup alone reads it
    with harness.Instance(tmp_path / "mta", f"virtual_mailbox_domains = a.test\nvirtual_mailbox_maps = {spec}\n") as mta, mta.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@example.test>", 250)
        c.expect("RCPT TO:<anna@a.test>", 250)
        c.expect("RCPT TO:<nobody@a.test>", 550)
        c.expect("RCPT TO:<x'/**/OR/**/1=1--@a.test>", 550)
        mortal.kill()
        c.expect("RCPT TO:<bert@a.test>", 451)
        mortal.start()
        c.expect("RCPT TO:<bert@a.test>", 250)
        c.expect("RCPT TO:<nobody@a.test>", 550)


@pytest.mark.parametrize("kind", ["mysql", "pgsql"])
def test_smtpd_and_two_servers(kind, tmp_path):
    """One of them is killed, then the other."""
    with SERVERS[kind](tmp_path / "one") as one, SERVERS[kind](tmp_path / "two") as two:
        one.kind = kind
        spec = settings(tmp_path, one, one.port, two.port)
        with harness.Instance(tmp_path / "mta", f"virtual_mailbox_domains = a.test\nvirtual_mailbox_maps = {spec}\nsmtpd_hard_error_limit = 10000\n") as mta, mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            c.expect("RCPT TO:<anna@a.test>", 250)
            one.kill()
            c.expect("RCPT TO:<bert@a.test>", 250)
            c.expect("RCPT TO:<nobody@a.test>", 550)
            one.start()
            two.kill()
            wait_for("the first one is asked again", lambda: c.cmd("RCPT TO:<team@a.test>").startswith("250"))
            c.expect("RCPT TO:<nobody2@a.test>", 550)
            one.kill()
            c.expect("RCPT TO:<mixed@a.test>", 451)
            two.start()
            wait_for("the second one is asked again", lambda: c.cmd("RCPT TO:<mixed@a.test>").startswith("250"))
