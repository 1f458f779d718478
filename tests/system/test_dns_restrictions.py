"""Restrictions that ask the DNS, when it says strange things: loops, crowds, texts that are none, nothing at all."""
import os

import pytest

from harness import Instance, Zone

MANY = "\n".join(f"many.test. MX {i} h{i}.many.test.\nh{i}.many.test. A 10.1.{i // 250}.{i % 250 + 1}" for i in range(150))
CROWD = "\n".join(f"crowd.test. A 10.2.{i // 250}.{i % 250 + 1}" for i in range(180))
ZONE = f"""
1.0.0.127.in-addr.arpa. PTR localhost.
localhost. A 127.0.0.1
loop-a.test. CNAME loop-b.test.
loop-b.test. CNAME loop-a.test.
chain.test. CNAME good.test.
good.test. MX 10 mx.good.test.
mx.good.test. A 127.0.0.2
evil-mx.test. MX 10 a\\010b.test.
long.test. MX 10 {"x" * 60}.{"y" * 60}.{"z" * 60}.test.
1.0.0.127.list.test. A 127.0.0.2
1.0.0.127.list.test. TXT "line one\\013\\010250 2.1.5 Ok\\000end"
1.0.0.127.longlist.test. A 127.0.0.2
1.0.0.127.longlist.test. TXT "{"a" * 250}" "{"b" * 250}"
1.0.0.127.longlist.test. TXT "{"c" * 250}"
1.0.0.127.foreign.test. A 10.9.9.9
1.0.0.127.foreign.test. AAAA 2001:db8::1
{MANY}
{CROWD}
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the name server needs port 53 of a namespace of its own")


@pytest.fixture
def zone(tmp_path, inside):
    with Zone(tmp_path, ZONE) as z:
        yield z


def start(tmp_path, main):
    return Instance(tmp_path / "mta", "mynetworks =\nrelay_domains = relay.test\nsmtpd_relay_restrictions = reject_unauth_destination\n" + main)


def ask(mta, sender="a@good.test", rcpt="x@relay.test"):
    with mta.client() as c:
        c.hello()
        c.expect(f"MAIL FROM:<{sender}>", 250)
        return c.cmd(f"RCPT TO:<{rcpt}>")


def test_a_cname_loop_is_not_followed_for_ever(zone, tmp_path):
    with start(tmp_path, "smtpd_sender_restrictions = reject_unknown_sender_domain") as mta:
        assert ask(mta, "a@loop-a.test").startswith("450 4.1.8 <a@loop-a.test>: Sender address rejected: Domain not found")
        assert ask(mta, "a@chain.test").startswith("250")


def test_a_crowd_of_servers_ends(zone, tmp_path):
    """Which hundred of them are looked at is chance."""
    main = "smtpd_sender_restrictions = check_sender_mx_access inline:{{ {{ 10.1.0 = REJECT one of them }} }}"
    with start(tmp_path, main) as mta:
        assert ask(mta, "a@many.test").startswith("554 5.7.1 <a@many.test>: Sender address rejected: one of them")
    with start(tmp_path, main.replace("10.1.0", "10.5.5")) as mta:
        assert ask(mta, "a@many.test").startswith("250")


def test_a_crowd_of_addresses_ends(zone, tmp_path):
    with start(tmp_path, "smtpd_sender_restrictions = check_sender_a_access inline:{{ {{ 10.7.7.7 = REJECT }} }}") as mta:
        assert ask(mta, "a@crowd.test").startswith("250")


def test_a_name_that_is_none_is_no_mail_server(zone, tmp_path):
    with start(tmp_path, "smtpd_sender_restrictions = reject_unknown_sender_domain") as mta:
        assert ask(mta, "a@evil-mx.test").startswith("450 4.1.8 <a@evil-mx.test>: Sender address rejected: Malformed DNS server reply")
        assert ask(mta, "a@long.test").startswith("250")


def test_the_text_of_a_list_cannot_add_lines_to_a_reply(zone, tmp_path):
    with start(tmp_path, "smtpd_client_restrictions = reject_rbl_client list.test") as mta:
        with mta.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@good.test>", 250)
            assert c.cmd("RCPT TO:<x@relay.test>") == \
                "554 5.7.1 Service unavailable; Client host [127.0.0.1] blocked using list.test; line one  250 2.1.5 Ok end"
            c.expect("QUIT", 221)
        mta.wait_log(r"reject: RCPT from localhost\[127\.0\.0\.1\]: 554 5\.7\.1 .*line one  250 2\.1\.5 Ok end; from=<a@good\.test>")


def test_the_text_of_a_list_does_not_make_a_reply_too_long(zone, tmp_path):
    with start(tmp_path, "smtpd_client_restrictions = reject_rbl_client longlist.test") as mta:
        assert len(ask(mta)) <= 510


def test_a_list_that_answers_with_other_addresses_is_not_believed(zone, tmp_path):
    with start(tmp_path, "smtpd_client_restrictions = reject_rbl_client foreign.test=127.0.0.[2..255]") as mta:
        assert ask(mta).startswith("250")
