"""Addresses on their way in, with real tables: canonical, aliases, copies; tables that keep one waiting, fail, or go on for ever."""
import threading

import pytest

from harness import PATIENCE, Sink, wait_for
from table_peers import TROUBLE, TcpTable


@pytest.fixture
def sink():
    with Sink() as s:
        yield s


def rcpts(message):
    return sorted(r.split(">")[0].removeprefix("TO:<") for r in message["rcpt"])


def start(instance, sink, main, **files):
    m = instance(main=main, sink_port=sink.port)
    for name, text in files.items():
        (m.dir / "etc" / name).write_text(text)
    m.main_cf.write_text(m.main_cf.read_text().replace("ETC", str(m.dir / "etc")))
    m.start()
    return m


TABLES = """\
virtual_alias_domains = alias.test
virtual_alias_maps = texthash:ETC/virtual
sender_canonical_maps = texthash:ETC/senders
recipient_bcc_maps = texthash:ETC/copies
always_bcc = archive@elsewhere.test
"""
FILES = dict(virtual="team@alias.test one@x.test, two@x.test\nouter@alias.test team@alias.test three@x.test\n",
             senders="joe@inner.test Joe.Doe@outer.test\n", copies="team@alias.test boss@x.test\n")


def test_an_envelope_is_rewritten_and_expanded(instance, sink):
    m = start(instance, sink, TABLES, **FILES)
    assert m.send(["team@alias.test", "outer@alias.test"], "joe@inner.test").startswith("250")
    got = sink.wait(1)[0]
    assert got["mail"].startswith("FROM:<Joe.Doe@outer.test>")
    assert rcpts(got) == ["archive@elsewhere.test", "boss@x.test", "one@x.test", "one@x.test", "three@x.test", "two@x.test", "two@x.test"]
    m.wait_log(r"qmgr\[\d+\]: \w+: from=<Joe\.Doe@outer\.test>, size=\d+, nrcpt=7 \(queue active\)")
    m.wait_log(r"to=<two@x\.test>, orig_to=<outer@alias\.test>, ")


def test_an_address_that_no_alias_knows_is_refused(instance, sink):
    m = start(instance, sink, TABLES, **FILES)
    with m.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@b.test>", 250)
        assert c.cmd("RCPT TO:<nobody@alias.test>").startswith("550 5.1.1 <nobody@alias.test>: Recipient address rejected: User unknown in virtual alias table")
        c.expect("RCPT TO:<team@alias.test>", 250)


def test_mail_from_sendmail_is_rewritten_and_expanded(instance, sink):
    m = start(instance, sink, TABLES, **FILES)
    m.cmd("sendmail", "-f", "joe@inner.test", "team@alias.test", input=b"Subject: x\n\nhi\n")
    got = sink.wait(1)[0]
    assert got["mail"].startswith("FROM:<Joe.Doe@outer.test>")
    assert rcpts(got) == ["archive@elsewhere.test", "boss@x.test", "one@x.test", "two@x.test"]


def test_a_notice_to_an_alias_is_expanded_and_gets_no_copies(instance, sink):
    sink.behave = lambda verb, arg: "550 5.1.1 no" if verb == "RCPT" and "gone@" in arg else None
    m = start(instance, sink, TABLES, **FILES)
    assert m.send("gone@x.test", "team@alias.test").startswith("250")
    wait_for("the notice", lambda: any(g["mail"].startswith("FROM:<>") for g in sink.messages))
    notice = next(g for g in sink.messages if g["mail"].startswith("FROM:<>"))
    assert rcpts(notice) == ["one@x.test", "two@x.test"]


def test_a_list_that_goes_on_for_ever_is_not_accepted(instance, sink):
    m = start(instance, sink, TABLES, **dict(FILES, virtual="a@alias.test b@alias.test\nb@alias.test a@alias.test\n"))
    assert m.send("a@alias.test") == "451 4.6.0 Alias expansion error"
    m.wait_log(r"cleanup\[\d+\]: warning: \w+: unreasonable virtual_alias_maps map nesting for a@alias\.test -- message not accepted, try again later")
    assert m.queue() == []


def test_no_address_mappings_leaves_everything_as_it_is(instance, sink):
    m = start(instance, sink, TABLES + "receive_override_options = no_address_mappings\n", **FILES)
    assert m.send("team@alias.test", "joe@inner.test").startswith("250")
    m.wait_log(r"to=<team@alias\.test>.* status=bounced \(User unknown in virtual alias table\)")


def test_an_alias_of_ten_thousand(instance, sink):
    many = 10_000
    m = start(instance, sink, TABLES + "default_transport = discard:\nvirtual_alias_expansion_limit = 20000\n"
              "line_length_limit = 2048\nqmgr_message_recipient_limit = 30000\nqmgr_message_active_limit = 30000\n",
              **dict(FILES, virtual="all@alias.test " + ",".join(f"u{i}@x.test" for i in range(many)) + "\n"))
    assert m.send("all@alias.test").startswith("250")  # each result is looked up again: 30,000 questions
    m.wait_log(rf"nrcpt={many + 1} \(queue active\)")
    m.wait_empty(4 * PATIENCE)


def test_sessions_go_on_while_an_alias_is_looked_up(instance, sink):
    go = threading.Event()

    def slow(key):
        go.wait(2 * PATIENCE)
        return "late@x.test"

    with TcpTable({"slow@elsewhere.test": slow}) as table:
        m = start(instance, sink, f"virtual_alias_maps = {table.spec}\nsmtpd_reject_unlisted_recipient = no\n")
        with m.client() as waiting, m.client() as leaving:
            for c in (waiting, leaving):
                c.hello()
                c.envelope("a@b.test", ["slow@elsewhere.test"])
                c.expect("DATA", 354)
                c.raw("Subject: x\r\n\r\nx\r\n.\r\n")
            wait_for("the question", lambda: "slow@elsewhere.test" in table.asked)
            leaving.s.close()
            assert m.send("quick@x.test").startswith("250")
            go.set()
            assert waiting.reply().startswith("250")
        got = {tuple(rcpts(g)) for g in sink.wait(2)}
        assert {("quick@x.test",), ("late@x.test",)} <= got
    assert not m.sanitizer_reports()


@pytest.mark.parametrize("parameter, reply", [
    ("virtual_alias_maps", "451 4.3.0 Error: queue file write error"),
    ("canonical_maps", "451 4.3.0 Error: queue file write error"),
    ("sender_canonical_maps", "451 4.3.0 Error: queue file write error"),
    ("recipient_canonical_maps", "451 4.3.0 Error: queue file write error"),
    ("sender_bcc_maps", "451 4.3.0 Error: queue file write error"),
    ("recipient_bcc_maps", "451 4.3.0 Error: queue file write error"),
])
def test_a_table_in_trouble_costs_a_451_and_no_mail(instance, sink, parameter, reply):
    with TcpTable(default=TROUBLE) as table:
        m = start(instance, sink, f"{parameter} = {table.spec}\nsmtpd_reject_unlisted_recipient = no\nsmtpd_reject_unlisted_sender = no\nnotify_classes =\n")
        assert m.send("x@elsewhere.test") == reply
        m.wait_log(rf"cleanup\[\d+\]: warning: \w+: {parameter} map lookup problem")
        assert m.queue() == [] and sink.messages == []
        table.default = ""
        assert m.send("x@elsewhere.test").startswith("250")
        assert rcpts(sink.wait(1)[0]) == ["x@elsewhere.test"]


@pytest.mark.parametrize("answer", ["late@x.test", TROUBLE])
def test_a_large_message_comes_while_its_alias_is_looked_up(instance, sink, answer):
    go = threading.Event()

    def slow(key):
        go.wait(2 * PATIENCE)
        return answer

    with TcpTable({"slow@elsewhere.test": slow}) as table:
        m = start(instance, sink, f"virtual_alias_maps = {table.spec}\nsmtpd_reject_unlisted_recipient = no\n")
        with m.client() as c:
            c.hello()
            c.envelope("a@b.test", ["slow@elsewhere.test"])
            c.expect("DATA", 354)
            c.raw("Subject: x\r\n\r\n")
            wait_for("the question, before all content is here", lambda: "slow@elsewhere.test" in table.asked)
            half = ("x" * 70 + "\r\n") * 7000
            c.raw(half)
            go.set()
            c.raw(half + ".\r\n")
            if answer is TROUBLE:
                assert c.reply() == "451 4.3.0 Error: queue file write error"
                assert m.queue() == []
            else:
                assert c.reply().startswith("250")
                assert rcpts(sink.wait(1)[0]) == ["late@x.test"]
            c.expect("NOOP", 250)


def test_a_header_is_refused_while_an_alias_is_looked_up(instance, sink):
    go = threading.Event()

    def slow(key):
        go.wait(2 * PATIENCE)
        return "late@x.test"

    with TcpTable({"slow@elsewhere.test": slow}) as table:
        m = start(instance, sink, f"virtual_alias_maps = {table.spec}\nsmtpd_reject_unlisted_recipient = no\n"
                  "header_checks = regexp:ETC/checks\n", checks="/^Subject: bad/ REJECT no\n")
        with m.client() as c:
            c.hello()
            c.envelope("a@b.test", ["slow@elsewhere.test"])
            c.expect("DATA", 354)
            c.raw("Subject: bad\r\n\r\nx\r\n.\r\n")
            assert c.reply() == "550 5.7.1 no"
            go.set()
            assert c.message("a@b.test", ["quick@elsewhere.test"], "Subject: good\r\n\r\nx\r\n").startswith("250")
        assert rcpts(sink.wait(1)[0]) == ["quick@elsewhere.test"]
    assert len(sink.messages) == 1
