"""A message goes in by SMTP and by sendmail, and comes out by SMTP and in a Maildir."""
import re

import pytest

pytestmark = pytest.mark.smoke


def test_smtp_in_smtp_out(mta):
    reply = mta.send("x@relay.test", body="Subject: first\r\n\r\nhello\r\n.. two dots\r\n")
    qid = re.fullmatch(r"250 2\.0\.0 Ok: queued as ([0-9A-Za-z]+)", reply)[1]
    m = mta.sink.wait(1)[0]
    assert m["mail"].startswith("FROM:<a@example.test>") and m["rcpt"] == ["TO:<x@relay.test> ORCPT=rfc822;x@relay.test"]
    data = m["data"].decode()
    assert data.endswith("Subject: first\r\n\r\nhello\r\n. two dots\r\n") or "hello\r\n. two dots\r\n" in data
    assert re.match(r"Received: from client\.test \(localhost \[127\.0\.0\.1\]\)\r\n\tby mail\.example\.test \(Postfix\) with ESMTP id " + qid
                    + r"\r\n\tfor <x@relay\.test>; \w{3}, +\d+ \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)\r\n", data)
    mta.wait_log(qid + ": removed")
    log = mta.log()
    for line in (r"smtpd\[\d+\]: connect from localhost\[127\.0\.0\.1\]",
                 r"smtpd\[\d+\]: " + qid + r": client=localhost\[127\.0\.0\.1\]",
                 qid + r": message-id=<\S+@mail\.example\.test>",
                 r"qmgr\[\d+\]: " + qid + r": from=<a@example\.test>, size=\d+, nrcpt=1 \(queue active\)",
                 r"smtp\[\d+\]: " + qid + r": to=<x@relay\.test>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, "
                 r"dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: queued as 0\)",
                 r"qmgr\[\d+\]: " + qid + ": removed",
                 r"smtpd\[\d+\]: disconnect from localhost\[127\.0\.0\.1\] ehlo=1 mail=1 rcpt=1 data=1 commands=4"):
        if "disconnect" in line:
            mta.wait_log(line)
        else:
            assert re.search(line, log), f"{line}\n{log}"


def test_smtp_in_maildir_out(mta):
    mta.send("u@mbox.test", body="Subject: box\r\n\r\nhello\r\n")
    mta.wait_log(r"relay=virtual, delay=\S+ delays=\S+ dsn=2\.0\.0, status=sent \(delivered to maildir\)")
    files = mta.maildir()
    assert len(files) == 1
    text = files[0].read_bytes()
    assert text.startswith(b"Return-Path: <a@example.test>\nX-Original-To: u@mbox.test\nDelivered-To: u@mbox.test\nReceived: from client.test ")
    assert b"\r" not in text and text.endswith(b"\n\nhello\n")


def test_sendmail_in_smtp_out(mta):
    mta.cmd("sendmail", "-f", "me@example.test", "x@relay.test", input="To: x@relay.test\nSubject: local\n\nfrom a program\n")
    m = mta.sink.wait(1)[0]
    assert b"from a program\r\n" in m["data"] and m["mail"].startswith("FROM:<me@example.test>")
    mta.wait_log(r"pickup\[\d+\]: \w+: uid=\d+ from=<me@example\.test>")


def test_sendmail_while_the_server_is_stopped(mta):
    mta.stop()
    mta.cmd("sendmail", "-f", "me@example.test", "x@relay.test", input="Subject: later\n\nwait for it\n")
    assert mta.sink.messages == []
    mta.start()
    assert b"wait for it\r\n" in mta.sink.wait(1)[0]["data"]


def test_a_stranger_may_not_relay(instance):
    m = instance("mynetworks = 192.0.2.0/24").start()
    with m.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@elsewhere.test>", 250)
        assert c.cmd("RCPT TO:<x@relay.test>") in ("454 4.7.1 <x@relay.test>: Relay access denied", "554 5.7.1 <x@relay.test>: Relay access denied")
        c.expect("RCPT TO:<u@mbox.test>", 250)
