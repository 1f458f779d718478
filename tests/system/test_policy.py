"""check_policy_service: services as they are (postgrey, policyd-spf), hostile ones, slow ones, over both kinds of sockets."""
import contextlib
import os
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import threading

import pytest

from harness import PATIENCE, Instance, Sink, Zone, free_port, wait_for

REPLIES = {
    "partial": b"action=DUN",
    "noaction": b"x=y\n\n",
    "garbage": b"\x00\xff nonsense\n\n",
    "long": b"action=" + b"x" * 100000 + b"\n\n",
    "endless": b"a=b\n" * 20000,
    "latin": b"action=REJECT caf\xe9\n\n",
    "close": b"",
    "reject": b"action=REJECT not you\n\n",
    "twice": b"action=DUNNO\n\naction=REJECT\n\n",
    "injection": b"action=REJECT a\r250 ok\n\n",
}


class Service(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A policy service; what it says depends on the recipient's local part."""
    allow_reuse_address, daemon_threads = True, True

    def __init__(self, address):
        self.requests, self.n_connections, self.may_go = [], 0, threading.Event()
        self.open = []
        self.address_family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
        super().__init__(address, Handler)
        if self.address_family == socket.AF_UNIX:
            os.chmod(address, 0o777)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def handle_error(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.may_go.set()
        self.shutdown()
        self.server_close()
        for s in self.open:  # as when a process ends: nobody answers on connections it had
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.n_connections += 1
        self.server.open.append(self.request)
        while True:
            request = {}
            for line in iter(self.rfile.readline, b""):
                if line == b"\n":
                    break
                name, _, value = line.decode(errors="replace").rstrip("\n").partition("=")
                request[name] = value
            if not request:
                return
            self.server.requests.append(request)
            who = request["recipient"].split("@")[0]
            if who == "slow":
                self.server.may_go.wait(2 * PATIENCE)
            reply = REPLIES.get(who, b"action=DUNNO\n\n")
            self.wfile.write(reply)
            if not reply.endswith(b"\n\n"):
                return


MAIN = """
smtpd_recipient_restrictions = check_policy_service %s
smtpd_policy_service_timeout = 60s
smtpd_policy_service_try_limit = 1
smtpd_policy_service_retry_delay = 1s
"""


def ask(mta, rcpt, sender="a@example.test"):
    with mta.client() as c:
        c.hello()
        c.expect(f"MAIL FROM:<{sender}>", 250)
        return c.cmd(f"RCPT TO:<{rcpt}>")


def start(address, tmp_path, extra=""):
    where = f"inet:{address[0]}:{address[1]}" if isinstance(address, tuple) else f"unix:{address}"
    return Instance(tmp_path / "mta", MAIN % where + extra)


def open_up(tmp_path):
    """The server's user, and a service's, must reach what is in there."""
    for p in (tmp_path, *tmp_path.parents):
        if str(p).startswith(("/tmp/pytest", "/tmp/hk")):
            os.chmod(p, 0o755)


@pytest.fixture(params=["inet", "unix"])
def address(request, tmp_path, inside):
    if request.param == "inet":
        return ("127.0.0.1", free_port())
    open_up(tmp_path)
    return str(tmp_path / "policy.sock")


@pytest.mark.smoke
def test_a_policy_service_is_asked_over_one_connection(address, tmp_path):
    with Service(address) as service, start(address, tmp_path) as mta:
        assert ask(mta, "reject@relay.test").startswith("554 5.7.1 <reject@relay.test>: Recipient address rejected: not you")
        with mta.client() as c:
            c.hello()
            c.envelope(rcpts=[f"u{i}@relay.test" for i in range(5)])
        r = service.requests[1]
        assert (r["request"], r["protocol_state"], r["protocol_name"]) == ("smtpd_access_policy", "RCPT", "ESMTP")
        assert (r["client_address"], r["sender"], r["recipient"]) == ("127.0.0.1", "a@example.test", "u0@relay.test")
        assert service.requests[1]["instance"] == service.requests[5]["instance"] != service.requests[0]["instance"]
        # One connection for each smtpd process at most.
        assert service.n_connections <= len(mta.pids("smtpd"))


@pytest.mark.parametrize("who", ["partial", "noaction", "garbage", "long", "endless", "latin", "close"])
def test_a_policy_service_that_talks_nonsense_is_no_reply(who, tmp_path, inside):
    address = ("127.0.0.1", free_port())
    with Service(address) as service, start(address, tmp_path) as mta:
        reply = ask(mta, f"{who}@relay.test")
        assert reply.startswith(f"451 4.3.5 <{who}@relay.test>: Recipient address rejected: Server configuration problem")
        if who != "latin":
            mta.wait_log(r"warning: problem talking to server 127\.0\.0\.1:\d+: ")
        else:
            mta.wait_log(r"warning: malformed UTF-8 in policy server inet:127\.0\.0\.1:\d+ response")
        assert ask(mta, "fine@relay.test").startswith("250")
        assert len(service.requests) == 2


def test_text_behind_a_reply_is_not_the_next_reply(tmp_path, inside):
    address = ("127.0.0.1", free_port())
    with Service(address) as service, start(address, tmp_path) as mta:
        with mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            for rcpt in ("twice", "twice", "fine"):
                c.expect(f"RCPT TO:<{rcpt}@relay.test>", 250)
        assert service.n_connections == 3


def test_a_policy_service_cannot_add_lines_to_a_reply(tmp_path, inside):
    address = ("127.0.0.1", free_port())
    with Service(address), start(address, tmp_path) as mta:
        assert ask(mta, "injection@relay.test").rstrip() == "554 5.7.1 <injection@relay.test>: Recipient address rejected: a 250 ok"


def test_a_client_cannot_add_attributes_to_a_request(tmp_path, inside):
    address = ("127.0.0.1", free_port())
    with Service(address) as service, start(address, tmp_path) as mta:
        with mta.client() as c:
            c.raw(b"EHLO x\x0bsasl_username=root\rsender=y\r\n")
            c.reply()
            c.raw(b"MAIL FROM:<\"a\rsasl_username=root\"@example.test>\r\n")
            c.reply()
            c.raw(b"RCPT TO:<x@relay.test>\r\n")
            c.reply()
        assert all(r["sasl_username"] == "" for r in service.requests)


def test_a_slow_policy_service_holds_back_one_client_only(address, tmp_path):
    with Service(address) as service, start(address, tmp_path) as mta:
        with mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            c.raw(b"RCPT TO:<slow@relay.test>\r\n")
            wait_for("the request", lambda: service.requests)
            for i in range(8):
                assert ask(mta, f"quick{i}@relay.test").startswith("250")
            service.may_go.set()
            assert c.reply().startswith("250")


def reset(s):
    """Closes so that the server hears of it at once, whatever it has not read yet."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def flood_and_reset(s):
    s.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:  # ends when the server reads no more
            s.send(b"NOOP\r\n" * 10000)
    reset(s)


def test_a_client_that_leaves_while_a_policy_service_thinks_leaves_nothing_behind(tmp_path, inside):
    address = ("127.0.0.1", free_port())
    with Service(address) as service, start(address, tmp_path) as mta:
        for n, leave in enumerate((socket.socket.close, reset, flood_and_reset), 1):
            c = mta.client()
            c.hello()
            c.expect("MAIL FROM:<a@example.test>", 250)
            c.raw(b"RCPT TO:<slow@relay.test>\r\n")
            wait_for("the request", lambda: len(service.requests) == n)
            leave(c.s)
            mta.wait_log(r"lost connection after RCPT from localhost\[127\.0\.0\.1\]", count=n)
            mta.wait_log(r"disconnect from localhost\[127\.0\.0\.1\] ehlo=1 mail=1 ", count=n)
        service.may_go.set()
        assert ask(mta, "fine@relay.test").startswith("250")


def test_a_client_that_only_reads_any_more_gets_its_answers(tmp_path, inside):
    address = ("127.0.0.1", free_port())
    with Service(address), start(address, tmp_path) as mta, mta.client() as c:
        c.hello()
        c.raw(b"MAIL FROM:<a@example.test>\r\nRCPT TO:<reject@relay.test>\r\nRCPT TO:<fine@relay.test>\r\n")
        c.s.shutdown(socket.SHUT_WR)
        assert [c.reply()[:3] for _ in range(3)] == ["250", "554", "250"]
        assert c.is_closed()


def test_a_policy_service_that_is_silent_is_not_waited_for_longer_than_its_timeout(tmp_path, inside):
    address = ("127.0.0.1", free_port())
    with Service(address), start(address, tmp_path, "smtpd_policy_service_timeout = 1s\n") as mta:
        assert ask(mta, "slow@relay.test").startswith("451 4.3.5")
        mta.wait_log(r"warning: problem talking to server 127\.0\.0\.1:\d+: Connection timed out")


def test_default_action_while_a_policy_service_is_down_and_recovery(address, tmp_path):
    where = f"inet:127.0.0.1:{address[1]}" if isinstance(address, tuple) else f"unix:{address}"
    main = MAIN % ("{ %s, default_action=DUNNO }" % where)
    with Instance(tmp_path / "mta", main.replace("{ ", "{{ ").replace(" }", " }}")) as mta:
        assert ask(mta, "reject@relay.test").startswith("250")
        mta.wait_log(r"warning: connect to \S+: (Connection refused|No such file)")
        with Service(address):
            assert ask(mta, "reject@relay.test").startswith("554")
        if isinstance(address, str):
            os.unlink(address)
        assert ask(mta, "reject@relay.test").startswith("250")
        with Service(address):
            assert ask(mta, "reject@relay.test").startswith("554")


def test_services_that_make_no_sense_refuse_for_now_and_say_why(tmp_path, inside):
    with Instance(tmp_path / "mta", MAIN % "{{ inet:127.0.0.1:1, colour=red }}") as mta:
        assert ask(mta, "x@relay.test").startswith("451 4.3.5")
        mta.wait_log(r"warning: check_policy_service .*unknown attribute \"colour\"")


# ---- real services

def sent(mta, rcpt):
    """Whether it was accepted at RCPT; then a message is sent at once."""
    with mta.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@example.test>", 250)
        if not c.cmd(f"RCPT TO:<{rcpt}>").startswith("250"):
            return False
        c.expect("DATA", 354)
        c.raw("Subject: t\r\n\r\nhello\r\n")
        return c.expect(".", 250)


def postgrey(tmp_path, port):
    open_up(tmp_path)
    folder = tmp_path / "postgrey"
    folder.mkdir(exist_ok=True)
    os.chmod(folder, 0o777)
    empty = folder / "whitelist"
    empty.write_text("")
    p = subprocess.Popen(["postgrey", f"--inet=127.0.0.1:{port}", "--delay=1", f"--dbdir={folder}", "--user=hkuser", "--group=hkuser",
                          f"--pidfile={folder}/pid", f"--whitelist-clients={empty}", f"--whitelist-recipients={empty}"],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def is_up():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_for("postgrey", is_up)
    return p


@pytest.mark.skipif(shutil.which("postgrey") is None, reason="Debian's package postgrey is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="postgrey changes its user")
def test_postgrey_defers_first_and_accepts_later(tmp_path, inside):
    port = free_port()
    p = postgrey(tmp_path, port)
    try:
        with Sink() as sink, Instance(tmp_path / "mta", MAIN % f"inet:127.0.0.1:{port}", sink_port=sink.port) as mta:
            assert ask(mta, "x@relay.test").startswith("450 4.2.0 <x@relay.test>: Recipient address rejected: Greylisted")
            # Killed and started again it still knows; nobody is let through meanwhile.
            p.send_signal(signal.SIGKILL)
            p.wait()
            assert ask(mta, "x@relay.test").startswith("451 4.3.5")
            p = postgrey(tmp_path, port)
            wait_for("the second try", lambda: sent(mta, "x@relay.test"))
            sink.wait(1)
            assert "X-Greylist: delayed" in str(sink.messages)
    finally:
        p.kill()
        p.wait()


class Spawner(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Runs a program for each connection with the socket as its input and output, as spawn(8) does."""
    allow_reuse_address, daemon_threads = True, True


@pytest.mark.skipif(shutil.which("policyd-spf") is None, reason="Debian's package postfix-policyd-spf-python is not installed")
def test_policyd_spf_rejects_forgeries_and_marks_the_rest(tmp_path, inside):
    conf = tmp_path / "spf.conf"
    conf.write_text("debugLevel = 1\nHELO_reject = False\nMail_From_reject = Fail\nskip_addresses = 192.0.2.0/24\n")

    class Run(socketserver.BaseRequestHandler):
        def handle(self):
            subprocess.run(["policyd-spf", str(conf)], stdin=self.request.fileno(), stdout=self.request.fileno(), stderr=subprocess.DEVNULL)

    zone = 'fail.test. TXT "v=spf1 -all"\npass.test. TXT "v=spf1 ip4:127.0.0.0/8 -all"\n'
    with Zone(tmp_path, zone), Spawner(("127.0.0.1", 0), Run) as spawner, Sink() as sink:
        threading.Thread(target=spawner.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        main = MAIN % f"inet:127.0.0.1:{spawner.server_address[1]}"
        with Instance(tmp_path / "mta", main, sink_port=sink.port) as mta:
            assert ask(mta, "x@relay.test", sender="a@fail.test").startswith("550 5.7.23 <x@relay.test>: Recipient address rejected: Message rejected due to: SPF fail")
            assert "queued as" in mta.send("x@relay.test", sender="a@pass.test")
            sink.wait(1)
            assert "Received-SPF: Pass" in str(sink.messages[0])
        spawner.shutdown()
