"""What clients are, what replies become, and what restrictions want: XCLIENT, lists with tables, footers, command filters, ETRN, effects on messages."""
import contextlib
import ctypes
import os
import re
import signal
import socket
import struct
import threading
from pathlib import Path

import pytest

from harness import PATIENCE, ROOT, Instance, Sink, open_files, process_memory, wait_for
from table_peers import TcpTable

BRACES = str.maketrans({"{": "{{", "}": "}}"})


def mta_with(folder, main, **kw):
    return Instance(folder, main.translate(BRACES), **kw)


# ---- XCLIENT ----

def test_xclient_makes_another_client(tmp_path):
    with mta_with(tmp_path, "smtpd_authorized_xclient_hosts = 127.0.0.0/8\nsmtpd_client_restrictions = check_client_access inline:{{192.0.2.9=REJECT nine}}\n") as mta:
        with mta.client() as c:
            assert "250-XCLIENT " in c.hello()
            assert c.cmd("XCLIENT ADDR=192.0.2.7 NAME=other.test").startswith("220 ")
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            assert c.cmd("RCPT TO:<x@relay.test>") == "454 4.7.1 <x@relay.test>: Relay access denied"
        with mta.client() as c:
            c.hello()
            assert c.cmd("XCLIENT ADDR=192.0.2.9 NAME=[TEMPUNAVAIL]").startswith("220 ")
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            assert c.cmd("RCPT TO:<u@mbox.test>") == "554 5.7.1 <unknown[192.0.2.9]>: Client host rejected: nine"
        with mta.client() as c:
            c.hello()
            # One that may do that itself may become somebody else again, or come home.
            assert c.cmd("XCLIENT ADDR=127.0.0.9 NAME=nine.test").startswith("220 ")
            assert "250-XCLIENT " in c.hello()
            assert c.cmd("XCLIENT ADDR=127.0.0.1 NAME=localhost").startswith("220 ")
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            c.expect("RCPT TO:<x@relay.test>", 250)
        mta.wait_log(r"reject: RCPT from other\.test\[192\.0\.2\.7\]")


def test_a_client_behind_a_proxy_cannot_become_one_of_our_own(tmp_path):
    """The proxy says XCLIENT once, and passes on what its client says from then on."""
    with mta_with(tmp_path, "smtpd_authorized_xclient_hosts = 127.0.0.1\n") as mta:
        with mta.client() as c:
            c.hello()
            assert c.cmd("XCLIENT ADDR=192.0.2.7 NAME=other.test").startswith("220 ")
            assert "XCLIENT" not in c.hello()
            assert c.cmd("XCLIENT ADDR=127.0.0.1 LOGIN=admin") == "550 5.7.0 Error: insufficient authorization"
            c.expect("MAIL FROM:<a@example.test>", 250)
            assert c.cmd("RCPT TO:<x@relay.test>") == "454 4.7.1 <x@relay.test>: Relay access denied"


@pytest.mark.parametrize("sasl", ["yes", "no"])
def test_nobody_is_logged_in_because_the_client_before_was(tmp_path, sasl):
    main = f"smtpd_authorized_xclient_hosts = 127.0.0.1, 192.0.2.0/24\nsmtpd_sasl_auth_enable = {sasl}\n" \
           "smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination\n"
    denied = "554 5.7.1 <x@relay.test>: Relay access denied"
    with mta_with(tmp_path, main) as mta:
        with mta.client() as c:
            c.hello()
            assert c.cmd("XCLIENT ADDR=192.0.2.7 NAME=other.test LOGIN=joe").startswith("220 ")
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            assert c.cmd("RCPT TO:<x@relay.test>") == ("250 2.1.5 Ok" if sasl == "yes" else denied)
            c.expect("RSET", 250)
            assert c.cmd("XCLIENT ADDR=192.0.2.8 NAME=third.test").startswith("220 ")
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            assert c.cmd("RCPT TO:<x@relay.test>") == denied


def test_who_may_not_stays_who_he_is(tmp_path):
    with mta_with(tmp_path, "smtpd_authorized_xclient_hosts = !127.0.0.1, 127.0.0.0/8\n") as mta:
        with mta.client() as c:
            assert "XCLIENT" not in c.hello()
            assert c.cmd("XCLIENT ADDR=192.0.2.7") == "550 5.7.0 Error: insufficient authorization"


# ---- lists with tables that keep one waiting ----

def test_clients_wait_for_remote_lists_alone(tmp_path):
    go = threading.Event()

    def slow(key):
        go.wait(2 * PATIENCE)
        return "yes"

    with TcpTable({"127.0.0.1": slow, "127.0.0.2": "dsn, size"}) as t:
        with mta_with(tmp_path, f"smtpd_discard_ehlo_keyword_address_maps = {t.spec}\nsmtpd_peername_lookup = no\n") as mta:
            with socket.create_connection(("127.0.0.1", mta.port), PATIENCE) as waits:
                waits.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    waits.recv(100)
                with socket.create_connection(("127.0.0.1", mta.port), PATIENCE, source_address=("127.0.0.2", 0)) as other:
                    f = other.makefile("rb")
                    assert f.readline().startswith(b"220 ")
                    other.sendall(b"EHLO x\r\n")
                    keywords = [f.readline()]
                    while keywords[-1][3:4] == b"-":
                        keywords.append(f.readline())
                    assert not any(b"DSN" in k or b"SIZE" in k for k in keywords) and any(b"PIPELINING" in k for k in keywords)
                go.set()
                waits.settimeout(PATIENCE)
                assert waits.recv(100).startswith(b"220 ")
        mta.wait_log(r"discarding EHLO keywords: ")


# ---- replies ----

def test_footers_from_a_remote_table_keep_the_order_of_replies(tmp_path):
    go = threading.Event()

    def slow(key):
        go.wait(2 * PATIENCE)
        return "ask $client_address about <$sender>\\nor not"

    key = "554 5.5.1 Error: no valid recipients"
    with TcpTable({"503 5.5.1 Error: need MAIL command": slow, key: "only this"}) as t:
        with mta_with(tmp_path, f"smtpd_reject_footer_maps = {t.spec}\nsmtpd_reject_footer = \\c; plain\n") as mta:
            with mta.client() as c:
                c.hello()
                c.raw("RCPT TO:<a@b.test>\r\nNOOP\r\n")
                c.s.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    c.reply()
                go.set()
                c.s.settimeout(PATIENCE)
                assert c.reply() == "503-5.5.1 Error: need MAIL command\n503-5.5.1 ask 127.0.0.1 about <>\n503 5.5.1 or not"
                assert c.reply().startswith("250 ")
                assert c.cmd("FOO") == "500 5.5.2 Error: command not recognized; plain"


def test_a_client_that_leaves_while_its_footer_is_looked_up(tmp_path):
    go = threading.Event()

    def slow(key):
        go.wait(2 * PATIENCE)
        return "x"

    with TcpTable({"500 5.5.2 Error: command not recognized": slow}) as t:
        with mta_with(tmp_path, f"smtpd_reject_footer_maps = {t.spec}\n") as mta:
            with mta.client() as c:
                c.raw("FOO\r\n")
                wait_for("the question", lambda: "lookup" if mta.pids("lookup") else None)
            go.set()
            mta.wait_log(r"disconnect from ")


def test_refusals_are_replaced(tmp_path):
    with mta_with(tmp_path, "smtpd_reject_filter_maps = pcre:{{/^500 (.*)$/ 550 5.7.9 not $1}, {/^503/ nonsense}}\nsmtpd_reject_footer = bye\n".replace("$", "$$")) as mta:
        with mta.client() as c:
            assert c.cmd("FOO") == "550-5.7.9 not 5.5.2 Error: command not recognized\n550 5.7.9 bye"
            assert c.cmd("DATA") == "503-5.5.1 Error: need RCPT command\n503 5.5.1 bye"
        mta.wait_log(r"smtpd_reject_filter_maps: bad reply")


def test_commands_are_replaced_and_forbidden(tmp_path):
    main = """smtpd_command_filter = pcre:{{/^HI (.*)$/ EHLO $1}, {/^XYZ/ FORBID me}}
smtpd_forbidden_commands = pcre:{{/^forbid/ yes}} GET
""".replace("$", "$$")
    with mta_with(tmp_path, main) as mta:
        with mta.client() as c:
            assert c.cmd("HI there").startswith("250-mail.example.test")
            assert c.cmd("XYZ") == "221 2.7.0 Error: I can break rules, too. Goodbye."
            assert c.is_closed()
        mta.wait_log(r'replacing command "HI there" with "EHLO there"')


# ---- ETRN ----

def test_etrn_sends_what_waits_for_a_domain(tmp_path):
    refuses = [True]
    with Sink(lambda verb, arg: "451 4.0.0 later" if verb == "RCPT" and refuses[0] else None) as sink:
        with mta_with(tmp_path, f"relay_domains = relay.test\nsmtpd_etrn_restrictions = check_etrn_access inline:{{{{secret.test=REJECT no}}}}\nrelay_transport = smtp:[127.0.0.1]:{sink.port}\n", sink_port=sink.port) as mta:
            assert mta.send("x@relay.test").startswith("250")
            wait_for("deferred mail", lambda: [m["queue_name"] for m in mta.queue()] == ["deferred"])
            refuses[0] = False
            with mta.client() as c:
                c.hello()
                assert c.cmd("ETRN secret.test") == "554 5.7.1 <secret.test>: Etrn command rejected: no"
                assert c.cmd("ETRN elsewhere.test") == "459 <elsewhere.test>: service unavailable"
                assert c.cmd("ETRN relay.test") == "250 Queuing started"
            sink.wait(1)
        mta.wait_log(r"warning: reject: ETRN elsewhere\.test\.\.\. from ")


# ---- what restrictions want for a message ----

def test_effects_reach_the_message(tmp_path):
    rules = ("{hold@relay.test=HOLD}, {drop@relay.test=DISCARD}, {to@relay.test=REDIRECT u@mbox.test}, {head@mbox.test=PREPEND X-One: 1}, "
             "{copy@mbox.test=BCC u@mbox.test}, {gone@mbox.test=HANGUP}")
    with mta_with(tmp_path, f"smtpd_recipient_restrictions = check_recipient_access inline:{{{rules}}}\nvirtual_mailbox_maps = static:u/\n") as mta:
        assert mta.send("hold@relay.test").startswith("250")
        wait_for("a held message", lambda: [m for m in mta.queue() if m["queue_name"] == "hold"])
        assert mta.send("drop@relay.test").startswith("250 2.0.0 Ok: queued as")
        mta.wait_log(r"NOQUEUE: discard: RCPT from .* triggers DISCARD action")
        n = len(mta.maildir())
        assert mta.send("to@relay.test").startswith("250")
        wait_for("the redirected message", lambda: len(mta.maildir()) == n + 1)
        assert mta.send("head@mbox.test").startswith("250")
        wait_for("the message with the header", lambda: any(f.read_bytes().count(b"X-One: 1\n") == 1 for f in mta.maildir()))
        n = len(mta.maildir())
        assert mta.send("copy@mbox.test").startswith("250")
        wait_for("message and copy", lambda: len(mta.maildir()) == n + 2)
        with mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            c.raw("RCPT TO:<gone@mbox.test>\r\n")
            assert c.is_closed()
        # What one transaction wanted is nothing to the next.
        with mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            c.expect("RCPT TO:<hold@relay.test>", 250)
            c.expect("RSET", 250)
            held = [m for m in mta.queue() if m["queue_name"] == "hold"]
            assert c.message("a@example.test", ["u@mbox.test"], "Subject: free\r\n\r\n").startswith("250")
        wait_for("the free message", lambda: any(b"Subject: free" in f.read_bytes() for f in mta.maildir()))
        assert [m for m in mta.queue() if m["queue_name"] == "hold"] == held


def test_headers_and_copies_of_many_recipients_cost_little(tmp_path):
    """PREPEND and BCC for each of a thousand recipients: every one counts, and memory grows with their number, not with its square."""
    rules = "{/^r/ PREPEND X-R: r}, {/^c/ BCC u@mbox.test}"
    main = f"smtpd_recipient_restrictions = check_recipient_access regexp:{{{rules}}}\nvirtual_mailbox_maps = static:u/\n"
    with mta_with(tmp_path, main) as mta:
        assert mta.send("r@mbox.test").startswith("250")
        pids = mta.pids("smtpd")
        with mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            before = memory(pids)
            for i in range(500):
                c.expect(f"RCPT TO:<r{i}@mbox.test>", 250)
                c.expect(f"RCPT TO:<c{i}@mbox.test>", 250)
            assert memory(pids) - before < 4 << 20
            c.expect("DATA", 354)
            c.raw("Subject: many\r\n\r\nx\r\n.\r\n")
            assert c.reply().startswith("250 ")
        wait_for("the message", lambda: any(f.read_bytes().count(b"X-R: r\n") == 500 for f in mta.maildir()))


def memory(pids):
    """Bytes that these processes have taken at most."""
    return sum(process_memory(p, "VmHWM") for p in pids)


def test_a_refused_name_stays_refused_behind_a_recipient(tmp_path):
    """smtpd_delay_reject = no: postmaster, whom everybody may write to, is no reason to take any HELO."""
    main = "smtpd_delay_reject = no\nsmtpd_helo_restrictions = check_helo_access inline:{{bad.test=REJECT no}}\n"
    with mta_with(tmp_path, main) as mta:
        with mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            c.expect("RCPT TO:<postmaster>", 250)
            assert c.cmd("HELO bad.test") == "554 5.7.1 <bad.test>: Helo command rejected: no"


def test_restrictions_at_once_stay_pending(tmp_path):
    """smtpd_delay_reject = no: what CONNECT left pending still decides at RCPT."""
    main = "smtpd_delay_reject = no\nsmtpd_client_restrictions = defer_if_permit\nsmtpd_sender_restrictions = check_sender_access inline:{{bad@example.test=REJECT at once}}\n"
    with mta_with(tmp_path, main) as mta:
        with mta.client() as c:
            c.hello()
            assert c.cmd("MAIL FROM:<bad@example.test>") == "554 5.7.1 <bad@example.test>: Sender address rejected: at once"
            for _ in range(2):
                c.expect("MAIL FROM:<a@example.test>", 250)
                assert c.cmd("RCPT TO:<u@mbox.test>").startswith("450 4.7.0 ")
                c.expect("RSET", 250)


# ---- channels ----

def control_of(pid):
    """The number of its channel to master."""
    return re.search(rb"control=(\d+)", Path(f"/proc/{pid}/cmdline").read_bytes())[1].decode()


def socket_of(pid, fd):
    """A socket that another process has. OSError: it has closed it, or it is something else."""
    libc, process = ctypes.CDLL(None, use_errno=True), os.pidfd_open(pid)
    pidfd_getfd = 438
    ours = libc.syscall(pidfd_getfd, process, int(fd), 0)
    os.close(process)
    if ours < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        return socket.socket(fileno=ours)
    except OSError:
        os.close(ours)
        raise


def channels(pid):
    """The connected UNIX-domain sockets of a process, but for the one to master. It goes on meanwhile: what it closes is none."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if fd != control_of(pid):
                found.append(socket_of(pid, fd))
    return [s for s in found if s.family == socket.AF_UNIX]


def break_channels(pid):
    for s in channels(pid):
        with s, contextlib.suppress(OSError):
            s.shutdown(socket.SHUT_RDWR)


def sockets_of(pid):
    return {name for name in open_files(pid).values() if name.startswith("socket:")}


def need(role):
    """The frame in which a worker tells master what it needs."""
    messages = re.findall(r"^message (\w+)", (ROOT / "src/wire/messages.ipc").read_text(), re.M)
    body = bytes([messages.index("need") + 1]) + struct.pack(">I", len(role)) + role.encode()
    return struct.pack(">I", len(body)) + body


def test_a_worker_whose_channel_to_queue_breaks_takes_mail_again(tmp_path, inside):
    with mta_with(tmp_path, "") as mta:
        assert mta.send("u@mbox.test").startswith("250")
        before = mta.pids("smtpd"), mta.pids("queue")
        for pid in mta.pids("smtpd"):
            break_channels(pid)
        for _ in range(4):  # each of them; who has no channel lets MAIL wait for one
            assert mta.send("u@mbox.test").startswith("250")
        assert (mta.pids("smtpd"), mta.pids("queue")) == before


def test_a_worker_that_asks_for_channels_without_end_uses_up_the_descriptors_of_queue(tmp_path, inside):
    with mta_with(tmp_path, "") as mta:
        assert mta.send("u@mbox.test").startswith("250")
        mta.wait_empty()
        [queue], [smtpd, *_] = mta.pids("queue"), mta.pids("smtpd")
        before = sockets_of(queue)
        os.kill(smtpd, signal.SIGSTOP)  # it keeps all that it is given
        with socket_of(smtpd, control_of(smtpd)) as control:
            wait_for("a new channel", lambda: (control.sendall(need("submit") * 10), sockets_of(queue) - before)[1])
        wait_for("one for one", lambda: len(sockets_of(queue)) <= len(before))
        os.kill(smtpd, signal.SIGCONT)
        assert mta.pids("queue") == [queue]


def test_a_worker_that_sends_its_own_end_is_never_seen_to_leave(tmp_path, inside):
    with mta_with(tmp_path, "") as mta:
        assert mta.send("u@mbox.test").startswith("250")
        mta.wait_empty()
        [queue] = mta.pids("queue")
        before = len(sockets_of(queue))
        workers = [mta.pids("smtpd")[0], mta.pids("smtp")[0]]
        for pid in workers:
            for s in channels(pid):
                with contextlib.suppress(OSError):  # of syslog's
                    socket.send_fds(s, [b"\0"], [s.fileno()])
            os.kill(pid, signal.SIGKILL)
        wait_for("others in their place", lambda: not set(workers) & set(mta.pids()) and len(mta.pids("smtpd")) * len(mta.pids("smtp")) > 0)
        wait_for("one channel each", lambda: len(sockets_of(queue)) <= before)
        assert mta.send("u@mbox.test").startswith("250")
        assert mta.pids("queue") == [queue]
