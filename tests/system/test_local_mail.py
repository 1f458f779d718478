"""Mail from programs on this machine: sendmail, postdrop, pickup; and what comes back to them from bounce."""
import os, re, signal

import harness


def run(mta, *args, input=b"", env=None):
    """sendmail with its exit status and its words."""
    if isinstance(input, str):
        input = input.encode()
    p = mta.cmd("sendmail", *args, input=input, check=False, env=env)
    return p.returncode, p.stderr if isinstance(p.stderr, str) else p.stderr.decode()


def texts(mta, n, to="u@mbox.test"):
    """The n messages for `to`; all addresses share one Maildir."""
    def mine():
        found = [f.read_text(encoding="latin1") for f in mta.maildir()]
        return [t for t in found if f"\nDelivered-To: {to}\n" in t]
    harness.wait_for(f"{n} messages for {to}", lambda: len(mine()) >= n)
    return mine()


def test_what_is_missing_is_completed(mta):
    assert run(mta, "-F", 'Joe "J" Doe', "-f", "joe", "u@mbox.test", input="hello\n")[0] == 0
    t = texts(mta, 1)[0]
    head, body = t.split("\n\n", 1)
    assert body == "hello\n"
    assert re.search(r'^From: "Joe \\"J\\" Doe" <joe@\S+>$', head, re.M)
    assert re.search(r"^Message-Id: <\d{14}\.[0-9A-F]+@mail\.example\.test>$", head, re.M)
    assert re.search(r"^Date: \w{3}, ", head, re.M)
    assert re.search(r"^Received: by mail\.example\.test \(Postfix, from userid \d+\)$", head, re.M)


def test_recipients_in_the_header(mta):
    code, _ = run(mta, "-t", "-f", "a@example.test",
                  input='From: a@example.test\nTo: "U, the" <u@mbox.test>\nBcc: secret@mbox.test\nSubject: x\n\nb\n.\nnot here\n')
    assert code == 0
    t = texts(mta, 1)[0]
    assert "secret" not in t and t.endswith("\n\nb\n")
    assert "secret" not in texts(mta, 1, "secret@mbox.test")[0].split("\nReceived: ")[1]


def test_a_dot_is_data_with_i(mta):
    assert run(mta, "-i", "u@mbox.test", input="a\n.\nb\n..\nc")[0] == 0
    assert texts(mta, 1)[0].endswith("\n\na\n.\nb\n..\nc\n")


def test_duplicates_are_delivered_once(mta):
    assert run(mta, "u@mbox.test, U@mbox.test", "u@mbox.test", input="x\n")[0] == 0
    texts(mta, 1)
    mta.wait_log("removed")
    assert len(mta.maildir()) == 1


def test_large_mail(mta):
    line = b"0123456789" * 7 + b"\n"
    assert run(mta, "u@mbox.test", input=b"Subject: large\n\n" + line * 40000)[0] == 0
    assert texts(mta, 1)[0].endswith(line.decode() * 3)
    assert len(texts(mta, 1)[0]) > 40000 * len(line)


def test_refusals_leave_nothing_behind(instance):
    m = instance(main="message_size_limit = 10000")
    m.start()
    for args, data, words in ((["u@mbox.test"], "x" * 20000, "message file too big"),
                              ([], "x", "Recipient addresses must be specified"),
                              (["-t"], "Subject: x\n\nb\n", "No recipient addresses found in message header"),
                              (["-Z"], "", "usage: sendmail"),
                              (["-B", "9BIT", "u@mbox.test"], "x", "-B option needs")):
        code, said = run(m, *args, input=data)
        assert code == 75 and words in said, (args, code, said)
    assert os.listdir((m.dir / "spool") / "maildrop") == []


def test_postdrop_refuses_what_is_not_its_format(mta):
    for data in (b"garbage", b"V\0\0\0\1" b"1S\0\0\0\3a\nbR\0\0\0\1cX\0\0\0\0", b"V\0\0\0\1" b"1S\0\0\0\1aR\0\0\0\1b"):
        assert mta.cmd("postdrop", input=data, check=False).returncode == 65
    assert os.listdir((mta.dir / "spool") / "maildrop") == []


def test_pickup_sets_aside_what_is_not_valid(mta):
    bad = (mta.dir / "spool") / "maildrop" / "BAD0"
    bad.write_bytes(b"V\0\0\0\1" b"1garbage")
    bad.chmod(0o744)
    incomplete = (mta.dir / "spool") / "maildrop" / "HALF0"
    incomplete.write_bytes(b"V\0\0\0\1" b"1")
    incomplete.chmod(0o600)
    assert run(mta, "u@mbox.test", input="x\n")[0] == 0
    texts(mta, 1)
    harness.wait_for("the bad file to be set aside", lambda: not bad.exists())
    assert ((mta.dir / "spool") / "corrupt" / "BAD0").exists() and incomplete.exists()
    mta.wait_log("BAD0")


def test_the_error_transport_bounces_with_its_text(instance, tmp_path):
    table = tmp_path / "transport"
    table.write_text("gone.test error:5.7.1 we moved away\nlater.test retry:4.7.1 not now\nnull.test discard:\n")
    m = instance(main=f"transport_maps = texthash:{table}\nnotify_classes = bounce\nbounce_notice_recipient = boss@mbox.test")
    m.start()
    for rcpt in ("x@gone.test", "x@later.test", "x@null.test"):
        m.cmd("sendmail", "-f", "u@mbox.test", "-V", "envelope+1", rcpt, input="Subject: lost\n\nbody\n")
    t = texts(m, 1)[0]
    m.wait_log(r"to=<x@gone\.test>, relay=none, delay=\S+, delays=\S+, dsn=5\.7\.1, status=bounced \(we moved away\)")
    m.wait_log(r"to=<x@later\.test>, relay=none, delay=\S+, delays=\S+, dsn=4\.7\.1, status=deferred \(not now\)")
    m.wait_log(r"to=<x@null\.test>, relay=none, delay=\S+, delays=\S+, dsn=2\.0\.0, status=sent \(null\.test\)")
    m.wait_log(r"sender non-delivery notification: [0-9A-F]+")
    m.wait_log(r"postmaster non-delivery notification: [0-9A-F]+")
    for part in ("Subject: Undelivered Mail Returned to Sender\n", "\n<x@gone.test>: we moved away\n", "\nOriginal-Envelope-Id: envelope+1\n",
                 "\nFinal-Recipient: rfc822; x@gone.test\n", "\nAction: failed\nStatus: 5.7.1\nDiagnostic-Code: X-Postfix; we moved away\n",
                 "\nReturn-Path: <u@mbox.test>\n", "\nSubject: lost\n", "\n\nbody\n\n--"):
        assert part in t, (part, t)
    copy = texts(m, 1, "boss@mbox.test")[0]
    assert "Subject: Postmaster Copy: Undelivered Mail\n" in copy and "\n\nbody\n" not in copy


def test_nobody_is_told_about_a_bounce_that_bounces(instance, tmp_path):
    table = tmp_path / "transport"
    table.write_text("gone.test error:5.7.1 we moved away\n")
    m = instance(main=f"transport_maps = texthash:{table}\nnotify_classes = 2bounce\n2bounce_notice_recipient = boss@gone.test")
    m.start()
    m.cmd("sendmail", "-f", "<>", "x@gone.test", input="Subject: bounce\n\nbody\n")
    m.wait_log(r"postmaster non-delivery notification: [0-9A-F]+")
    m.wait_log(r"warning: [0-9A-F]+: undeliverable postmaster notification discarded")
    m.wait_empty()


def test_refused_content_goes_back_to_its_sender(instance, tmp_path):
    checks = tmp_path / "checks"
    checks.write_text("/^Subject: no/ REJECT\n/^Subject: words/ REJECT 5.7.9 own words\n/^Subject: later/ REJECT 4.7.1 perhaps\n/^X-Copy:/ HOLD\n")
    m = instance(main=f"header_checks = regexp:{checks}\nhopcount_limit = 5\nstrict_8bitmime_body = yes\nmessage_reject_characters = \\1\n"
                      "virtual_alias_maps = inline:{{ {{twin@mbox.test = one@mbox.test two@mbox.test}} }}")
    m.start()
    for data, dsn, text, is_whole in (
            ("X-Copy: 1\nSubject: no\nX-After: 1\n\nbody\n", "5.7.1", "message content rejected", False),
            ("Subject: words\n\nbody\n", "5.7.9", "own words", False),
            ("Received: x\n" * 9 + "Subject: hops\n\nbody\n", "5.4.0", "too many hops", True),
            ("Subject: strict\n\nb\u00f6dy\n", "5.6.0", "improper use of 8-bit data in message body", False),
            ("Subject: byte\n\nb\1dy\n", "5.7.1", "disallowed character", False)):
        n = len(m.maildir())
        m.cmd("sendmail", "-f", "u@mbox.test", "one@mbox.test", "twin@mbox.test", input=data)
        harness.wait_for(f"the notice about {text}", lambda: len(m.maildir()) > n)
        m.wait_empty()
        assert len(m.maildir()) == n + 1
        notices = (re.sub(r"\n +", " ", t) for t in texts(m, n + 1))
        t = next(t for t in notices if f"Status: {dsn}\nDiagnostic-Code: X-Postfix; {text}\n" in t)
        for part in (f"\n<one@mbox.test>: {text}\n", f"\n<two@mbox.test> (expanded from <twin@mbox.test>): {text}\n",
                     "\nReturn-Path: <u@mbox.test>\n", "\nSubject: " + re.search("Subject: (.*)", data)[1] + "\n"):
            assert part in t, (part, t)
        assert ("\nContent-Type: message/rfc822\n" in t) == is_whole and ("\n\nbody\n" in t) == is_whole
        assert "X-After" in t or "X-After" not in data
    m.wait_log(r"cleanup\[\d+\]: (\w+): reject: header Subject: no from local; from=<u@mbox\.test> to=<twin@mbox\.test>: 5\.7\.1 message content rejected")
    m.wait_log(r"dsn=5\.7\.1, status=bounced \(message content rejected\)")
    m.wait_log(r"warning: \w+: message rejected: hopcount exceeded")
    m.wait_log(r"reject: mime-error improper use of 8-bit data in message body: \S+ from local; from=<u@mbox\.test> to=<twin@mbox\.test>")
    # Nobody to tell; wanted by nobody; not refused for good.
    n = len(m.maildir())
    m.cmd("sendmail", "-f", "<>", "one@mbox.test", input="Subject: no\n\nnull\n")
    m.cmd("sendmail", "-f", "u@mbox.test", "-N", "never", "one@mbox.test", input="Subject: no\n\nnever\n")
    m.cmd("sendmail", "-f", "u@mbox.test", "one@mbox.test", input="Subject: later\n\nb\n")
    m.wait_log(r"message not accepted now: 451 4\.7\.1 perhaps")
    harness.wait_for("pickup to have seen all three", lambda: len(os.listdir(m.dir / "spool" / "maildrop")) == 1)
    m.wait_empty()
    assert len(m.maildir()) == n and os.listdir(m.dir / "spool" / "corrupt") == []


def test_pickup_survives_queue(mta):
    for i in range(10):
        if i == 3:
            mta.kill(signal.SIGKILL, role="queue")
        assert run(mta, "u@mbox.test", input=f"Subject: {i}\n\nx\n")[0] == 0
    harness.wait_for("an empty maildrop", lambda: os.listdir(mta.dir / "spool" / "maildrop") == [])
    mta.wait_empty()
    # Nothing is lost. Twice is possible: killed between the sync and the answer, or between a delivery and its record.
    assert {re.search(r"^Subject: (\d)$", t, re.M)[1] for t in texts(mta, 10)} == {str(i) for i in range(10)}
