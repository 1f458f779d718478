"""smtpd_proxy_filter: the filter's words are the client's, and nothing gets past it."""
import os
import socket

import pytest

from harness import Instance, Sink, free_port, wait_for

XFORWARD = ("PIPELINING", "8BITMIME", "SIZE 1000000", "DSN", "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT")


def behave(verb, arg):
    if verb == "MAIL" and "refused" in arg:
        return "451 4.1.1 no such sender"
    if verb == "RCPT" and "refused" in arg:
        return "550 5.1.1 no such recipient"
    if verb == "RCPT" and "gone" in arg:
        return "close"
    if verb == "DOT" and "spam" in arg:
        return "550-5.7.1 spam\r\n550 5.7.1 go away"
    if verb == "DOT" and "vanish" in arg:
        return "close"
    return None


@pytest.fixture(scope="module")
def filtered(tmp_path_factory):
    with Sink(behave, XFORWARD) as sink:
        with Instance(tmp_path_factory.mktemp("filtered"), f"smtpd_proxy_filter = 127.0.0.1:{sink.port}\nsmtpd_peername_lookup = no\nsmtpd_forbid_bare_newline_exclusions =\n") as mta:
            mta.sink = sink
            yield mta


def test_a_message_goes_through(filtered):
    n = len(filtered.sink.messages)
    with filtered.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@example.test> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x+2By", 250)
        c.expect("RCPT TO:<x@relay.test> NOTIFY=NEVER ORCPT=rfc822;x+2By", 250)
        c.expect("DATA", 354)
        c.raw("Subject: t\r\n\r\nhello\r\n..dot\r\n")
        assert c.cmd(".") == f"250 2.0.0 Ok: queued as {n}"
    m = filtered.sink.wait(n + 1)[n]
    assert m["mail"] == "FROM:<a@example.test> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x+2By"
    assert m["rcpt"] == ["TO:<x@relay.test> NOTIFY=NEVER ORCPT=rfc822;x+2By"]
    lines = m["data"].split(b"\r\n")
    assert lines[0] == b"Received: from client.test (unknown [127.0.0.1])"
    assert lines[1] == b"\tby mail.example.test (Postfix) with ESMTP" and lines[2].startswith(b"\tfor <x@relay.test>; ")
    assert lines[3:] == [b"Subject: t", b"", b"hello", b".dot", b""]
    assert any(v.startswith("XFORWARD NAME=[UNAVAILABLE] ADDR=127.0.0.1 PORT=") and v.endswith("PROTO=ESMTP SOURCE=LOCAL") for v in filtered.sink.verbs)
    filtered.wait_log(r"NOQUEUE: client=unknown\[127\.0\.0\.1\]")
    filtered.wait_log(r"proxy-accept: END-OF-MESSAGE: 250 2\.0\.0 Ok: queued as \d+; from=<a@example\.test> to=<x@relay\.test> proto=ESMTP helo=<client\.test>")


def test_the_filter_refuses(filtered):
    with filtered.client() as c:
        c.hello()
        c.expect("MAIL FROM:<refused@example.test>", 250)
        assert c.cmd("RCPT TO:<x@relay.test>") == "451 4.1.1 no such sender"
        c.expect("RSET", 250)
        c.expect("MAIL FROM:<a@example.test>", 250)
        assert c.cmd("RCPT TO:<refused@relay.test>") == "550 5.1.1 no such recipient"
        c.expect("RCPT TO:<x@relay.test>", 250)
        c.expect("DATA", 354)
        assert c.cmd("Subject: spam\r\n\r\n.") == "550-5.7.1 spam\n550 5.7.1 go away"
        c.expect("NOOP", 250)
    filtered.wait_log(r'warning: proxy 127\.0\.0\.1:\d+ rejected "MAIL FROM:<refused@example\.test>": "451 4\.1\.1 no such sender"')
    filtered.wait_log(r"proxy-reject: END-OF-MESSAGE: 550-5\.7\.1 spam\?\?550 5\.7\.1 go away; ")


def test_a_filter_that_goes_away(filtered):
    with filtered.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@example.test>", 250)
        assert c.cmd("RCPT TO:<gone@relay.test>") == "451 4.3.0 Error: queue file write error"
        assert c.cmd("RCPT TO:<x@relay.test>") == "451 4.3.0 Error: queue file write error"
        c.expect("RSET", 250)
        c.envelope()
        c.expect("DATA", 354)
        assert c.cmd("Subject: vanish\r\n\r\n.") == "451 4.3.0 Error: queue file write error"
        c.envelope()
        c.expect("DATA", 354)
        c.expect("Subject: back\r\n\r\n.", 250)
    filtered.wait_log(r"warning: lost connection with proxy 127\.0\.0\.1:\d+")
    filtered.wait_log(r"proxy-reject: END-OF-MESSAGE: 451 4\.3\.0 Error: queue file write error; ")


def test_a_client_that_goes_away_leaves_half_a_message(filtered):
    n = len(filtered.sink.messages)
    c = filtered.client()
    c.hello()
    c.envelope()
    c.expect("DATA", 354)
    c.raw("Subject: half\r\n\r\nhal")
    c.s.close()
    filtered.wait_log(r"lost connection after DATA")
    with filtered.client() as c:
        c.message("a@example.test", ["x@relay.test"], "Subject: whole\r\n\r\n")
    assert [b"half" in m["data"] for m in filtered.sink.wait(n + 1)[n:]] == [False]


ENDS = ["\r\n.\r\n", "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r\r\n.\r\r\n", "\r\n\0.\r\n", "\n\r.\r\n"]


@pytest.mark.parametrize("end", ENDS[1:])
def test_smuggling_through_the_filter(filtered, end):
    """Whatever ends no message for us ends none for the filter."""
    n = len(filtered.sink.messages)
    with filtered.client() as c:
        c.hello()
        c.envelope()
        c.expect("DATA", 354)
        c.raw(f"Subject: outer\r\n\r\nx{end}MAIL FROM:<evil@example.test>\r\nRCPT TO:<victim@relay.test>\r\nDATA\r\nSubject: inner\r\n")
        c.expect("\r\n.", 250)
        c.expect("NOOP", 250)
    messages = filtered.sink.wait(n + 1)[n:]
    assert len(messages) == 1 and b"Subject: inner" in messages[0]["data"]
    assert not any("victim" in r for m in messages for r in m["rcpt"])
    data = messages[0]["data"]
    assert data.replace(b"\r\n", b"").find(b"\r") < 0 and data.replace(b"\r\n", b"").find(b"\n") < 0


def test_a_large_message_through_a_slow_filter(filtered):
    n = len(filtered.sink.messages)
    body = "Subject: large\r\n\r\n" + ("x" * 70 + "\r\n") * 60000
    with filtered.client() as c:
        assert c.message("a@example.test", ["x@relay.test"], body).startswith("250")
    assert len(filtered.sink.wait(n + 1)[n]["data"]) > len(body)


def test_nobody_listens(tmp_path):
    with Instance(tmp_path, f"smtpd_proxy_filter = inet:localhost:{free_port()}\n") as mta:
        with mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            assert c.cmd("RCPT TO:<x@relay.test>") == "451 4.3.0 Error: queue file write error"
        mta.wait_log(r"warning: connect to proxy filter localhost:\d+: Connection refused")
        assert mta.queue() == []


def test_a_filter_that_says_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        with Instance(tmp_path, f"smtpd_proxy_filter = 127.0.0.1:{mute.getsockname()[1]}\nsmtpd_proxy_timeout = 1s\n") as mta:
            with mta.client() as c:
                c.hello()
                c.expect("MAIL FROM:<a@example.test>", 250)
                assert c.cmd("RCPT TO:<x@relay.test>") == "451 4.3.0 Error: queue file write error"
            mta.wait_log(r"warning: timeout talking to proxy 127\.0\.0\.1:\d+")


def test_a_filter_behind_a_unix_socket(tmp_path):
    import threading
    path = tmp_path / "spool" / "private" / "filter"
    mta = Instance(tmp_path, "smtpd_proxy_filter = unix:private/filter\n")
    with mta:
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(path))
            os.chmod(path, 0o777)
            s.listen(5)
            got = []

            def serve():
                peer, _ = s.accept()
                with peer, peer.makefile("rb") as f:
                    peer.sendall(b"220 x\r\n")
                    for line in f:
                        got.append(line)
                        if line == b"DATA\r\n":
                            peer.sendall(b"354 go\r\n")
                            while f.readline() != b".\r\n":
                                pass
                        if line == b"QUIT\r\n":
                            return
                        peer.sendall(b"250 by unix\r\n")
            threading.Thread(target=serve, daemon=True).start()
            assert mta.send() == "250 by unix"
            wait_for("QUIT", lambda: b"QUIT\r\n" in got)


def test_actions_that_a_filter_makes_impossible(filtered, tmp_path):
    with Sink() as sink:
        rules = "smtpd_recipient_restrictions = check_recipient_access inline:{{x@relay.test=HOLD}}\n".replace("{{", "{{{{").replace("}}", "}}}}")
        with Instance(tmp_path, f"smtpd_proxy_filter = 127.0.0.1:{sink.port}\n" + rules) as mta:
            assert mta.send().startswith("250")
            mta.wait_log(r"warning: access table .* with smtpd_proxy_filter specified, action")
            sink.wait(1)
