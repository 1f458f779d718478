"""`postfix stop` waits for what would be lost, and for nobody else."""
import socket

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


def test_a_stop_waits_until_a_dead_name_server_times_out(instance, silent):
    with Sink() as sink:
        m = instance(f"hikyaku_dns_servers = 127.0.0.1@{silent.port}\ndefault_transport = smtp\nrelayhost =\n"
                     "smtpd_sender_restrictions = reject_unknown_sender_domain\n")
        m.start()
        # One question of a delivery, one of a session; whose answers come too late say so in the log.
        m.send("x@delivered.test", sender="")
        silent.asked("delivered")
        with m.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@client.test>", 250)
            c.raw("RCPT TO:<x@relay.test>\r\n")
            silent.asked("client")
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
