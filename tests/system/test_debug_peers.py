"""debug_peer_list, and -v in master.cf: what both sides of a session say, in the log. The lines were seen with Postfix."""
import re

import harness

SERVER = """\
> ME: 220 mail.example.test ESMTP Postfix
< ME: EHLO client.test
> ME: 250-mail.example.test
> ME: 250-PIPELINING
> ME: 250-SIZE 10240000
> ME: 250-VRFY
> ME: 250-ETRN
> ME: 250-ENHANCEDSTATUSCODES
> ME: 250-8BITMIME
> ME: 250-DSN
> ME: 250-SMTPUTF8
> ME: 250 CHUNKING
< ME: auth plain ...
> ME: 503-5.5.1 Error: authentication not enabled
> ME: 503-5.5.1 foot
> ME: 503 5.5.1 second
< ME: MAIL FROM:<a@example.test>
> ME: 250 2.1.0 Ok
< ME: RCPT TO:<x@relay.test>
> ME: 250 2.1.5 Ok
< ME: DATA
> ME: 354 End data with <CR><LF>.<CR><LF>
> ME: 250 2.0.0 Ok: queued as ID
< ME: NOOP a?
> ME: 250 2.0.0 Ok
< ME: QUIT
> ME: 221 2.0.0 Bye
"""
CLIENT = """\
< THERE: 220 sink.test ESMTP
> THERE: EHLO mail.example.test
< THERE: 250-sink.test
< THERE: 250-PIPELINING
< THERE: 250 8BITMIME
> THERE: MAIL FROM:<a@example.test>
> THERE: RCPT TO:<x@relay.test>
> THERE: DATA
< THERE: 250 2.1.0 Ok
< THERE: 250 2.1.5 Ok
< THERE: 354 End data with <CR><LF>.<CR><LF>
> THERE: .
< THERE: 250 2.0.0 Ok: queued as 0
> THERE: QUIT
"""


def said(m, program):
    """The lines of sessions that this program logged."""
    lines = re.findall(rf" postfix/{program}\[\d+\]: ([<>] .*\n)", m.log())
    text = re.sub(r"\S+\[127\.0\.0\.1\]:(?=\d)", "THERE:", re.sub(r"(?<=^[<>] )\S+\[127\.0\.0\.1\](?=: )", "ME", "".join(lines), flags=re.M))
    return re.sub(r"THERE:\d+", "THERE", re.sub(r"(?<=queued as )[0-9A-Zb-z]{6,}", "ID", text))


def test_what_is_said_with_a_listed_peer_is_logged(instance):
    with harness.Sink(keywords=("PIPELINING", "8BITMIME")) as sink:
        m = instance(main="debug_peer_list = 192.0.2.0/24, 127.0.0.1\nsmtp_connection_cache_on_demand = no\nsmtpd_reject_footer = foot\\nsecond\n",
                     sink_port=sink.port).start()
        with m.client() as c:
            c.hello()
            c.expect("auth plain AGJvc3MAc2VjcmV0", 503)
            c.greeted = True
            assert c.message("a@example.test", ("x@relay.test",), "Subject: t\r\n\r\nsecret\r\n").startswith("250 ")
            c.expect("NOOP a\x01", 250)
            c.expect("QUIT", 221)
        m.wait_log(r": removed\n")
        m.wait_log(r"> \S+: QUIT\n")
        m.wait_log(r"disconnect from ")
    assert said(m, "smtpd") == SERVER
    assert said(m, "smtp") == CLIENT
    assert "secret" not in m.log() and "AGJvc3" not in m.log()


def test_a_service_with_v_logs_all_and_the_others_do_not(instance):
    port = harness.free_port()
    m = instance(main="debug_peer_list = !127.0.0.1, 127.0.0.0/8\n", master=f"127.0.0.1:{port} inet n - n - - smtpd -v\n  -o syslog_name=postfix/loud\n").start()
    for at in (m.port, port):
        with harness.Client(at) as c:
            c.hello()
            c.expect("QUIT", 221)
    m.wait_log(r"disconnect from ", count=2)
    assert said(m, "smtpd") == ""
    loud = said(m, "loud/smtpd")
    assert loud.startswith("> ME: 220 mail.example.test ESMTP Postfix\n< ME: EHLO client.test\n") and loud.endswith("< ME: QUIT\n> ME: 221 2.0.0 Bye\n")
