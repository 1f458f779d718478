"""content_filter, ETRN and postqueue -s, VERP, sendmail -v and -bv, SMTPUTF8: what the queue and its agents do with them."""
import email, re

from harness import Client, Instance, Sink, free_port, wait_for

RELAY = """
relay_domains = relay.test, other.test
relay_transport = smtp:[127.0.0.1]:{sink}
"""


def server(tmp_path, sink, more="", master=""):
    return Instance(tmp_path, RELAY.replace("{sink}", str(sink.port)) + more.replace("{", "{{").replace("}", "}}"), master, sink_port=sink.port)


# ---- content filters

def test_all_mail_goes_to_the_filter_and_what_comes_back_does_not(tmp_path):
    """A filter hands mail in again at a service without content_filter; then it goes where it should."""
    port = free_port()
    back = f"127.0.0.1:{port} inet n - n - - smtpd\n  -o content_filter=\n"
    with Sink() as sink, Sink() as filter_sink:
        with server(tmp_path, sink, f"content_filter = smtp:[127.0.0.1]:{filter_sink.port}\n", back) as m:
            m.send(["x@relay.test", "y@other.test"])
            got = filter_sink.wait(1)[0]
            assert len(got["rcpt"]) == 2 and sink.messages == []
            with Client(port) as c:
                assert c.message("a@example.test", ["x@relay.test"], got["data"].decode()).startswith("250")
            assert "TO:<x@relay.test>" in sink.wait(1)[0]["rcpt"][0]
            assert len(filter_sink.messages) == 1
            m.wait_empty()


def test_a_filter_without_a_next_hop_uses_default_filter_nexthop(tmp_path):
    with Sink() as sink, Sink() as filter_sink:
        with server(tmp_path, sink, f"content_filter = smtp:\ndefault_filter_nexthop = [127.0.0.1]:{filter_sink.port}\n") as m:
            m.send("x@relay.test")
            assert filter_sink.wait(1) and sink.messages == []


# ---- one destination

def deferred(m, n):
    wait_for(f"{n} deferred", lambda: len([q for q in m.queue() if q["queue_name"] == "deferred"]) == n)


def test_etrn_and_postqueue_s_try_one_destination(tmp_path):
    mood = {"reply": "450 4.2.0 later"}
    with Sink(behave=lambda v, a: mood["reply"] if v == "RCPT" else None) as sink:
        with server(tmp_path, sink) as m:
            for r in ("x@relay.test", "y@other.test", "z@elsewhere.test"):
                m.send(r)
            deferred(m, 3)
            mood["reply"] = None
            with m.client() as c:
                c.hello()
                assert c.cmd("ETRN elsewhere.test") == "459 <elsewhere.test>: service unavailable"
                assert c.cmd("ETRN RELAY.test") == "250 Queuing started"
            assert "TO:<x@relay.test>" in sink.wait(1)[0]["rcpt"][0]
            deferred(m, 2)
            m.cmd("postqueue", "-s", "other.test")
            assert "TO:<y@other.test>" in sink.wait(2)[1]["rcpt"][0]
            r = m.cmd("postqueue", "-s", "elsewhere.test", check=False)
            assert r.returncode == 69 and 'fatal: Flush service is not configured for destination "elsewhere.test"' in r.stderr
            deferred(m, 1)


# ---- VERP

def test_each_recipient_has_a_sender_that_names_him_and_so_has_its_bounce(tmp_path):
    with Sink(behave=lambda v, a: "550 5.1.1 no" if v == "RCPT" and "<gone" in a else None) as sink:
        with server(tmp_path, sink, "default_verp_delimiters = +=\nsmtpd_authorized_verp_clients = 127.0.0.0/8\n") as m:
            with m.client() as c:
                c.hello()
                c.expect("MAIL FROM:<list@relay.test> XVERP", 250)
                for r in ("x@relay.test", "gone@relay.test", "y@other.test"):
                    c.expect(f"RCPT TO:<{r}>", 250)
                c.expect("DATA", 354)
                assert c.cmd("Subject: v\r\n\r\nb\r\n.").startswith("250")
            got = sink.wait(3)
            senders = {g["rcpt"][0].split(">")[0][4:]: g["mail"].split(">")[0][6:] for g in got}
            assert senders["x@relay.test"] == "list+x=relay.test@relay.test"
            assert senders["y@other.test"] == "list+y=other.test@relay.test"
            assert senders["list+gone=relay.test@relay.test"] == "", "the bounce goes to the name of who failed"
            assert all(len(g["rcpt"]) == 1 for g in got)
            m.wait_empty()


# ---- reports

def report(sink, subject="Mail Delivery Status Report"):
    found = wait_for("a report", lambda: [x for x in sink.messages if subject.encode() in x["data"]])[0]
    return email.message_from_bytes(found["data"])


def test_sendmail_bv_says_what_would_happen_and_delivers_nothing(tmp_path):
    with Sink(behave=lambda v, a: "550 5.1.1 no" if v == "RCPT" and "gone" in a else None) as sink:
        with server(tmp_path, sink) as m:
            r = m.cmd("sendmail", "-f", "me@relay.test", "-bv", "x@relay.test", "gone@relay.test", "u@mbox.test")
            assert r.stdout == "Mail Delivery Status Report will be mailed to <me@relay.test>.\n"
            text, status, _ = report(sink).get_payload()
            assert "Enclosed is the mail delivery report that you requested." in text.get_payload()
            fields = {f["Final-Recipient"].split("; ")[1]: f for f in status.get_payload()[1:]}
            assert fields["x@relay.test"]["Action"] == "deliverable" and fields["x@relay.test"]["Status"] == "2.1.5"
            assert fields["gone@relay.test"]["Action"] == "undeliverable" and fields["gone@relay.test"]["Status"] == "5.1.1"
            assert fields["u@mbox.test"]["Diagnostic-Code"] == "X-Postfix; delivery via virtual: delivers to maildir"
            m.wait_empty()
            assert len(sink.messages) == 1 and m.maildir() == []
            m.wait_log(r"to=<gone@relay\.test>, .*status=undeliverable")


def test_sendmail_v_delivers_and_reports_once(tmp_path):
    mood = {"reply": "450 4.2.0 later"}
    with Sink(behave=lambda v, a: mood["reply"] if v == "RCPT" and "later" in a else None) as sink:
        with server(tmp_path, sink) as m:
            m.cmd("sendmail", "-f", "me@relay.test", "-v", "x@relay.test", "later@relay.test", input="Subject: t\n\nb\n")
            _, status, _ = report(sink).get_payload()
            actions = {f["Final-Recipient"].split("; ")[1]: f["Action"] for f in status.get_payload()[1:]}
            assert actions == {"x@relay.test": "relayed", "later@relay.test": "delayed"}
            mood["reply"] = None
            deferred(m, 1)
            m.cmd("postqueue", "-f")
            sink.wait(3)
            m.wait_empty()
            assert len([x for x in sink.messages if b"Status Report" in x["data"]]) == 1


# ---- SMTPUTF8

def test_mail_that_needs_smtputf8_goes_only_where_it_is_offered(tmp_path):
    with Sink(keywords=("PIPELINING", "8BITMIME", "SMTPUTF8")) as able, Sink() as sink:
        more = f"transport_maps = inline:{{other.test=smtp:[127.0.0.1]:{able.port}}}\n"
        with server(tmp_path, sink, more) as m:
            for i, to in enumerate(("jörg@other.test", "jörg@relay.test", "plain@relay.test")):
                with m.client() as c:
                    c.hello()
                    c.expect("MAIL FROM:<me@mbox.test> SMTPUTF8", 250)
                    c.raw(f"RCPT TO:<{to}>\r\n".encode())
                    assert c.reply().startswith("250")
                    c.expect("DATA", 354)
                    assert c.cmd(f"Subject: {i}\r\n\r\nb\r\n.").startswith("250")
            got = able.wait(1)[0]
            assert got["mail"].endswith(" SMTPUTF8")
            assert "plain@relay.test" in sink.wait(1)[0]["rcpt"][0] and "SMTPUTF8" not in sink.messages[0]["mail"]
            m.wait_log(r"dsn=5\.6\.7, status=bounced \(SMTPUTF8 is required, but was not offered by host 127\.0\.0\.1\[127\.0\.0\.1\]\)")
            wait_for("the bounce", lambda: m.maildir())
            text = m.maildir()[0].read_bytes()
            assert b"Content-Type: message/global-delivery-status" in text and b"Content-Type: message/global\n" in text
            assert "Final-Recipient: utf-8; jörg@relay.test".encode() in text
