"""Tables that wait for others: smtpd, queue and virtual ask the lookup process, and go on meanwhile."""
import os, select, threading, time

import pytest

from harness import IS_ROOT, Instance, PATIENCE, Sink, wait_for
from table_peers import TROUBLE, TcpTable, never


def test_relay_recipients(tmp_path):
    with TcpTable({"good@relay.test": "x", "bad@relay.test": TROUBLE}) as t, Sink() as sink:
        with Instance(tmp_path, f"relay_domains = relay.test\nrelay_recipient_maps = {t.spec}\nrelay_transport = smtp:[127.0.0.1]:{sink.port}\n") as mta:
            assert mta.rcpt("good@relay.test").startswith("250")
            assert mta.rcpt("nobody@relay.test").startswith("550 5.1.1 <nobody@relay.test>: Recipient address rejected: User unknown in relay recipient table")
            assert mta.rcpt("bad@relay.test").startswith("451 4.3.0 <bad@relay.test>: Temporary lookup failure")
            assert mta.pids("lookup")
            assert mta.send("good@relay.test").startswith("250")
            sink.wait(1)


def test_transport_and_aliases_of_queue(tmp_path):
    with Sink() as sink:
        with TcpTable({"x@far.test": lambda k: f"smtp:[127.0.0.1]:{sink.port}"}) as t:
            with Instance(tmp_path, f"transport_maps = {t.spec}\nrelayhost = [127.0.0.1]:1\n", sink_port=1) as mta:
                assert mta.send("x@far.test").startswith("250")
                sink.wait(1)
                assert "x@far.test" in t.asked
                mta.wait_empty()


def test_many_recipients_wait_at_a_time(tmp_path):
    """Routes of one message are asked for side by side, and each recipient is delivered once."""
    def slow(key):
        time.sleep(0.05)
        return ""

    with TcpTable(default=slow) as t, Sink() as sink:
        with Instance(tmp_path, f"transport_maps = {t.spec}\n", sink_port=sink.port) as mta:
            rcpts = [f"r{i}@far.test" for i in range(60)]
            with mta.client() as c:
                assert c.message("a@example.test", rcpts, "Subject: t\r\n\r\nx\r\n").startswith("250")
            mta.wait_empty()
            got = sorted(r[len("TO:<"):].split(">")[0] for m in sink.messages for r in m["rcpt"])
            assert got == sorted(rcpts)


def test_mailboxes(tmp_path):
    """virtual's tables are sensitive: tcp: is refused there, as Postfix does; smtpd may use it."""
    with TcpTable({"u@mbox.test": "u/"}) as t:
        with Instance(tmp_path, f"virtual_mailbox_maps = {t.spec}\n") as mta:
            assert mta.rcpt("u@mbox.test").startswith("250")
            assert mta.rcpt("v@mbox.test").startswith("550")
            assert mta.send("u@mbox.test").startswith("250")
            mta.wait_log("status=deferred")
            mta.wait_log("map is not allowed for security sensitive data")


def test_mailboxes_in_a_database(tmp_path):
    import sqlite3
    path = tmp_path / "db"
    path.mkdir()
    with sqlite3.connect(path / "boxes.db") as db:
        db.execute("create table box (address text, path text)")
        db.execute("insert into box values ('u@mbox.test', 'u/')")
    (tmp_path / "boxes.cf").write_text(f"dbpath = {path}/boxes.db\nquery = SELECT path FROM box WHERE address = '%s'\n")
    with Instance(tmp_path / "i", f"virtual_mailbox_maps = proxy:sqlite:{tmp_path}/boxes.cf\n") as mta:
        if "sqlite" in mta.log() and "is not installed" in mta.log():
            pytest.skip("sqlite tables are not built")
        assert mta.rcpt("v@mbox.test").startswith("550"), mta.log()
        assert mta.send("u@mbox.test").startswith("250")
        wait_for("mail in the mailbox", lambda: len(mta.maildir()) == 1)


def test_fifty_sessions_at_once(tmp_path):
    gate = threading.Event()

    def wait(key):
        gate.wait(2 * PATIENCE)
        return "x" if key.startswith("g") else ""

    with TcpTable(default=wait) as t:
        with Instance(tmp_path, f"relay_domains = relay.test\nrelay_recipient_maps = {t.spec}\n") as mta:
            clients = [mta.greeted() for _ in range(50)]
            for i, c in enumerate(clients):
                c.raw(f"RCPT TO:<{'gb'[i % 2]}{i // 10}@relay.test>\r\n")
            wait_for("questions", lambda: len(t.asked) >= 8)
            # Others are served meanwhile.
            assert mta.rcpt("y@mbox.test").startswith("250")
            gate.set()
            for i, c in enumerate(clients):
                assert c.reply().startswith(("250", "550")[i % 2]), i
                c.s.close()
            full = [k for k in t.asked if "@" in k and not k.startswith("@")]
            assert len(full) < 50, "sessions with the same question share the answer"


def test_hanging_server_holds_back_only_its_own(tmp_path):
    with TcpTable(default=never) as dead, TcpTable({"good@b.test": "x"}) as alive:
        main = f"virtual_mailbox_domains = a.test\nvirtual_mailbox_maps = {dead.spec}\nrelay_domains = b.test\nrelay_recipient_maps = {alive.spec}\n"
        with Instance(tmp_path, f"ipc_timeout = 1h\n{main}") as mta:
            stuck = [mta.greeted() for _ in range(20)]
            for i, c in enumerate(stuck):
                c.raw(f"RCPT TO:<x{i}@a.test>\r\n")
            wait_for("the server has questions", lambda: len(dead.asked) > 0)
            assert mta.rcpt("good@b.test").startswith("250")
            assert mta.rcpt("bad@b.test").startswith("550")
            assert not select.select([c.s for c in stuck], [], [], 0)[0]
            for c in stuck:
                c.s.close()
        with Instance(tmp_path / "second", f"ipc_timeout = 1s\n{main}") as mta:
            for i in range(2):
                assert mta.rcpt(f"x{i}@a.test").startswith("451"), "never a miss"


def test_client_leaves_while_its_question_is_open(tmp_path):
    gate = threading.Event()

    def wait(key):
        gate.wait(2 * PATIENCE)
        return "x"

    with TcpTable(default=wait) as t:
        with Instance(tmp_path, f"relay_domains = relay.test\nrelay_recipient_maps = {t.spec}\n") as mta:
            for i in range(5):
                c = mta.greeted()
                c.raw(f"RCPT TO:<x{i}@relay.test>\r\n")
                wait_for("question", lambda: len(t.asked) > i)
                c.s.close()
            gate.set()
            mta.wait_log("disconnect from", count=5)
            assert mta.rcpt("y@relay.test").startswith("250")


def test_lookup_is_killed_in_mid_use(tmp_path):
    state = {"hang": True}

    def hang_first(key):
        return None if state["hang"] else ("x" if key.startswith("good") else "")

    with TcpTable(default=hang_first) as t:
        with Instance(tmp_path, f"relay_domains = relay.test\nrelay_recipient_maps = {t.spec}\n") as mta:
            a, b = mta.greeted(), mta.greeted()
            a.raw("RCPT TO:<good@relay.test>\r\n")
            b.raw("RCPT TO:<bad@relay.test>\r\n")
            wait_for("questions", lambda: len(t.asked) >= 2)
            state["hang"] = False
            assert mta.kill(role="lookup")
            assert a.reply().startswith("250")
            assert b.reply().startswith("550")
            a.s.close()
            b.s.close()
            mta.wait_log("killed by signal 9")


def test_restart_of_the_server(tmp_path):
    t = TcpTable({"good@relay.test": "x"})
    with Instance(tmp_path, f"relay_domains = relay.test\nrelay_recipient_maps = {t.spec}\nipc_timeout = 5s\n") as mta:
        assert mta.rcpt("good@relay.test").startswith("250")
        t.stop()
        assert mta.rcpt("good@relay.test").startswith("451")


def test_unapproved_proxy_table(tmp_path):
    (tmp_path / "t").write_text("good@relay.test x\n")
    with Instance(tmp_path / "i", f"relay_domains = relay.test\nrelay_recipient_maps = proxy:texthash:{tmp_path}/t\n"
                  "proxy_read_maps =\n") as mta:
        assert mta.rcpt("good@relay.test").startswith("451 4.3.0")
        mta.wait_log(f'warning: request for unapproved table: "texthash:{tmp_path}/t"')
        mta.wait_log(f"warning: to approve this table for read-only access, list proxy:texthash:{tmp_path}/t in main.cf:proxy_read_maps")


def test_listed_proxy_table_of_a_file_needs_no_lookup(tmp_path):
    (tmp_path / "t").write_text("good@relay.test x\n")
    with Instance(tmp_path / "i", f"relay_domains = relay.test\nrelay_recipient_maps = proxy:texthash:{tmp_path}/t\n") as mta:
        assert mta.rcpt("good@relay.test").startswith("250")
        assert mta.rcpt("bad@relay.test").startswith("550")
        assert not mta.pids("lookup")


def test_postmap_asks_the_service(tmp_path):
    (tmp_path / "t").write_text("k v\n")
    (tmp_path / "u").write_text("k v\n")
    with Instance(tmp_path / "i", f"relay_recipient_maps = proxy:texthash:{tmp_path}/t\n", "proxywrite unix - - n - 1 proxymap\n") as mta:
        assert not mta.pids("lookup")
        assert mta.cmd("postmap", "-q", "k", f"proxy:texthash:{tmp_path}/t").stdout == "v\n"
        assert mta.pids("lookup"), "started by who connected"
        r = mta.cmd("postmap", "-q", "x", f"proxy:texthash:{tmp_path}/t", check=False)
        assert (r.returncode, r.stdout, r.stderr) == (1, "", "")
        r = mta.cmd("postmap", "-q", "k", f"proxy:texthash:{tmp_path}/u", check=False)
        assert r.returncode == 1
        assert r.stderr == f'postmap: fatal: proxymap service is not configured for table "texthash:{tmp_path}/u"\n'
        r = mta.cmd("postmap", "-d", "k", f"proxy:texthash:{tmp_path}/t", check=False)
        assert r.returncode == 1
        assert r.stderr == f'postmap: fatal: proxywrite service is not configured for table "texthash:{tmp_path}/t"\n'
        mta.wait_log("for read-write access.* main.cf:proxy_write_maps")
    r = mta.cmd("postmap", "-q", "k", f"proxy:texthash:{tmp_path}/t", check=False)
    assert r.returncode == 1 and "connect to subsystem" in r.stderr


@pytest.mark.skipif(not IS_ROOT, reason="asks as mail_owner")
def test_folder_that_is_new_at_a_reload(tmp_path):
    """queue's sandbox was made at the start; a table in a new folder is asked of lookup."""
    with Sink() as sink:
        again = "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nqueue_run_delay = 1s\n"  # queue may hear of the message before the reload
        with Instance(tmp_path / "i", "relayhost = [127.0.0.1]:1\ntransport_retry_time = 1s\n" + again, sink_port=1) as mta:
            new = tmp_path / "new"
            new.mkdir()
            os.chmod(new, 0o755)
            (new / "transport").write_text(f"far.test smtp:[127.0.0.1]:{sink.port}\n")
            mta.main_cf.write_text(mta.main_cf.read_text() + f"transport_maps = texthash:{new}/transport\n")
            mta.reload()
            mta.wait_log("reload -- version")
            assert mta.send("x@far.test").startswith("250")
            sink.wait(1)
            assert "Permission denied" not in mta.log()


def test_reload_brings_new_remote_tables(tmp_path):
    with TcpTable({"one@relay.test": "x"}) as one, TcpTable({"two@relay.test": "x"}) as two:
        with Instance(tmp_path, f"relay_domains = relay.test\nrelay_recipient_maps = {one.spec}\n") as mta:
            assert mta.rcpt("one@relay.test").startswith("250")
            old = mta.pids("lookup")
            open_session = mta.greeted()
            mta.main_cf.write_text(mta.main_cf.read_text().replace(one.spec, two.spec))
            mta.reload()
            wait_for("another lookup", lambda: set(mta.pids("lookup")) - set(old))
            wait_for("the new table", lambda: mta.rcpt("two@relay.test").startswith("250"))
            # A session of the old configuration still has its table.
            assert open_session.cmd("RCPT TO:<one@relay.test>").startswith("250")
            open_session.cmd("QUIT")
            open_session.s.close()
            wait_for("the old lookup to end", lambda: not set(mta.pids("lookup")) & set(old))
