"""What the postmaster is told of sessions, as far as no recorded dialogue shows it (tests/compat/dialogues/notices*.case)."""
import os, re, signal

import harness

ALIAS = "virtual_alias_maps = inline:{{ {{boss@mail.example.test = u@mbox.test}} }}\nerror_notice_recipient = boss\n"


def notices(mta, n):
    """The n notices that came to the mailbox of the postmaster."""
    def mine():
        return [t for t in (f.read_text() for f in mta.maildir()) if "\nTranscript of session follows.\n" in t]
    harness.wait_for(f"{n} notices", lambda: len(mine()) >= n)
    return mine()


def test_the_postmaster_reads_what_a_server_did_not_understand(instance):
    answers = {"c1": "501 5.5.4 what?", "c2": "550 5.1.1 who?"}
    with harness.Sink(lambda verb, arg: next((a for c, a in answers.items() if verb == "RCPT" and f"<{c}@" in arg), None)) as sink:
        m = instance(main=ALIAS + "notify_classes = protocol\nsmtp_connection_cache_on_demand = no\n", sink_port=sink.port)
        m.start()
        m.send(rcpts=("c2@relay.test",))
        m.send(rcpts=("c1@relay.test",), body="Subject: t\r\n\r\nsecret\r\n")
        m.wait_empty()
        text, = notices(m, 1)
    port = re.escape(f"127.0.0.1[127.0.0.1]:{sink.port}")
    assert re.search(rf"^Subject: Postfix SMTP client: errors from {port}$", text, re.M)
    assert "\nTo: Postmaster <boss@mail.example.test>\n" in text
    assert re.search(rf"\n\nUnexpected response from {port}\.\n\nTranscript of session follows\.\n\n In:  220 ", text)
    assert "\n Out: RCPT TO:<c1@relay.test>" in text and "\n In:  501 5.5.4 what?\n" in text
    assert text.endswith("\n\nFor other details, see the local mail logfile\n")
    assert "secret" not in text


def test_no_session_waits_for_its_notice(instance):
    m = instance(main=ALIAS + "notify_classes = protocol\n")
    m.start()
    with m.client() as c:
        c.hello()
        stopped = m.pids("queue")
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            c.expect("FOO", "500")
            c.expect("QUIT", "221")
            assert c.is_closed()
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
    assert "\n In:  FOO\n Out: 500 5.5.2 Error: command not recognized\n In:  QUIT\n" in notices(m, 1)[0]


def test_a_password_is_mailed_to_the_postmaster(instance):
    m = instance(main=ALIAS + "notify_classes = protocol\n")
    m.start()
    with m.client() as c:
        c.hello()
        for blank in (" ", "\t", "\v", "\f", "\r"):
            c.expect(f"AUTH{blank}PLAIN{blank}AGpvZQBzZWNyZXQ=", "50")
        c.expect("QUIT", "221")
    text = notices(m, 1)[0]
    assert text.count("\n In:  AUTH") == 5 and "AGpv" not in text
