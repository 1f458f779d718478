"""What becomes of open questions when lookup, a worker, a table or the configuration goes away: nobody is told `no such user`, no mail is lost or stays behind, nobody waits for ever."""
import os, re, signal, sqlite3, threading

import pytest

from harness import PATIENCE, SANITIZED, Instance, Sink, wait_for
from table_peers import TcpTable, never

KILLS = 4 if SANITIZED else 8
AGAIN_SOON = "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nqueue_run_delay = 1s\ntransport_retry_time = 1s\n"


class Load(threading.Thread):
    """Sends mail to one who is there and one who is not, until told to stop; notes each answer."""

    def __init__(self, mta, name):
        super().__init__(daemon=True)
        self.mta, self.tag, self.acknowledged, self.wrong, self.broken, self.enough = mta, name, [], [], 0, threading.Event()
        self.start()

    def run(self):
        n = 0
        while not self.enough.is_set():
            try:
                with self.mta.greeted() as c:
                    n += 1
                    bad, good = c.cmd("RCPT TO:<nobody@relay.test>"), c.cmd("RCPT TO:<good@relay.test>")
                    if not re.match("550 5.1.1|451 4.3.0", bad):
                        self.wrong.append(bad)
                    if not re.match("250|451 4.3.0", good):
                        self.wrong.append(good)
                    if good.startswith("250"):
                        token = f"token-{self.tag}-{n}-"
                        c.expect("DATA", 354)
                        c.raw(f"Subject: {token}\r\n\r\nx\r\n.\r\n")
                        if c.reply().startswith("250"):
                            self.acknowledged.append(token)
            except (OSError, EOFError):
                self.broken += 1


def test_kill_9_of_lookup_under_load_refuses_nobody(tmp_path):
    with Sink() as sink:
        def answer(key):
            return f"smtp:[127.0.0.1]:{sink.port}"

        with TcpTable({"good@relay.test": answer}) as t, Instance(
                tmp_path, f"relay_domains = relay.test\nrelay_recipient_maps = {t.spec}\ntransport_maps = {t.spec}\nrelayhost = [127.0.0.1]:1\n{AGAIN_SOON}",
                sink_port=1) as mta:
            loads = [Load(mta, i) for i in range(4)]
            for i in range(KILLS):
                have = sum(len(l.acknowledged) for l in loads)
                wait_for(f"traffic in round {i}", lambda: sum(len(l.acknowledged) for l in loads) > have + 3, 2 * PATIENCE)
                pid, = wait_for("a lookup", lambda: mta.pids("lookup"))
                os.kill(pid, signal.SIGKILL)
                wait_for("its end", lambda: pid not in mta.pids("lookup"))
            for l in loads:
                l.enough.set()
            for l in loads:
                l.join()
            assert [l.wrong for l in loads] == [[]] * 4 and [l.broken for l in loads] == [0] * 4
            mta.wait_log("killed by signal 9", count=KILLS)
            want = {x for l in loads for x in l.acknowledged}
            wait_for("every message", lambda: want <= {re.search(rb"token-\S+-", m["data"])[0].decode() for m in list(sink.messages)}, 2 * PATIENCE)
            assert len(sink.messages) == len(want)
            mta.wait_empty()


def test_lookup_that_is_stopped_is_trouble_and_not_for_ever(tmp_path):
    with TcpTable({"good@relay.test": "x"}) as t:
        with Instance(tmp_path, f"relay_domains = relay.test\nrelay_recipient_maps = {t.spec}\nipc_timeout = 5s\n") as mta:
            wait_for("a first answer", lambda: mta.rcpt("good@relay.test").startswith("250"))
            pid, = mta.pids("lookup")
            os.kill(pid, signal.SIGSTOP)
            try:
                assert mta.rcpt("other@relay.test").startswith("451 4.3.0")
                mta.wait_log("did not answer in time")
            finally:
                os.kill(pid, signal.SIGCONT)
            wait_for("an answer", lambda: mta.rcpt("good@relay.test").startswith("250"))
            wait_for("no such user", lambda: mta.rcpt("other@relay.test").startswith("550"))


def accept(mta, rcpts, then):
    """A message whose recipients were accepted before then() is called."""
    with mta.greeted() as c:
        for r in rcpts:
            c.expect(f"RCPT TO:<{r}>", 250)
        then()
        c.expect("DATA", 354)
        c.raw("Subject: t\r\n\r\nx\r\n.\r\n")
        assert c.reply().startswith("250")


def test_stop_while_questions_are_open(tmp_path):
    """A session at RCPT, and an accepted message that waits for its route, which goes on at the next start."""
    state = {"hang": False}
    with Sink() as sink:
        def answer(key):
            return None if state["hang"] else f"smtp:[127.0.0.1]:{sink.port}"

        with TcpTable({"x@relay.test": answer, "y@relay.test": never}) as t:
            mta = Instance(tmp_path, f"relay_domains = relay.test\nrelay_recipient_maps = {t.spec}\ntransport_maps = {t.spec}\nrelayhost = [127.0.0.1]:1\n{AGAIN_SOON}",
                           sink_port=1)
            with mta:
                accept(mta, ["x@relay.test"], lambda: (state.update(hang=True), t.asked.clear()))
                wait_for("the question about the route", lambda: "x@relay.test" in t.asked)
                c = mta.greeted()
                c.raw("RCPT TO:<y@relay.test>\r\n")
                wait_for("the question about the recipient", lambda: "y@relay.test" in t.asked)
                mta.cmd("postfix", "stop")
                wait_for("all gone", lambda: not mta.pids())
                c.s.close()
                state["hang"] = False
                mta.cmd("postfix", "start")
                sink.wait(1)
                mta.wait_empty()
                assert len(sink.messages) == 1


def test_reload_while_questions_are_open(tmp_path):
    """What queue asks is asked again of the new table; a session has the table that it began with."""
    gate, state = threading.Event(), {"hang": False}

    def late(key):
        gate.wait(2 * PATIENCE)
        return "x"

    def once(key):
        return None if state["hang"] else "smtp:[127.0.0.1]:1"

    with Sink() as sink, TcpTable({"x@relay.test": once, "z@relay.test": once, "y@relay.test": late}) as old, \
            TcpTable(default=lambda k: f"smtp:[127.0.0.1]:{sink.port}") as new:
        with Instance(tmp_path, f"relay_domains = relay.test\nrelay_recipient_maps = {old.spec}\ntransport_maps = {old.spec}\nrelayhost = [127.0.0.1]:1\n{AGAIN_SOON}",
                      sink_port=1) as mta:
            accept(mta, ["x@relay.test", "z@relay.test"], lambda: (state.update(hang=True), old.asked.clear()))
            wait_for("the questions about routes", lambda: {"x@relay.test", "z@relay.test"} <= set(old.asked))
            c = mta.greeted()
            c.raw("RCPT TO:<y@relay.test>\r\n")
            wait_for("the question about the recipient", lambda: "y@relay.test" in old.asked)
            mta.main_cf.write_text(mta.main_cf.read_text().replace(f"transport_maps = {old.spec}", f"transport_maps = {new.spec}"))
            mta.reload()
            wait_for("the message", lambda: sum(len(m["rcpt"]) for m in list(sink.messages)) >= 2)
            gate.set()
            assert c.reply().startswith("250")
            c.s.close()
            mta.wait_empty()
            assert sorted(r[len("TO:<"):].split(">")[0] for m in sink.messages for r in m["rcpt"]) == ["x@relay.test", "z@relay.test"]


@pytest.fixture
def boxes(tmp_path):
    folder = tmp_path / "db"
    folder.mkdir()
    with sqlite3.connect(folder / "boxes.db") as db:
        db.execute("create table box (address text, path text)")
        db.execute("insert into box values ('u@mbox.test', 'u/')")
    (tmp_path / "boxes.cf").write_text(f"dbpath = {folder}/boxes.db\nquery = SELECT path FROM box WHERE address = '%s'\n")
    return folder / "boxes.db", f"virtual_mailbox_maps = sqlite:{tmp_path}/boxes.cf\nlocal_recipient_maps =\n{AGAIN_SOON}"


@pytest.mark.parametrize("who", ["virtual", "queue", "lookup"])
def test_kill_9_while_virtual_waits_for_a_mailbox(tmp_path, boxes, who):
    """The database is locked: mail waits, and is delivered once when it is not."""
    path, main = boxes
    with Instance(tmp_path / "i", main) as mta:
        if "sqlite" in mta.log() and "is not installed" in mta.log():
            pytest.skip("sqlite tables are not built")
        lock = sqlite3.connect(path, isolation_level=None)
        with mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            c.expect("RCPT TO:<u@mbox.test>", 250)
            lock.execute("begin exclusive")
            c.expect("DATA", 354)
            c.raw("Subject: t\r\n\r\nx\r\n.\r\n")
            assert c.reply().startswith("250")
        assert mta.kill(role=who)
        wait_for("it to be started again", lambda: mta.pids(who))
        lock.execute("rollback")
        lock.close()
        wait_for("mail in the mailbox", lambda: len(mta.maildir()) >= 1)
        mta.wait_empty()
        assert len(mta.maildir()) == 1
        assert "status=bounced" not in mta.log()


def test_database_that_vanishes_bounces_nothing(tmp_path, boxes):
    path, main = boxes
    with Instance(tmp_path / "i", main) as mta:
        if "sqlite" in mta.log() and "is not installed" in mta.log():
            pytest.skip("sqlite tables are not built")
        with mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            c.expect("RCPT TO:<u@mbox.test>", 250)
            text = path.read_bytes()
            path.write_bytes(b"")
            c.expect("DATA", 354)
            c.raw("Subject: t\r\n\r\nx\r\n.\r\n")
            assert c.reply().startswith("250")
        mta.wait_log("status=deferred")
        path.write_bytes(text)
        try:
            wait_for("mail in the mailbox", lambda: len(mta.maildir()) == 1)
        finally:
            print(mta.log()[-4000:])
        assert "status=bounced" not in mta.log()
