"""smtpd_proxy_filter: the filter's words are the client's, and nothing gets past it."""
import contextlib
import os
import pathlib
import socket
import struct
import subprocess
import threading

import pytest

from harness import PATIENCE, Instance, Sink, free_port, open_files, stop_accepting, wait_for
from test_disk import small_disk

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
    with Instance(tmp_path, f"smtpd_proxy_filter = inet:localhost:{free_port()}\nnotify_classes =\n") as mta:
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


# ---- speed_adjust: the filter gets whole messages ----


def adjusting(verb, arg):
    if verb == "MAIL" and "odd" in arg:
        return "354 odd"
    if verb == "RCPT" and "several" in arg:
        return "550-5.1.1 no such\r\n550 5.1.1 recipient"
    if verb == "DATA" and adjusting.refuses_data:
        return adjusting.refuses_data
    return behave(verb, arg)


adjusting.refuses_data = None


@pytest.fixture(scope="module")
def adjusted(tmp_path_factory):
    with Sink(adjusting, XFORWARD) as sink:
        with Instance(tmp_path_factory.mktemp("adjusted"), f"smtpd_proxy_filter = 127.0.0.1:{sink.port}\nsmtpd_proxy_options = speed_adjust\nsmtpd_peername_lookup = no\nmessage_size_limit = 40000000\nsmtpd_forbid_bare_newline_exclusions =\n") as mta:
            mta.sink = sink
            yield mta


def test_speed_adjust_receives_the_message_first(adjusted):
    n, sessions = len(adjusted.sink.messages), adjusted.sink.sessions
    with adjusted.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@example.test> SIZE=100 BODY=8BITMIME", 250)
        assert c.cmd("RCPT TO:<x@relay.test> NOTIFY=NEVER ORCPT=rfc822;x+2By") == "250 2.1.5 Ok"
        assert c.cmd("RCPT TO:<y@relay.test>") == "250 2.1.5 Ok"
        c.expect("DATA", 354)
        c.raw("Subject: t\r\n\r\nhello\r\n..dot\r\n")
        assert adjusted.sink.sessions == sessions  # nobody waits for this client
        assert c.cmd(".") == f"250 2.0.0 Ok: queued as {n}"
        c.expect("NOOP", 250)
    m = adjusted.sink.wait(n + 1)[n]
    assert m["mail"] == "FROM:<a@example.test> SIZE=100 BODY=8BITMIME"
    assert m["rcpt"] == ["TO:<x@relay.test> NOTIFY=NEVER ORCPT=rfc822;x+2By", "TO:<y@relay.test>"]
    lines = m["data"].split(b"\r\n")
    assert lines[:2] == [b"Received: from client.test (unknown [127.0.0.1])", b"\tby mail.example.test (Postfix) with ESMTP;"]
    assert lines[3:] == [b"Subject: t", b"", b"hello", b".dot", b""]
    assert any(v.startswith("XFORWARD NAME=[UNAVAILABLE] ADDR=127.0.0.1 PORT=") for v in adjusted.sink.verbs)
    adjusted.wait_log(r"NOQUEUE: client=unknown\[127\.0\.0\.1\]")
    adjusted.wait_log(r"proxy-accept: END-OF-MESSAGE: 250 2\.0\.0 Ok: queued as \d+; from=<a@example\.test> to=<x@relay\.test> proto=ESMTP helo=<client\.test>")
    wait_for("QUIT at the filter", lambda: adjusted.sink.verbs[-1] == "QUIT")


@pytest.mark.parametrize(
    "sender,recipients,subject,reply",
    [
        ("refused", ["x"], "t", "451 4.1.1 no such sender"),
        ("odd", ["x"], "t", "451 4.3.0 Error: queue file write error"),
        ("a", ["x", "refused"], "t", "550 5.1.1 no such recipient"),
        ("a", ["several"], "t", "550-5.1.1 no such\n550 5.1.1 recipient"),
        ("a", ["gone", "x"], "t", "451 4.3.0 Error: queue file write error"),
        ("a", ["x"], "spam", "550-5.7.1 spam\n550 5.7.1 go away"),
        ("a", ["x"], "vanish", "451 4.3.0 Error: queue file write error"),
    ],
)
def test_speed_adjust_tells_what_the_filter_refused_at_the_end(adjusted, sender, recipients, subject, reply):
    """As Postfix does: one refused recipient refuses the message."""
    n = len(adjusted.sink.messages)
    with adjusted.client() as c:
        c.hello()
        c.expect(f"MAIL FROM:<{sender}@example.test>", 250)
        for r in recipients:
            c.expect(f"RCPT TO:<{r}@relay.test>", 250)
        c.expect("DATA", 354)
        assert c.cmd(f"Subject: {subject}\r\n\r\n.") == reply
        c.expect("MAIL FROM:<a@example.test>", 250)
        c.expect("RCPT TO:<x@relay.test>", 250)
        c.expect("DATA", 354)
        c.expect("Subject: after\r\n\r\n.", 250)
    assert len(adjusted.sink.wait(n + 1)) == n + 1
    said = reply.replace("\n", "??").replace(".", r"\.").replace("?", r"\?")
    adjusted.wait_log(rf"proxy-reject: END-OF-MESSAGE: {said}; from=<{sender}@example\.test> to=<{recipients[0]}@relay\.test> proto=ESMTP helo=<client\.test>")


@pytest.mark.parametrize("said,reply", [("550 5.7.0 not today", "550 5.7.0 not today"), ("250 2.0.0 taken", "451 4.3.0 Error: queue file write error")])
def test_speed_adjust_and_a_filter_that_wants_no_data(adjusted, said, reply):
    """A filter that says yes without having seen the message has not taken it."""
    adjusting.refuses_data = said
    try:
        with adjusted.client() as c:
            assert c.message("a@example.test", ["x@relay.test"], "Subject: t\r\n\r\n") == reply
    finally:
        adjusting.refuses_data = None
    adjusted.wait_log(r'warning: proxy 127\.0\.0\.1:\d+ rejected "DATA": "' + said.replace(".", r"\."))


@pytest.mark.parametrize("lines", [900, 2000, 60000])
def test_speed_adjust_with_large_messages(adjusted, lines):
    """Beyond 64 KiB the message waits in a stage file."""
    n = len(adjusted.sink.messages)
    body = "Subject: large\r\n\r\n" + "".join(f"{i:070}\r\n" for i in range(lines))
    with adjusted.client() as c:
        assert c.message("a@example.test", ["x@relay.test"], body).startswith("250")
    assert adjusted.sink.wait(n + 1)[n]["data"].decode().endswith(body)


def test_speed_adjust_when_the_client_goes_away(adjusted):
    n = len(adjusted.sink.messages)
    for size in (10, 5000):
        c = adjusted.client()
        c.hello()
        c.envelope()
        c.expect("DATA", 354)
        c.raw("Subject: half\r\n\r\n" + "half a line of it is more than nothing\r\n" * size)
        c.s.close()
    wait_for("both are gone", lambda: adjusted.log().count("lost connection after DATA") >= 2)
    with adjusted.client() as c:
        c.message("a@example.test", ["x@relay.test"], "Subject: whole\r\n\r\n")
    assert [b"half" in m["data"] for m in adjusted.sink.wait(n + 1)[n:]] == [False]


@pytest.mark.parametrize("end", ENDS[1:])
def test_smuggling_with_speed_adjust(adjusted, end):
    test_smuggling_through_the_filter(adjusted, end)


def test_speed_adjust_when_nobody_listens(tmp_path):
    with Instance(tmp_path, f"smtpd_proxy_filter = 127.0.0.1:{free_port()}\nsmtpd_proxy_options = speed_adjust\n") as mta:
        with mta.client() as c:
            c.hello()
            c.envelope()
            c.expect("DATA", 354)
            assert c.cmd("Subject: t\r\n\r\n.") == "451 4.3.0 Error: queue file write error"
        mta.wait_log(r"warning: connect to proxy filter 127\.0\.0\.1:\d+: Connection refused")
        mta.wait_log(r"proxy-reject: END-OF-MESSAGE: 451 4\.3\.0 Error: queue file write error; ")


class Dying:
    """A filter that does what it is told at one point of each session: `at` counts what it hears, line by line; behind DATA the
    point is "content". It closes, resets, pauses, or says what is no reply."""

    def __init__(self):
        self.at, self.how, self.taken = None, None, 0
        self.paused, self.may_go = threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.may_go.set()
        stop_accepting(self.listener, self.thread)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                with peer, peer.makefile("rb") as f, contextlib.suppress(OSError):
                    self.session(peer, f)

    def dies(self, peer, point):
        if point != self.at:
            return False
        if self.how == "pause":
            self.paused.set()
            return not self.may_go.wait(2 * PATIENCE)
        if self.how == "nonsense":
            peer.sendall(b"\0\xff\r\n" * 100)
        if self.how == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return True

    def session(self, peer, f):
        if self.dies(peer, 0):
            return
        peer.sendall(b"220 x\r\n")
        for n, line in enumerate(f, 1):
            if self.dies(peer, n):
                return
            if line != b"DATA\r\n":
                peer.sendall(b"250 ok\r\n")
                continue
            peer.sendall(b"354 go\r\n")
            for l in f:
                if l == b"Subject: t\r\n" and self.dies(peer, "content"):
                    return
                if l == b".\r\n":
                    break
            else:
                return
            if self.dies(peer, "dot"):
                return
            self.taken += 1
            peer.sendall(b"250 taken\r\n")


@pytest.mark.parametrize("body", ["small\r\n" * 10, "a line of a message that waits in a file\r\n" * 20000], ids=["memory", "file"])
def test_speed_adjust_and_a_filter_that_dies_at_any_point(body, tmp_path):
    with Dying() as filter, Instance(tmp_path, f"smtpd_proxy_filter = 127.0.0.1:{filter.port}\nsmtpd_proxy_options = speed_adjust\n") as mta, mta.client() as c:
        c.hello()
        points = [0, 1, 2, 3, 4, 5, "content", "dot"]  # connection, EHLO, MAIL, two RCPT, DATA …
        tries = [(at, how) for how in ("close", "reset") for at in points] + [(3, "nonsense"), ("dot", "nonsense")]
        for filter.at, filter.how in tries:
            reply = c.message("a@example.test", ["x@relay.test", "y@relay.test"], "Subject: t\r\n\r\n" + body)
            assert reply == "451 4.3.0 Error: queue file write error", (filter.at, filter.how)
        assert filter.taken == 0
        filter.at = None
        assert c.message("a@example.test", ["x@relay.test"], "Subject: t\r\n\r\n" + body) == "250 taken"
    assert filter.taken == 1


def test_speed_adjust_with_chunks(adjusted):
    """What is no end of a message in BDAT is none for the filter."""
    n = len(adjusted.sink.messages)
    chunks = [b"Subject: t\r\n\r\nline\r\n", b".\r\n..\r", b"\n.", b"x\n.\r\nQUIT\r\n"] + [b"y" * 998 + b"\r\n"] * 100 + [b"\r\n."]
    with adjusted.client() as c:
        c.hello()
        c.envelope()
        for i, chunk in enumerate(chunks):
            last = i == len(chunks) - 1
            c.raw(b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if last else b"") + chunk)
            assert c.reply().startswith("250")
        c.expect("NOOP", 250)
    data = adjusted.sink.wait(n + 1)[n]["data"]
    assert data.endswith(b"Subject: t\r\n\r\nline\r\n.\r\n..\r\n.x\r\n.\r\nQUIT\r\n" + (b"y" * 998 + b"\r\n") * 100 + b"\r\n.\r\n")
    assert len(adjusted.sink.messages) == n + 1


def stage_files(mta):
    """Those that smtpd has open."""
    return [path for pid in mta.pids("smtpd") for path in open_files(pid).values() if "/stage/" in path]


def test_speed_adjust_when_the_message_cannot_be_read_again(tmp_path, inside):
    """It is never sent as if it ended there."""
    with Dying() as filter, Instance(tmp_path, f"smtpd_proxy_filter = 127.0.0.1:{filter.port}\nsmtpd_proxy_options = speed_adjust\nmessage_size_limit = 0\n") as mta, mta.client() as c:
        filter.at, filter.how = "content", "pause"
        c.hello()
        c.envelope()
        c.expect("DATA", 354)
        c.raw("Subject: t\r\n\r\n" + ("z" * 998 + "\r\n") * 12000 + ".\r\n")  # more than sockets hold
        assert filter.paused.wait(PATIENCE)
        moved = [0]  # until the sockets are full
        wait_for("the pause", lambda: moved.append(sum(int(pathlib.Path(f"/proc/{p}/io").read_text().split()[1]) for p in mta.pids("smtpd"))) or moved[-1] == moved[-2])
        path, = stage_files(mta)
        os.truncate(path, 0)
        filter.may_go.set()
        assert c.reply() == "451 4.3.0 Error: queue file write error"
        mta.wait_log(r"warning: read the message for proxy 127\.0\.0\.1:\d+: the file is shorter than it was")
        filter.at = None
        assert c.message("a@example.test", ["x@relay.test"], "Subject: t\r\n\r\n") == "250 taken"
    assert filter.taken == 1


def test_speed_adjust_when_queue_is_killed_with_the_message_in_its_file(adjusted, inside):
    n = len(adjusted.sink.messages)
    body = "Subject: t\r\n\r\n" + "a line of a message that waits in a file\r\n" * 10000
    with adjusted.client() as c:
        c.hello()
        c.envelope()
        c.expect("DATA", 354)
        c.raw(body)
        wait_for("the file", lambda: stage_files(adjusted))
        adjusted.kill(role="queue")
        assert c.cmd(".").startswith("250")
    assert adjusted.sink.wait(n + 1)[n]["data"].decode().endswith(body)
    wait_for("another queue", lambda: adjusted.send().startswith("250"))


def test_speed_adjust_on_a_full_disk(tmp_path, inside):
    folder = tmp_path / "mta"
    small_disk(folder / "spool", "64m")
    try:
        with Sink() as sink, Instance(folder, f"smtpd_proxy_filter = 127.0.0.1:{sink.port}\nsmtpd_proxy_options = speed_adjust\nmessage_size_limit = 0\nqueue_minfree = 0\n") as mta:
            with mta.client() as c:
                assert c.message("a@example.test", ["x@relay.test"], "Subject: t\r\n\r\n" + ("z" * 998 + "\r\n") * 70000) == "452 4.3.1 Insufficient system storage"
                wait_for("the file is gone", lambda: c.cmd("MAIL FROM:<a@example.test>").startswith("250"))
                c.expect("RSET", 250)
                assert c.message("a@example.test", ["x@relay.test"], "Subject: t\r\n\r\n").startswith("250")
            assert len(sink.messages) == 1
    finally:
        subprocess.run(["umount", "-l", str(folder / "spool")])


def test_refused_recipients_cost_the_message_no_header(tmp_path):
    """Their log lines used up the memory that Received: is made in, and without that loops are not seen."""
    with Sink(behave, XFORWARD) as sink:
        main = f"smtpd_proxy_filter = 127.0.0.1:{sink.port}\nsmtpd_peername_lookup = no\nsmtpd_soft_error_limit = 1000\nsmtpd_hard_error_limit = 1000\n"
        with Instance(tmp_path, main) as mta, mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            for _ in range(200):
                c.expect(f"RCPT TO:<refused@relay.test> ORCPT=rfc822;{'x' * 480}", 550)
            c.expect("RCPT TO:<x@relay.test>", 250)
            c.expect("DATA", 354)
            c.expect("Subject: t\r\n\r\nhello\r\n.", 250)
            assert sink.wait(1)[0]["data"].startswith(b"Received: from client.test ")
