"""`postfix stop` waits for what would be lost, and for nobody else."""
import contextlib, os, pathlib, socket

import pytest

from harness import Sink, wait_for


class SilentNameServer:
    """Takes questions and never answers; asked() waits until a name was in one."""

    def __init__(self):
        self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.s.bind(("127.0.0.1", 0))
        self.s.setblocking(False)
        self.port = self.s.getsockname()[1]
        self.seen = b""

    def read(self):
        try:
            while True:
                self.seen += self.s.recv(2000).lower()
        except BlockingIOError:
            return self.seen

    def asked(self, label):
        wait_for(f"a question for {label}", lambda: label.encode() in self.read())


@pytest.fixture
def silent():
    server = SilentNameServer()
    yield server
    server.s.close()


@contextlib.contextmanager
def full_house():
    """A port whose queue of connections is full: one more gets no answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as s:
        callers = []
        for _ in range(4):
            c = socket.socket()
            c.setblocking(False)
            c.connect_ex(s.getsockname())
            callers.append(c)
        yield s.getsockname()[1]
        for c in callers:
            c.close()


def is_calling(port, pids):
    """One of these processes has sent a SYN there that nobody answers."""
    sockets = {l.split()[9] for l in open("/proc/net/tcp") if l.split()[2] == f"0100007F:{port:04X}" and l.split()[3] == "02"}
    mine = set()
    for pid in pids:
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                mine.add(os.readlink(fd).removeprefix("socket:[").rstrip("]"))
    return bool(sockets & mine)


def test_a_stop_waits_until_a_dead_server_answers_the_call(instance):
    with full_house() as port, Sink() as sink:
        m = instance(sink_port=port).start()
        m.send("x@relay.test")
        wait_for("a call to the dead server", lambda: is_calling(port, m.pids("smtp")))
        assert m.stop().returncode == 0
        log = m.log()
        assert "not finished in time" not in log and "killed" not in log and "status=" not in log
        m.main_cf.write_text(m.main_cf.read_text().replace(f"]:{port}", f"]:{sink.port}"))
        m.start()
        wait_for("the message", lambda: sink.messages)
        m.wait_empty()
        assert "status=deferred" not in m.log()


def test_a_stop_waits_until_a_dead_name_server_times_out(instance, silent):
    with Sink() as sink:
        m = instance(f"hikyaku_dns_servers = 127.0.0.1@{silent.port}\ndefault_transport = smtp\nrelayhost =\n"
                     "smtpd_sender_restrictions = reject_unknown_sender_domain\n")
        m.start()
        # One question of a delivery, one of a session; whose answers come too late say so in the log. All else was done before:
        # from the first question on there are ten seconds.
        with m.client() as c, m.client() as other:
            for one in (c, other):
                one.hello()
            other.envelope("", ["x@delivered.test"])
            other.expect("DATA", 354)
            c.expect("MAIL FROM:<a@client.test>", 250)
            c.raw("RCPT TO:<x@relay.test>\r\n")
            other.expect("Subject: t\r\n\r\n.", 250)
            silent.asked("client")
            silent.asked("delivered")
            assert m.stop().returncode == 0
            assert c.line() == "421 4.3.2 mail.example.test Error: service is shutting down"
            assert c.is_closed()
        log = m.log()
        assert "not finished in time" not in log and "killed" not in log
        assert "status=" not in log and "open deliveries" not in log
        # The message is as new at the next start.
        m.main_cf.write_text(m.main_cf.read_text() + f"default_transport = smtp:[127.0.0.1]:{sink.port}\n")
        m.start()
        wait_for("the message", lambda: sink.messages)
        m.wait_empty()
        assert "status=deferred" not in m.log()
