"""8-bit mail on its way to servers that take 7 bits only. What it becomes byte for byte is tests/compat/content."""
import quopri

from harness import Sink

LINES = "".join(f"{i} grüße, {'=' * (i % 90)} {' ' * (i % 3)}\r\n" for i in range(4000))
HEAD = "Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"


def send(m, rcpt, message):
    with m.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@relay.test> BODY=8BITMIME", 250)
        c.expect(f"RCPT TO:<{rcpt}>", 250)
        c.expect("DATA", 354)
        c.raw(message.encode())
        c.expect(".", 250)


def test_a_large_message_and_the_next_one_on_the_same_connection(instance):
    with Sink(keywords=("PIPELINING", "SIZE 50000000")) as sink:
        m = instance(sink_port=sink.port).start()
        for text in (LINES, "klein: ü\r\n"):
            send(m, "x@relay.test", HEAD + text)
            got = sink.wait(1 if text is LINES else 2)[-1]
            assert got["mail"] == "FROM:<a@relay.test>" and got["data"].isascii()
            body = got["data"].partition(b"\r\n\r\n")[2]
            assert max(map(len, body.split(b"\r\n"))) <= 76
            is_same = quopri.decodestring(body) == text.encode()
            assert is_same, body[:2000]
        assert sink.sessions == 1


def test_parts_nested_too_deep_go_back(instance):
    deep = "".join(f"Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n" for i in range(4))
    with Sink(keywords=("PIPELINING",)) as sink:
        m = instance("mime_nesting_limit = 1", sink_port=sink.port).start()
        send(m, "x@relay.test", "MIME-Version: 1.0\r\n" + deep + "\r\nü\r\n")
        m.wait_log(r"to=<x@relay.test>.* dsn=5.6.0, status=bounced \(MIME nesting exceeds safety limit\)")
        assert sink.messages == []
