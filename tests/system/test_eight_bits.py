"""8-bit mail on its way to servers that take 7 bits only. What it becomes byte for byte is tests/compat/content."""
import quopri

from harness import Sink
from test_content_stream import Slow

LINES = "".join(f"{i} grüße, {'=' * (i % 90)} {' ' * (i % 3)}\r\n" for i in range(4000))
HEAD = "Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"


def send(m, rcpt, message, reply="250"):
    with m.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@relay.test> BODY=8BITMIME", 250)
        c.expect(f"RCPT TO:<{rcpt}>", 250)
        c.expect("DATA", 354)
        c.raw(message.encode())
        assert c.cmd("." if message.endswith("\n") else "\r\n.").startswith(reply)


def test_a_large_message_and_the_next_one_on_the_same_connection(instance):
    with Sink(keywords=("PIPELINING", "SIZE 50000000")) as sink:
        m = instance("smtp_connection_cache_time_limit = 1h\nsmtp_connection_reuse_time_limit = 1h\n", sink_port=sink.port).start()
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


def test_force_mime_input_conversion(instance, tmp_path):
    """What a table that waits and body_checks see, and what the next server gets, is 7-bit; what must not be there is looked for before."""
    slow = Slow()
    slow.go.set()
    (tmp_path / "body").write_text("/^0 gr=C3=BC/ WARN seen\n")
    tmp_path.chmod(0o755)
    with Sink() as sink:
        m = instance("force_mime_input_conversion = yes\nmessage_reject_characters = \\001\nstrict_8bitmime_body = yes\n"
                     f"header_checks = socketmap:inet:127.0.0.1:{slow.port}:x\nbody_checks = regexp:{tmp_path}/body", sink_port=sink.port).start()
        send(m, "x@relay.test", HEAD + LINES)
        got = sink.wait(1)[0]
        head, _, body = got["data"].partition(b"\r\n\r\n")
        assert "BODY=8BITMIME" in got["mail"] and b"\r\nContent-Transfer-Encoding: quoted-printable\r\n" in head + b"\r\n"
        is_same = quopri.decodestring(body) == LINES.encode()
        assert is_same, body[:2000]
        m.wait_log("warning: body 0 gr=C3=BC.*: seen")
        assert b"x Content-Transfer-Encoding: quoted-printable" in slow.asked and not any(b"8bit" in q for q in slow.asked)
        send(m, "x@relay.test", HEAD + "ü\x01\r\n", "550 5.7.1")
        send(m, "x@relay.test", HEAD.replace("8bit", "7bit") + "ü\r\n", "550 5.6.0")
        send(m, "x@relay.test", HEAD + "kurz: ü ")
        assert sink.wait(2)[1]["data"].endswith(b"\r\n\r\nkurz: =C3=BC=20\r\n")
