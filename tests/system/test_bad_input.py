"""What hostile or broken clients send. Each test is named after its symptom."""
import os, re, socket

import pytest

from harness import PATIENCE, SANITIZED, Client, process_memory


def alive(mta):
    """The server still takes mail."""
    assert mta.send("x@relay.test").startswith("250 ")


@pytest.mark.smoke
def test_a_command_line_of_one_mebibyte_is_refused_and_memory_stays(mta):
    with mta.client() as c:
        c.hello()
        try:
            c.raw(b"NOOP " + b"x" * (1 << 20) + b"\r\n")
            c.reply()  # Postfix answers the beginning of such a line
        except (ConnectionError, EOFError, OSError):
            pass  # refused and closed is fine too
    alive(mta)
    for pid in mta.pids("smtpd"):
        anon = process_memory(pid, "RssAnon")
        assert anon < (16 << 20 if not SANITIZED else 1 << 30), f"{anon} bytes"


def test_a_line_that_never_ends_is_cut_off(mta):
    with mta.client() as c:
        c.hello()
        try:
            for _ in range(64):
                c.raw(b"x" * 65536)
        except OSError:
            pass
    alive(mta)


def test_nul_in_a_command_is_no_way_past_a_check(mta):
    with mta.client() as c:
        c.hello()
        assert c.cmd("MAIL FROM:<a\0b@example.test>")[0] in "25"
        c.raw("RSET\r\n")
        c.reply()
        r = c.cmd("RCPT TO:<x@relay.test>\0<y@relay.test>")
        assert r.startswith("5")
    alive(mta)


@pytest.mark.parametrize("end", ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\n.\r", "\r.\n", "\r\r\n.\r\r\n", "\0.\r\n", "\r\n.\0\r\n", "\r\n\0.\r\n"])
def test_smuggling_only_crlf_dot_crlf_ends_the_data(mta, end):
    """One message arrives whatever stands around the first dot; nothing behind it is taken for a command."""
    with mta.client() as c:
        c.hello()
        c.envelope()
        c.expect("DATA", 354)
        c.raw("Subject: outer\r\n\r\nfirst" + end + "MAIL FROM:<smuggled@evil.test>\r\nRCPT TO:<victim@relay.test>\r\nDATA\r\nSubject: inner\r\n\r\nsecond\r\n.\r\n")
        assert c.reply().startswith(("250 2.0.0", "5"))
        assert c.cmd("NOOP").startswith("250"), "replies are out of step: something was smuggled"
    mta.wait_log("disconnect from")
    assert len(mta.sink.wait(0)) <= 1
    assert not any("evil.test" in m["mail"] for m in mta.sink.messages)
    assert not any(v.startswith("MAIL") and "smuggled" in v for v in mta.sink.verbs)


def test_no_bare_line_ends_leave_us(mta):
    """What comes in with a bare CR or LF goes out without, so that no hop behind us can be fooled."""
    with mta.client() as c:
        c.hello()
        c.envelope()
        c.expect("DATA", 354)
        c.raw(b"Subject: s\r\n\r\none\rtwo\nthree\r\rfour\n\nfive\r\n.\r\n")
        c.reply()
    data = mta.sink.wait(1)[0]["data"]
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", data), data


@pytest.mark.parametrize("script,code", [
    (["MAIL FROM:<a@b.test>"], "503"),
    (["EHLO c", "RCPT TO:<x@relay.test>"], "503"),
    (["EHLO c", "DATA"], "503"),
    (["EHLO c", "MAIL FROM:<a@b.test>", "DATA"], "554 5.5.1 Error: no valid recipients"),
    (["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<x@no.test>", "DATA"], "354"),
    (["EHLO c", "MAIL FROM:<a@b.test>", "MAIL FROM:<a@b.test>"], "503"),
    (["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<>"], "501"),
    (["EHLO c", "BOGUS"], "50"),
    (["EHLO"], "501"),
])
def test_commands_out_of_order(instance, script, code):
    m = instance("smtpd_helo_required = yes").start()
    with m.client() as c:
        for line in script[:-1]:
            c.cmd(line)
        assert c.cmd(script[-1]).startswith(code)


STEPS = ["", "EHLO c\r\n", "MAIL FROM:<a@b.test>\r\n", "RCPT TO:<x@relay.test>\r\n", "DATA\r\n", "Subject: x\r\n\r\nhalf a mess", "age\r\n", "."]


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("steps", range(len(STEPS)))
def test_clients_that_vanish_leave_nothing_behind(mta, steps, reset):
    c = mta.client()
    for step in STEPS[:steps + 1]:
        c.raw(step)
        if step.endswith("\r\n") and step[:4] in ("EHLO", "MAIL", "RCPT", "DATA"):
            c.reply()
    if reset:
        c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    c.s.close()
    mta.wait_log(r"disconnect from localhost\[127\.0\.0\.1\]")
    if steps > 0:
        assert re.search(r"lost connection after \w+", mta.log())
    alive(mta)
    assert len(mta.sink.wait(1)) == 1
    mta.wait_empty()


def test_slow_loris_is_cut_off_by_the_deadline(instance):
    """A byte now and then does not keep a session open when there is a deadline for the whole request."""
    m = instance("smtpd_timeout = 2s\nsmtpd_per_request_deadline = yes\nsmtpd_min_data_rate = 500").start()
    with m.client() as c:
        c.hello()
        reply = b""
        c.s.settimeout(0.2)
        for _ in range(300):  # of the 2048 bytes that a line may have
            try:
                c.s.sendall(b"N")
            except OSError:
                break
            try:
                more = c.s.recv(100)
                reply += more
                if not more:
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("the session goes on")
        assert reply == b"" or b"421 4.4.2 " in reply
    m.wait_log(r"timeout after EHLO from localhost\[127\.0\.0\.1\]")


def test_an_idle_client_is_told_421(instance):
    m = instance("smtpd_timeout = 1s").start()
    with m.client() as c:
        assert c.reply() == "421 4.4.2 mail.example.test Error: timeout exceeded"
        assert c.is_closed()


def test_too_many_errors_end_the_session(instance):
    m = instance("smtpd_hard_error_limit = 5").start()
    with m.client() as c:
        c.hello()
        last = ""
        try:
            for _ in range(10):
                last = c.cmd("BOGUS")
        except (EOFError, OSError):
            pass
        assert last.startswith("421 4.7.0 mail.example.test Error: too many errors")
    m.wait_log(r"too many errors after \w+ from localhost\[127\.0\.0\.1\]")


def test_a_message_over_the_limit_is_refused_early_and_late(instance):
    m = instance("message_size_limit = 20000").start()
    with m.client() as c:
        c.hello()
        assert c.cmd("MAIL FROM:<a@b.test> SIZE=20001").startswith("552 5.3.4 Message size exceeds fixed limit")
        c.envelope()
        c.expect("DATA", 354)
        c.raw(b"x" * 78 + b"\r\n")
        for _ in range(500):
            c.raw(b"y" * 78 + b"\r\n")
        assert c.cmd(".").startswith("552 5.3.4 Error: message file too big")
        assert c.message("a@b.test", ["x@relay.test"], "Subject: small\r\n\r\nok\r\n").startswith("250")


def test_pipelined_commands_get_their_replies_in_order(mta):
    with mta.client() as c:
        c.hello()
        c.raw("MAIL FROM:<a@b.test>\r\nRCPT TO:<x@relay.test>\r\nRCPT TO:<bad\r\nRCPT TO:<y@relay.test>\r\nDATA\r\n")
        assert [c.reply()[:3] for _ in range(5)] == ["250", "250", "501", "250", "354"]
        assert c.cmd("Subject: p\r\n\r\n.").startswith("250")
    assert len(mta.sink.wait(1)[0]["rcpt"]) == 2


def test_http_clients_are_sent_away(mta):
    with mta.client() as c:
        c.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.reply().startswith("221 2.7.0 Error: I can break rules, too. Goodbye.")
        assert c.is_closed()
    mta.wait_log(r"warning: non-SMTP command from localhost\[127\.0\.0\.1\]: GET / HTTP/1\.1")


@pytest.mark.release_only
def test_ten_thousand_connections(instance, inside):
    """10,000 idle sessions at once; a new client is still served, and memory stays within the target."""
    import resource
    n = 10000
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(60000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < n + 200 or limit // 3 * len(os.sched_getaffinity(0)) < n:  # smtpd keeps some for messages
        pytest.skip("file descriptor limit is too low")
    m = instance("default_process_limit = 20000\nsmtpd_client_connection_count_limit = 0\nsmtpd_timeout = 300s").start()
    socks = []
    try:
        for i in range(n):
            s = socket.create_connection(("127.0.0.1", m.port), PATIENCE)
            socks.append(s)
        for s in socks:
            assert s.recv(100).startswith(b"220 ")
        with m.client() as c:
            c.hello()
        rss = sum(process_memory(p, "RssAnon") for p in m.pids()) / (1 << 20)
        print(f"{n} idle sessions: {rss:.0f} MiB anonymous memory")
        assert rss < 250
    finally:
        for s in socks:
            s.close()
