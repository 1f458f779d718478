"""hikyaku explain: the same verdict that the server gives, with the way to it."""
import re, subprocess

import pytest

import harness

RULES = """\
mynetworks = 10.0.0.0/8
smtpd_restriction_classes = strict
strict = reject_non_fqdn_sender
smtpd_client_restrictions = permit_mynetworks, check_client_access texthash:{dir}/etc/clients
smtpd_helo_restrictions = reject_invalid_helo_hostname
smtpd_sender_restrictions = check_sender_access texthash:{dir}/etc/senders
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access texthash:{dir}/etc/recipients
virtual_alias_maps = texthash:{dir}/etc/aliases
"""


@pytest.fixture
def m(instance):
    i = instance(main=RULES)
    etc = i.dir / "etc"
    (etc / "clients").write_text("127.0.0.2 DUNNO\n192.0.2 REJECT go away\n")
    (etc / "senders").write_text("strict.example strict\n")
    (etc / "recipients").write_text("held@mbox.test HOLD\ngone@mbox.test 550 5.1.1 he left\n")
    (etc / "aliases").write_text("two@mbox.test u@mbox.test, x@relay.test\n")
    return i


def explain(m, *args):
    p = m.cmd("hikyaku", "explain", *args, check=False)
    out = p.stdout if isinstance(p.stdout, str) else p.stdout.decode()
    err = p.stderr if isinstance(p.stderr, str) else p.stderr.decode()
    return p.returncode, out, err


CASES = [
    # client, name, HELO, sender, recipient, what must be said
    ("127.0.0.1", "localhost", "x.example", "a@b.example", "u@mbox.test", ["class virtual mailbox, transport virtual"]),
    ("127.0.0.1", "localhost", "x.example", "a@b.example", "two@mbox.test", ["<u@mbox.test>", "<x@relay.test>"]),
    ("127.0.0.1", "localhost", "x.example", "a@b.example", "gone@mbox.test", ["he left", "by         check_recipient_access in smtpd_recipient_restrictions"]),
    ("127.0.0.1", "localhost", "x.example", "a@b.example", "x@else.example", ["Relay access denied", "by         reject_unauth_destination in smtpd_relay_restrictions", "mynetworks"]),
    ("127.0.0.1", "localhost", "-bad-", "a@b.example", "u@mbox.test", ["Helo command rejected", "by         reject_invalid_helo_hostname"]),
    ("127.0.0.1", "localhost", "x.example", "", "held@mbox.test", ["the message is held (HOLD)"]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[2]}-{c[4]}")
def test_the_verdict_is_the_servers(m, case):
    client, name, helo, sender, rcpt, words = case
    code, out, err = explain(m, "--client", client, "--name", name, "--helo", helo, "--from", sender, "--to", rcpt)
    assert err == ""
    for w in words:
        assert w in out, out
    m.start()
    with m.client() as c:
        c.cmd(f"EHLO {helo}")
        c.cmd(f"MAIL FROM:<{sender}>")
        reply = c.cmd(f"RCPT TO:<{rcpt}>")
    said = re.search(r"^verdict    (.*)$", out, re.M)[1]
    text = reply[1] if isinstance(reply, tuple) else reply
    assert said in str(text) or str(text).strip().endswith(said[4:]), (said, reply)
    assert code == (0 if said.startswith("250") else 1)


def test_every_question_is_shown(m):
    _, out, _ = explain(m, "--client", "192.0.2.7", "--name", "unknown", "--from", "<a@strict.example>", "--to", "<u@mbox.test>")
    assert "check_client_access" in out and 'clients "192.0.2": REJECT go away' in out
    assert "verdict    554 5.7.1 <unknown[192.0.2.7]>: Client host rejected: go away" in out


def test_a_refused_client_from_the_log(m):
    m.start()
    with m.client() as c:
        c.cmd("EHLO who.example")
        c.cmd("MAIL FROM:<a@b.example>")
        c.cmd("RCPT TO:<u@mbox.test>")
        c.cmd("RCPT TO:<gone@mbox.test>")
    m.wait_log("reject: RCPT")
    qid = re.search(r": ([0-9A-Z]+): client=", m.log())[1]
    code, out, err = explain(m, "--from-log", qid)
    assert code == 1 and err == ""
    assert "HELO       who.example" in out and "sender     <a@b.example>" in out
    assert "recipient  <gone@mbox.test>" in out and "he left" in out


def test_mistakes_are_told(m):
    m.start()
    for args, status, words in ((["--from-log", "0NOSUCH"], 65, "no line about 0NOSUCH"), (["--client", "nowhere", "--from", "", "--to", "x@y"], 64, "not an IP address"),
                                (["--client", "192.0.2.1"], 64, "usage:"), (["--from-log", "X", "--log", "/nonexistent"], 66, "No such file"),
                                (["-s", "nosuch", "--client", "192.0.2.1", "--from", "", "--to", "x@y"], 64, "no such smtpd service")):
        code, _, err = explain(m, *args)
        assert code == status and words in err, (args, code, err)


def test_hostile_log_lines_do_not_reach_the_terminal(m, tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"Nov 22 00:00:00 h postfix/smtpd[1]: ABC: client=evil\x1b[2J[192.0.2.9]\n"
                    b"Nov 22 00:00:00 h postfix/smtp[1]: ABC: to=<u\x1b]0;x\x07@mbox.test>, relay=none\n")
    _, out, _ = explain(m, "--from-log", "ABC", "--log", str(log))
    assert "\x1b" not in out and "\x07" not in out
