"""Restriction lists from end to end: tables that break, come and change; classes; what actions do to the message."""
import re

import pytest

from harness import Client, Instance, Sink, free_port, wait_for
from table_peers import TcpTable


def ask(mta, rcpt="x@relay.test", sender="a@example.test"):
    with mta.client() as c:
        c.hello()
        c.expect(f"MAIL FROM:<{sender}>", 250)
        return c.cmd(f"RCPT TO:<{rcpt}>")


def start(tmp_path, main, **kw):
    return Instance(tmp_path / "mta", main, **kw)


def table(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (tmp_path / name).chmod(0o644)
    return f"texthash:{tmp_path / name}"


def test_a_table_that_is_not_there_refuses_for_the_moment_and_not_for_good(tmp_path):
    where = tmp_path / "nowhere"
    with start(tmp_path, f"smtpd_recipient_restrictions = check_sender_access texthash:{where}, permit\n") as mta:
        assert ask(mta) == "451 4.3.5 <a@example.test>: Sender address rejected: Server configuration error"
        mta.wait_log(rf'warning: texthash:{where} lookup error for "a@example.test"')


def test_a_table_that_changes_counts_without_a_reload(tmp_path):
    access = table(tmp_path, "access", "b@example.test REJECT\n")
    for p in (tmp_path, *tmp_path.parents):
        if str(p).startswith(("/tmp/pytest", "/tmp/hk")):
            p.chmod(0o755)
    with start(tmp_path, f"smtpd_sender_restrictions = check_sender_access {access}\n") as mta:
        assert ask(mta).startswith("250")
        (tmp_path / "new").write_text("a@example.test REJECT out\n")
        (tmp_path / "new").rename(tmp_path / "access")
        wait_for("the new table", lambda: ask(mta) == "554 5.7.1 <a@example.test>: Sender address rejected: out")


def test_classes_protect_against_relaying_or_the_server_does_not_take_mail(tmp_path):
    classes = "smtpd_restriction_classes = outer, inner\nouter = permit_mynetworks, inner\ninner = %s\n" \
              "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = outer\nmynetworks = 192.0.2.0/24\n" \
              "relay_domains = relay.test\n"
    with start(tmp_path, classes % "reject_unauth_destination") as mta:
        assert ask(mta, "x@elsewhere.test") == "554 5.7.1 <x@elsewhere.test>: Relay access denied"
        assert ask(mta).startswith("250")
    with start(tmp_path / "second", classes % "warn_if_reject reject_unauth_destination") as mta:
        mta.wait_log("fatal: in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working instance of: ")


def test_a_class_without_a_definition_is_a_fatal_error(tmp_path):
    with start(tmp_path, "smtpd_restriction_classes = nowhere\nsmtpd_client_restrictions = nowhere\n") as mta:
        mta.wait_log("smtpd\\[\\d+\\]: fatal: restriction class `nowhere' needs a definition")


def test_a_service_with_a_list_that_makes_no_sense_turns_clients_away_and_the_others_work(tmp_path):
    port = free_port()
    other = f"127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_relay_restrictions= -o smtpd_recipient_restrictions=permit\n" \
            "  -o syslog_name=postfix/odd\n"
    with Instance(tmp_path, "relay_domains = relay.test\n", other) as mta:
        mta.wait_log("postfix/odd/smtpd\\[\\d+\\]: fatal: in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, ")
        assert ask(mta).startswith("250")
        with Client(port, banner=False) as c:
            assert c.reply() == "421 4.3.0 Server local error" and c.is_closed()
        assert "throttling" not in mta.log()


def test_a_class_that_names_itself_costs_one_reply_and_not_the_server(tmp_path):
    main = "smtpd_restriction_classes = deep\ndeep = deep, deep\nsmtpd_sender_restrictions = deep\n"
    with start(tmp_path, main) as mta:
        before = mta.pids("smtpd")
        for _ in range(3):
            assert ask(mta) == "451 4.3.5 Server configuration error"
        mta.wait_log("warning: restriction class deep causes unreasonable recursion")
        assert mta.pids("smtpd") == before


ACTIONS = """
two@example.test    BCC copy1@relay.test
bcc@example.test    BCC copy1@relay.test
redirect@example.test REDIRECT other@relay.test
prepend@example.test PREPEND X-Seen: at MAIL
hold@example.test   HOLD look at it
discard@example.test DISCARD
"""


@pytest.fixture(scope="module")
def acting(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("access")
    senders = table(tmp_path, "senders", ACTIONS)
    rcpts = table(tmp_path, "rcpts", "bcc@relay.test BCC copy2@relay.test\nredirect@relay.test REDIRECT last@relay.test\n"
                                     "prepend@relay.test PREPEND X-Seen: at RCPT\nrefused@relay.test REJECT\n")
    main = f"smtpd_sender_restrictions = check_sender_access {senders}\n" \
           f"smtpd_recipient_restrictions = check_recipient_access {rcpts}\n"
    with Sink() as sink, start(tmp_path, main, sink_port=sink.port) as mta:
        mta.sink = sink
        yield mta


def sent(mta, sender, *rcpts):
    """The recipients and the content that arrive of one message."""
    before = len(mta.sink.messages)
    with mta.client() as c:
        c.hello()
        c.expect(f"MAIL FROM:<{sender}>", 250)
        for r in rcpts:
            c.cmd(f"RCPT TO:<{r}>")
        c.expect("DATA", 354)
        c.raw(b"Subject: t\r\n\r\nhello\r\n.\r\n")
        assert c.reply().startswith("250 2.0.0 Ok: queued as ")
    mta.wait_empty()
    return mta.sink.messages[before:]


def rcpts_of(messages):
    return sorted(re.search(r"<(.*?)>", r)[1] for m in messages for r in m["rcpt"])


def content_of(messages):
    return b"".join(m["data"] for m in messages).decode()


def test_copies_add_up_and_the_last_redirection_counts(acting):
    got = sent(acting, "bcc@example.test", "bcc@relay.test", "x@relay.test")
    assert rcpts_of(got) == ["bcc@relay.test", "copy1@relay.test", "copy2@relay.test", "x@relay.test"]
    got = sent(acting, "redirect@example.test", "redirect@relay.test")
    assert rcpts_of(got) == ["last@relay.test"]


def test_headers_are_put_in_front_in_the_order_they_were_asked_for(acting):
    got = content_of(sent(acting, "prepend@example.test", "prepend@relay.test"))
    assert got.startswith("X-Seen: at MAIL\r\nX-Seen: at RCPT\r\nReceived: ")


def test_effects_end_with_their_transaction(acting):
    with acting.client() as c:
        c.hello()
        c.expect("MAIL FROM:<prepend@example.test>", 250)
        c.cmd("RCPT TO:<prepend@relay.test>")
        c.expect("RSET", 250)
    got = content_of(sent(acting, "a@example.test", "x@relay.test"))
    assert "X-Seen" not in got


def test_what_a_refused_recipient_asked_for_happens_all_the_same(acting):
    """compat: the sender's action ran before the recipient's refusal."""
    got = sent(acting, "redirect@example.test", "refused@relay.test", "x@relay.test")
    assert rcpts_of(got) == ["other@relay.test"]


def test_discarded_mail_is_acknowledged_and_gone(acting):
    assert sent(acting, "discard@example.test", "x@relay.test", "refused@relay.test") == []
    acting.wait_log(r"discard: RCPT from .*<discard@example.test>: Sender address triggers DISCARD action")


def test_held_mail_waits_until_it_is_released(tmp_path):
    senders = table(tmp_path, "senders", ACTIONS)
    with Sink() as sink, start(tmp_path, f"smtpd_sender_restrictions = check_sender_access {senders}\n", sink_port=sink.port) as mta:
        with mta.client() as c:
            c.hello()
            c.envelope("hold@example.test", ["x@relay.test"])
            c.expect("DATA", 354)
            c.raw(b"Subject: t\r\n\r\nhello\r\n.\r\n")
            assert c.reply().startswith("250")
        wait_for("the held message", lambda: [m["queue_name"] for m in mta.queue()] == ["hold"])
        assert sink.messages == []
        mta.cmd("postsuper", "-H", "ALL")
        mta.cmd("postqueue", "-f")
        sink.wait(1)


def test_values_with_line_breaks_add_no_headers_and_no_commands(tmp_path):
    values = {"a@example.test": "PREPEND X-One: 1\nBcc: evil@relay.test\n\nbody", "r@example.test": "REDIRECT evil@relay.test\nx",
              "x2@relay.test": '"y\r\nRCPT TO:<evil@relay.test>\r\n"@relay.test'}
    with TcpTable(values, default="") as t, Sink() as sink:
        with start(tmp_path, f"smtpd_sender_restrictions = check_sender_access {t.spec}\nvirtual_alias_maps = {t.spec}\n", sink_port=sink.port) as mta:
            assert mta.send("x1@relay.test").startswith("250")
            assert sink.wait(1)[0]["data"].startswith(b"X-One: 1\r\n\tBcc: evil@relay.test\r\n\tbody\r\nReceived: ")
            assert mta.send("x1@relay.test", sender="r@example.test").startswith("250")
            mta.wait_log('warning: access table .* entry "r@example.test" requires user@domain target')
            assert mta.send("x2@relay.test").startswith("451")
            mta.wait_empty()
            assert not any("evil" in v for v in sink.verbs)


def test_values_of_content_checks_with_line_breaks_become_commands(tmp_path):
    actions = {"1": "REDIRECT x@relay.test>\r\nRSET\r\nRCPT TO:<evil", "2": "BCC x@relay.test\nevil", "3": "FILTER smtp:relay\n.test",
               "4": "PREPEND X-One: 1\rX\r\nBcc: evil@relay.test\r"}
    with TcpTable({f"Subject: {n}": action for n, action in actions.items()}, default="") as t, Sink() as sink:
        with start(tmp_path, f"header_checks = {t.spec}\n", sink_port=sink.port) as mta:
            for n in actions:
                assert mta.send("x@relay.test", body=f"Subject: {n}\r\n\r\nhello\r\n").startswith("250")
            got = sink.wait(len(actions))
            mta.wait_empty()
    assert all(len(m["rcpt"]) == 1 and m["rcpt"][0].startswith("TO:<x@relay.test>") for m in got)
    assert not any("RSET" in v for v in sink.verbs)
    assert [m["data"] for m in got if b"X-One: 1 X\r\n\tBcc: evil@relay.test\r\nSubject: 4\r\n" in m["data"]]
    assert not any(b"\r" in m["data"].replace(b"\r\n", b"") for m in got)
