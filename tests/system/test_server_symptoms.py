"""What went wrong in other servers between connect and 250, each test named after what one would see. What a session alone can show is
played in tests/scenario/smtp_server; smuggling has test_smuggling.py, the proxy in front test_upstream_proxy.py."""
import re

import pytest
from harness import Client, Sink, process_memory, wait_for

BIG = 64 << 20


@pytest.fixture
def strict(instance):
    with Sink() as sink:
        m = instance(main="smtpd_recipient_restrictions = check_recipient_access inline:{{{{refused@good.test = REJECT}}}}\n"
                          "smtpd_end_of_data_restrictions = check_sender_access inline:{{{{late@sender.test = REJECT}}}}\n"
                          "smtpd_hard_error_limit = 1000\n", sink_port=sink.port).start()
        m.sink = sink
        yield m


def is_fresh(c):
    """Nothing of a transaction is left."""
    for command in ("DATA", "RCPT TO:<refused@good.test>", "RCPT TO:<b@good.test>"):
        assert c.cmd(command).startswith("503"), command
    c.expect("MAIL FROM:<a@sender.test>", 250)
    c.expect("RCPT TO:<refused@good.test>", 554)
    c.expect("DATA", 554)
    c.expect("RSET", 250)


def resident(mta, role="smtpd"):
    return sum(process_memory(p, "VmRSS") for p in mta.pids(role))


@pytest.mark.parametrize("end", ["rejected content", "failed BDAT", "RSET", "rejected BDAT", "VRFY with UTF-8"])
def test_recipient_checks_are_skipped_in_the_next_transaction(strict, end):
    with strict.client() as c:
        c.hello()
        c.envelope("late@sender.test", ["b@good.test"])
        if end == "rejected content":
            c.expect("DATA", 354)
            c.raw("x: y\r\n\r\n.\r\n")
            assert c.reply().startswith("554")
        elif end == "failed BDAT":
            c.raw(b"BDAT 10240001 LAST\r\n" + b"x" * 10240001)
            assert c.reply().startswith("552 5.3.4")
        elif end == "rejected BDAT":
            c.raw("BDAT 8 LAST\r\nx: y\r\n\r\n")
            assert c.reply().startswith("554")
        elif end == "RSET":
            c.expect("RSET", 250)
        else:
            assert c.cmd("VRFY größe@good.test".encode().decode("latin-1"))[0] in "25"
            c.expect("RSET", 250)
        is_fresh(c)


@pytest.mark.parametrize("option", ["ENVID=a+00b", "ENVID=+00", "ENVID=a+0Ab", "RET=FULL ENVID=x+7F"])
def test_nul_in_envid_cuts_a_record(strict, option):
    with strict.client() as c:
        c.hello()
        assert c.cmd(f"MAIL FROM:<a@sender.test> {option}").startswith("501 5.5.4"), option


@pytest.mark.parametrize("orcpt", ["rfc822;a+00b@x.test", "rfc822;+00", "rfc822;a+0Ab@x.test"])
def test_nul_in_orcpt_cuts_a_record(strict, orcpt):
    with strict.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@sender.test>", 250)
        assert c.cmd(f"RCPT TO:<b@good.test> ORCPT={orcpt}").startswith("501 5.5.4"), orcpt


def test_utf8_without_the_keyword_reads_a_null_pointer(strict):
    with strict.client() as c:
        c.hello()
        for command in ("MAIL FROM:<jürgen@sender.test>", "RCPT TO:<größe@good.test>", "VRFY größe@good.test", "RSET", "MAIL FROM:<\xff\xfe@sender.test>"):
            data = command.encode("latin-1" if "\xff" in command else "utf-8")
            c.raw(data + b"\r\n")
            assert c.reply()[0] in "245"
        c.expect("NOOP", 250)


def test_many_tiny_chunks_fill_the_memory(strict):
    with strict.client() as c:
        c.hello()
        c.envelope("a@sender.test", ["b@good.test"])
        c.raw("BDAT 8\r\nx: y\r\n\r\n")
        c.reply()
        before = resident(strict)
        for _ in range(200):
            c.raw("BDAT 1\r\nx" * 100)
            for _ in range(100):
                assert c.reply().startswith("250")
        assert resident(strict) - before < BIG
        c.raw("BDAT 2 LAST\r\n\r\n")
        # 20,010; and two for each of nine parts of the line, as line_length_limit makes of it
        assert "20028 bytes queued" in c.reply()
    strict.sink.wait(1)


def test_a_chunk_is_read_into_memory(strict):
    """A chunk that is refused is thrown away as it comes; the client may be, too."""
    with strict.client() as c:
        c.hello()
        before = resident(strict)
        c.raw(f"BDAT {BIG} LAST\r\n")
        try:
            for _ in range(BIG >> 16):
                c.raw(b"x" * 65536)
                assert resident(strict) - before < BIG // 4
            assert c.reply()[0] == "5"
        except (ConnectionError, EOFError):
            pass
    with strict.client() as c:
        c.expect("NOOP", 250)
    assert strict.pids("smtpd") and "signal" not in strict.log()


def test_from_lines_pass_the_size_limit_of_the_filter(instance):
    with Sink() as sink:
        m = instance(main="message_size_limit = 20000\nsmtpd_proxy_filter = 127.0.0.1:{port}\n".replace("{port}", str(sink.port)), sink_port=sink.port).start()
        with m.client() as c:
            c.hello()
            c.envelope("a@sender.test", ["b@good.test"])
            c.expect("DATA", 354)
            c.raw("From x\r\n" * 20000)
            assert c.cmd(".").startswith("552 5.3.4")
        assert not sink.messages


def test_a_client_that_only_sends_from_lines_makes_a_line_without_end(strict):
    with strict.client() as c:
        c.hello()
        c.envelope("a@sender.test", ["b@good.test"])
        c.expect("DATA", 354)
        before = resident(strict)
        for _ in range(100):
            c.raw(b"From " + b"x" * 65536)
        assert resident(strict) - before < BIG
        assert c.cmd("\r\n.")[0] in "25"


def test_addresses_with_line_ends_make_lines_in_other_files(strict):
    with strict.client() as c:
        c.hello()
        for address in ('"a\nb"@sender.test', '"a\rb"@sender.test', "a\0b@sender.test"):
            c.raw(f"MAIL FROM:<{address}>\r\n")
            replies = [c.reply()]
            c.raw("RSET\r\n")
            while not replies[-1].startswith("250 2.0.0"):
                replies.append(c.reply())
        c.expect("NOOP", 250)
    wait_for("the end of the session", lambda: "disconnect from" in strict.log())
    assert all(re.match(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ postfix", l) for l in strict.log().splitlines())


def test_replies_pile_up_for_a_client_that_never_reads(instance):
    m = instance(main="smtpd_timeout = 2s\nsmtpd_junk_command_limit = 1000000\n").start()
    with m.client() as c:
        c.hello()
        before = resident(m)
        c.s.settimeout(0.5)
        with pytest.raises((TimeoutError, ConnectionError)):  # twice as much would come back
            for _ in range(600):
                c.raw("RSET\r\n" * 11000)
        assert resident(m) - before < BIG
        m.wait_log(r"(timeout|lost connection) after RSET from localhost\[127\.0\.0\.1\]")
    assert m.send("b@mbox.test").startswith("250")


def test_one_client_after_another_in_one_session_fills_its_memory(instance):
    m = instance(main="smtpd_authorized_xclient_hosts = 127.0.0.1, 192.0.2.0/24\n").start()
    with m.client() as c:
        c.hello()
        for i in range(500):
            c.expect(f"XCLIENT NAME={'n.' * 100}test ADDR=192.0.2.{i % 250} HELO={'h.' * 100}test LOGIN={'l' * 200}", 220)
        c.expect("XCLIENT ADDR=127.0.0.1 LOGIN=[UNAVAILABLE]", 220)
        assert c.message("a@sender.test", ["b@mbox.test"], "x: y\r\n\r\n").startswith("250")


def test_restrictions_that_double_at_each_step_never_end(instance):
    names = [f"c{i}" for i in range(40)]
    m = instance(main=f"smtpd_restriction_classes = {' '.join(names)}\nsmtpd_sender_restrictions = c0\nc39 = reject_non_fqdn_sender\n"
                      + "".join(f"{a} = {b} {b}\n" for a, b in zip(names, names[1:]))).start()
    with m.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@example.test>", 250)
        assert c.cmd("RCPT TO:<b@mbox.test>") == "451 4.3.5 Server configuration error"
    m.wait_log("warning: .*too many restrictions")


def test_mail_to_a_crowd_is_refused_where_addresses_are_mapped(instance):
    """Hundreds in one field: each is looked up, none because of the others is one too many."""
    m = instance(main="canonical_maps = inline:{{{{u1499@x.test = last@x.test}}}}\nlocal_header_rewrite_clients = static:all\n").start()
    to = "To: " + ",\r\n ".join(f"u{i}@x.test" for i in range(1500)) + "\r\n\r\n"
    assert m.send("u@mbox.test", body=to).startswith("250")
    wait_for("the message", m.maildir)
    text = m.maildir()[0].read_text()
    assert "u1498@x.test" in text and "last@x.test" in text and "u1499@x.test" not in text


SHAPES = {
    "headers without end": lambda i: b"X-%d: y\r\n" % i,
    "one header without end": lambda i: b"\t%d %s\r\n" % (i, b"f" * 900),
    "addresses without end": lambda i: b" u%d@x.test,\r\n" % i,
    "parts in parts": lambda i: b"Content-Type: multipart/x; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i),
    "parameters without end": lambda i: b" p%d*0*=utf-8''%%41; boundary=\"b%d\";\r\n" % (i, i),
    "messages in messages": lambda i: b"Content-Type: message/rfc822\r\n\r\n",
}


@pytest.mark.release_only
@pytest.mark.parametrize("shape", SHAPES)
def test_content_fills_the_memory(instance, tmp_path, shape):
    """Each is a message of 9 MB; what it costs in memory is the same for all."""
    m = instance(main="header_checks = static:DUNNO\nmime_header_checks = static:DUNNO\nnested_header_checks = static:DUNNO\nbody_checks = static:DUNNO\n"
                      "canonical_maps = inline:{{{{u1@x.test = v@x.test}}}}\nlocal_header_rewrite_clients = static:all\n").start()
    m.send("b@mbox.test")
    before = sum(high_water(p) for p in m.pids("smtpd"))
    start = {"one header without end": b"X: y\r\n", "addresses without end": b"To: a@x.test,\r\n", "parameters without end": b"Content-Type: multipart/mixed;\r\n"}
    with m.client() as c:
        c.hello()
        c.envelope("a@sender.test", ["b@mbox.test"])
        c.expect("DATA", 354)
        c.raw(start.get(shape, b""))
        sent = i = 0
        while sent < 9_000_000:
            block = b"".join(SHAPES[shape](n) for n in range(i, i + 1000))
            c.raw(block)
            sent, i = sent + len(block), i + 1000
        assert c.cmd("\r\n.").startswith("250"), shape
    assert sum(high_water(p) for p in m.pids("smtpd")) - before < 8 << 20


def high_water(pid):
    return process_memory(pid, "VmHWM")
