"""sendmail beyond taking a message: SMTP on standard input, verification and reports, VERP, whose sender may be used."""
import os, subprocess

import harness


def run(m, *args, input="Subject: x\n\nhi\n"):
    p = m.cmd("sendmail", *args, input=input.encode(), check=False)
    return p.returncode, p.stdout.decode() if isinstance(p.stdout, bytes) else p.stdout, p.stderr.decode() if isinstance(p.stderr, bytes) else p.stderr


def maildrop(m):
    return os.listdir(m.dir / "spool" / "maildrop")


SESSION = ("EHLO me\r\nMAIL FROM:<a@example.test> BODY=8BITMIME\r\nRCPT TO:<u@mbox.test>\r\nDATA\r\nSubject: one\r\n\r\nfirst\r\n..dot\r\n.\r\n"
           "MAIL FROM:<>\r\nRCPT TO:<u@mbox.test>\r\nRCPT TO:<second@mbox.test>\r\nDATA\r\nSubject: two\r\n\r\nsecond\r\n.\r\nQUIT\r\n")


def test_a_session_from_a_pipe(mta):
    code, out, err = run(mta, "-bs", input=SESSION)
    assert code == 0 and err == "", err
    assert out.count("250 2.0.0 Ok: queued as ") == 2 and out.endswith("221 2.0.0 Bye\r\n")
    harness.wait_for("three mails", lambda: len(mta.maildir()) == 3)
    texts = [f.read_text() for f in mta.maildir()]
    first = next(t for t in texts if "Subject: one" in t)
    assert first.endswith("\n\nfirst\n.dot\n")
    assert "Received: from me (localhost [127.0.0.1])\n\tby mail.example.test (Postfix) with ESMTP id " in first
    assert "for <u@mbox.test>" in first and "from userid" in first
    assert sum("Return-Path: <>" in t for t in texts) == 2
    mta.wait_log(r"/smtpd\[\d+\]: disconnect from localhost\[127\.0\.0\.1\] ehlo=1 mail=2 rcpt=3 data=2 quit=1 commands=9")


def test_a_session_works_while_the_server_is_stopped(instance):
    m = instance()
    m.start()
    m.stop()
    code, out, _ = run(m, "-bs", input=SESSION)
    assert code == 0 and out.count("queued as") == 2
    assert len(maildrop(m)) == 2
    m.start()
    harness.wait_for("three mails", lambda: len(m.maildir()) == 3)


def test_a_session_that_breaks_off_leaves_nothing(mta):
    for cut in ("RCPT TO", "DATA", "\r\nfirst", "\r\n.\r\n"):
        code, out, _ = run(mta, "-bs", input=SESSION[:SESSION.index(cut)])
        assert "queued" not in out
    assert maildrop(mta) == []


def test_a_session_refuses_what_does_not_fit(instance):
    m = instance(main="message_size_limit = 2000\nsmtpd_recipient_limit = 2")
    m.start()
    _, out, _ = run(m, "-bs", input="EHLO x\r\nMAIL FROM:<>\r\n" + "RCPT TO:<u@mbox.test>\r\n" * 3 + "DATA\r\n" + "x" * 70 * 50 + "\r\n.\r\nQUIT\r\n")
    assert "452 4.5.3 Error: too many recipients" in out and "552 5.3.4 Error: message file too big" in out
    assert maildrop(m) == []


def test_modes_that_exclude_each_other(mta):
    for args, words in ((("-bs", "-t"), "-t can be used only in delivery mode"), (("-bs", "u@mbox.test"), "stand-alone mode requires no recipient"),
                        (("-bv", "-t"), "-t option cannot be used with -bv"), (("-bv", "-v", "u@mbox.test"), "-v option cannot be used with -bv"),
                        (("-n", "u@mbox.test"), "-n option not supported"), (("-XVab", "u@mbox.test"), "-V requires two characters from -=+"),
                        (("-Xlog", "u@mbox.test"), "unsupported: -Xl"), (("-bv",), "Recipient addresses must be specified")):
        code, _, err = run(mta, *args)
        assert code == 75 and words in err, (args, code, err)
    assert maildrop(mta) == []


def test_senders_of_each_login(instance):
    m = instance(main="local_login_sender_maps = inline:{{{{root=<> root ok@example.com @wild.example}}}}")
    m.start()
    m.stop()
    for sender, fine in (("root", True), ("", True), ("OK@EXAMPLE.com", True), ("x+y@WILD.example", True), ("other", False),
                         ("root@mail.example.test", False), ("ok+ext@example.com", False), ("x@sub.wild.example", False)):
        code, _, err = run(m, "-f", sender, "u@mbox.test")
        assert code == (0 if fine else 75), (sender, err)
        assert fine or f"not authorized to use sender='{sender}'" in err
    assert len(maildrop(m)) == 4


def test_a_table_of_senders_that_fails_refuses(instance):
    m = instance(main="local_login_sender_maps = fail:x")
    m.start()
    code, _, err = run(m, "-f", "root", "u@mbox.test")
    assert code == 75 and "local_login_sender_maps table lookup error for 'fail:x'" in err
    assert maildrop(m) == []


def test_carriage_returns_are_kept_or_taken_off(instance):
    """sendmail_fix_line_endings. A CR that is kept is a stray one: cleanup makes a blank of it."""
    m = instance()
    m.start()
    m.stop()

    def content(how, text):
        m.cmd("postconf", "-e", f"sendmail_fix_line_endings = {how}")
        code, _, err = run(m, "-f", "a@b.test", "u@mbox.test", input=text)
        if code != 0:
            return err
        drop = m.dir / "spool/maildrop" / maildrop(m)[0]
        data, found = drop.read_bytes(), b""
        drop.unlink()
        while data:
            size = int.from_bytes(data[1:5], "big")
            found += data[5:5 + size] if data[:1] == b"L" else b""
            data = data[5 + size:]
        return found.replace(b"\r\n", b"\n")

    crlf, mixed = "A: b\r\n\r\nx\r\r\n.\r\nmore\n", "A: b\n\nx\ry\r\r\n.\r\nz\n.\nmore\n"
    assert content("always", crlf).replace(b"\r", b"") == b"A: b\n\nx\n"
    assert content("strict", crlf).replace(b"\r", b"") == b"A: b\n\nx\n"
    assert content("strict", mixed) == b"A: b\n\nx\ry  \n. \nz\n"
    assert content("never", crlf) == b"A: b \n \nx  \n. \nmore\n"
    assert "sendmail: fatal: invalid sendmail_fix_line_endings value: Always" in content("Always", crlf)
