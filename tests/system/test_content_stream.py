"""Content flows through: what a large message costs in memory, and checks that wait."""
import socket, threading

import pytest

import harness

MB = 1 << 20
LINES = b"".join(b"%07d the quick brown fox jumps over the lazy dog, again and again and again.\r\n" % i for i in range(14000))


def high_water(pid):
    return harness.process_memory(pid, "VmHWM")


@pytest.mark.release_only
@pytest.mark.parametrize("checks", ["", "header_checks = static:DUNNO\nbody_checks = static:DUNNO\nbody_checks_size_limit = 2000000000"],
                         ids=["plain", "checked"])
def test_a_message_of_200_megabytes_needs_its_size_in_memory(instance, checks):
    if harness.SANITIZED:
        pytest.skip("memory of a sanitized program says nothing")
    m = instance("message_size_limit = 1000000000\nqueue_minfree = 0\nvirtual_mailbox_limit = 0\n" + checks).start()
    m.send("x@mbox.test")
    m.wait_log(r"status=sent")
    before = {p: high_water(p) for p in m.pids("smtpd") + m.pids("queue")}
    with m.client(timeout=4 * harness.PATIENCE) as c:
        c.hello()
        c.envelope("a@example.test", ["x@mbox.test"])
        c.expect("DATA", 354)
        c.raw("Subject: large\r\n\r\n")
        for _ in range(200 * MB // len(LINES) + 1):
            c.raw(LINES)
        assert c.cmd(".").startswith("250"), m.log()[-2000:]
    grown = {p: high_water(p) - b for p, b in before.items()}
    assert max(grown.values()) < 8 * MB, grown


class Slow:
    """A socketmap server that answers when it is told to."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.go, self.asked = threading.Event(), []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.session, args=(s,), daemon=True).start()

    def session(self, s):
        f = s.makefile("rwb")
        while True:
            digits = b""
            while (c := f.read(1)) not in (b":", b""):
                digits += c
            if not digits:
                return
            text = f.read(int(digits) + 1)[:-1]
            self.asked.append(text)
            self.go.wait(2 * harness.PATIENCE)
            answer = b"OK REPLACE X-New: there" if b"X-Old" in text else b"NOTFOUND "
            f.write(b"%d:%s," % (len(answer), answer))
            f.flush()


def test_a_table_that_waits_for_others_stops_everybody(instance):
    slow = Slow()
    m = instance(f"header_checks = socketmap:inet:127.0.0.1:{slow.port}:x").start()
    body = "X-Old: 1\r\nSubject: s\r\n\r\n" + "line\r\n" * 20000
    with m.client() as first, m.client() as second:
        first.hello()
        first.envelope("a@example.test", ["x@mbox.test"])
        first.expect("DATA", 354)
        first.raw(body)
        harness.wait_for("a question", lambda: slow.asked)
        second.hello()  # nobody else waits
        second.expect("NOOP", 250)
        slow.go.set()
        assert first.cmd(".").startswith("250")
    m.wait_log("status=sent")
    text = m.maildir()[0].read_text()
    assert "\nX-New: there\nSubject: s\n" in text and text.count("line\n") == 20000


def test_a_client_that_leaves_while_a_check_waits_leaves_something_behind(instance):
    slow = Slow()
    m = instance(f"header_checks = socketmap:inet:127.0.0.1:{slow.port}:x").start()
    with m.client() as c:
        c.hello()
        c.envelope("a@example.test", ["x@mbox.test"])
        c.expect("DATA", 354)
        c.raw("X-Old: 1\r\nSubject: s\r\n\r\nb\r\n")
        harness.wait_for("a question", lambda: slow.asked)
    slow.go.set()
    m.wait_log("lost connection after (DATA|END-OF-MESSAGE)")
    assert m.send("x@mbox.test").startswith("250")
    m.wait_log("status=sent")
    assert len(m.maildir()) == 1
