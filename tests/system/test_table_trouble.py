"""Tables that fail while mail without a client is on its way in: what sendmail gave stays in the maildrop, what failed stays in the queue
until its sender can be told, and both arrive once when the table is back."""
import os, signal, threading

import pytest

from harness import PATIENCE, Instance, Sink, wait_for
from table_peers import TROUBLE, TcpTable

AGAIN_SOON = "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nqueue_run_delay = 1s\ntransport_retry_time = 1s\nlocal_recipient_maps =\n"


def rcpts(message):
    return sorted(r.split(">")[0].removeprefix("TO:<") for r in message["rcpt"])


def maildrop(m):
    return sorted(os.listdir(m.dir / "spool/maildrop"))


def give(m, subject, to="x@elsewhere.test"):
    m.cmd("sendmail", "-f", "a@example.test", to, input=f"Subject: {subject}\nMIME-Version: 1.0\nContent-Type: text/plain\n\nx\n")


@pytest.mark.parametrize("parameter", ["virtual_alias_maps", "canonical_maps", "sender_canonical_maps", "recipient_bcc_maps", "sender_bcc_maps",
                                       "header_checks", "body_checks", "mime_header_checks"])
def test_local_mail_that_a_table_could_not_decide_about_waits_in_the_maildrop(tmp_path, parameter):
    with TcpTable(default=TROUBLE) as table, Sink() as sink, Instance(tmp_path, f"{parameter} = {table.spec}\n{AGAIN_SOON}", sink_port=sink.port) as m:
        give(m, "first")
        m.wait_log(r"pickup\[\d+\]: warning: \w+: message not accepted now: 4\.3\.0 Error: queue file write error")
        assert len(maildrop(m)) == 1 and m.queue() == [] and sink.messages == []
        table.default = ""
        give(m, "second")
        got = sink.wait(2)
        wait_for("an empty maildrop", lambda: maildrop(m) == [])
        m.wait_empty()
        assert sorted(s for g in got for s in (b"first", b"second") if b"Subject: " + s in g["data"]) == [b"first", b"second"]


def test_pickup_killed_while_an_alias_is_looked_up_sends_once(tmp_path):
    go = threading.Event()

    def slow(key):
        go.wait(2 * PATIENCE)
        return "late@x.test"

    with TcpTable({"slow@elsewhere.test": slow}, default="") as table, Sink() as sink, Instance(
            tmp_path, f"virtual_alias_maps = {table.spec}\n{AGAIN_SOON}", sink_port=sink.port) as m:
        give(m, "first", "slow@elsewhere.test")
        wait_for("the question", lambda: "slow@elsewhere.test" in table.asked)
        pid, = m.pids("pickup")
        os.kill(pid, signal.SIGKILL)
        wait_for("another pickup", lambda: m.pids("pickup") not in ([], [pid]))
        go.set()
        assert rcpts(sink.wait(1)[0]) == ["late@x.test"]
        wait_for("an empty maildrop", lambda: maildrop(m) == [])
        m.wait_empty()
        assert len(sink.messages) == 1


def test_a_notice_waits_for_the_table_of_its_recipient(tmp_path):
    def behave(verb, arg):
        return "550 5.1.1 gone" if verb == "RCPT" and "bad@" in arg else None

    with TcpTable({"a@relay.test": TROUBLE}, default="") as table, Sink(behave=behave) as sink, Instance(
            tmp_path, f"virtual_alias_maps = {table.spec}\ninternal_mail_filter_classes = bounce\nsmtpd_reject_unlisted_sender = no\n"
                      f"smtpd_reject_unlisted_recipient = no\n{AGAIN_SOON}", sink_port=sink.port) as m:
        assert m.send("bad@relay.test", sender="a@relay.test").startswith("250")
        m.wait_log(r"virtual_alias_maps map lookup problem for a@relay\.test")
        assert len(m.queue()) == 1 and sink.messages == []
        table.answers["a@relay.test"] = "b@relay.test"
        assert rcpts(sink.wait(1)[0]) == ["b@relay.test"]
        m.wait_empty()
        assert len(sink.messages) == 1


@pytest.mark.parametrize("how", ["DATA", "BDAT"])
def test_a_large_message_that_is_discarded_leaves_nothing(tmp_path, how):
    with Sink() as sink, Instance(tmp_path, "smtpd_sender_restrictions = check_sender_access inline:{{ {{discard@example.test = DISCARD}} }}\n",
                                  sink_port=sink.port) as m:
        pids = m.pids("smtpd")
        body = b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 2000
        for n in range(20):
            with m.client() as c:
                c.hello()
                c.envelope("discard@example.test", ["x@relay.test"])
                if how == "DATA":
                    c.expect("DATA", 354)
                    c.raw(body + b".\r\n")
                else:
                    c.raw(b"BDAT %d LAST\r\n" % len(body) + body)
                assert c.reply().startswith("250 2.0.0 Ok")
        assert m.send().startswith("250")
        sink.wait(1)
        m.wait_empty()
        assert len(sink.messages) == 1 and m.pids("smtpd") == pids
        wait_for("no stage file", lambda: not [f for f in (m.dir / "spool").rglob("*") if "stage" in f.name and f.is_file() and f.stat().st_size > 0])


def test_thousands_of_copies_are_all_made(tmp_path):
    """One BCC for each recipient, in one transaction."""
    many = 2500
    with Sink() as sink, Instance(tmp_path, "smtpd_recipient_limit = 5000\nsmtpd_delay_reject = yes\n"
                                  "smtpd_recipient_restrictions = check_recipient_access pcre:{{ {{/^r(\\d+)@/ BCC b$$1@relay.test}} }}, permit_mynetworks, reject\n",
                                  sink_port=sink.port) as m:
        with m.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            c.raw("".join(f"RCPT TO:<r{n}@relay.test>\r\n" for n in range(many)))
            assert all(c.reply().startswith("250") for _ in range(many))
            c.expect("DATA", 354)
            c.raw("Subject: x\r\n\r\nx\r\n")
            c.expect(".", 250)
        m.wait_log(rf"nrcpt={2 * many} \(queue active\)")
