"""Values of the right type that a daemon would die of: said where they are set, before it starts."""
import re
import socket

import pytest

import harness

BAD = {
    "hikyaku_dns_servers": ("127.0.0.1@99999", "bad DNS server address: 127.0.0.1@99999; specify numeric addresses, address@port if the port is not 53"),
    "smtp_bind_address": ("mail.example.test", "bad smtp_bind_address address: mail.example.test; specify one numeric IPv4 address, or nothing"),
    "smtp_bind_address6": ("192.0.2.1", "bad smtp_bind_address6 address: 192.0.2.1; specify one numeric IPv6 address, or nothing"),
    "smtp_tcp_port": ("nosuchport", "unknown service: nosuchport; specify a port, or its name"),
    "smtpd_proxy_filter": ("127.0.0.1:ssh", "bad smtpd_proxy_filter: 127.0.0.1:ssh; specify host:port, inet:host:port or unix:path"),
    "smtpd_proxy_options": ("slow", "unknown smtpd_proxy_options value: slow; specify speed_adjust, or nothing"),
    "receive_override_options": ("no_checks", "unknown receive_override_options value: no_checks; specify no_address_mappings, "
                                              "no_header_body_checks, no_milters or no_unknown_recipient_checks"),
    "smtpd_restriction_classes": ("nowhere", "restriction class `nowhere' needs a definition"),
    "smtpd_upstream_proxy_protocol": ("v2", "unsupported smtpd_upstream_proxy_protocol value: v2; specify haproxy, or nothing"),
    "virtual_alias_maps": ("/etc/aliases", 'open dictionary: expecting "type:name" form instead of "/etc/aliases"'),
    "relay_domains": ("{a.test", "unbalanced braces"),
    "smtpd_client_restrictions": ("{permit", "unbalanced braces"),
    "default_destination_concurrency_negative_feedback": ("2", "bad feedback: 2; specify a number from 0 to 1, number/concurrency or number/sqrt_concurrency"),
}
SETTINGS = "".join(f"{name} = {value}\n" for name, (value, _) in BAD.items()).replace("{", "{{")


def lines(file, prefix=""):
    """What is to be said, by the lines on which the values stand."""
    at = {l.strip().split("=")[0].strip().removeprefix("-o "): i for i, l in enumerate(file.read_text().splitlines(), 1)}
    return {name: f"{file}: line {at[name]}: {prefix}{name}: {words}" for name, (_, words) in BAD.items()}


def check(m):
    r = m.cmd("postfix", "check", check=False)
    return r.returncode, r.stderr.splitlines()


def test_in_main_cf(instance):
    m = instance(SETTINGS)
    code, said = check(m)
    assert code == 1
    missing = [l for l in lines(m.main_cf).values() if "postfix/postfix-script: error: " + l not in said]
    assert not missing, said
    # A start goes on without the daemons that cannot, and says why on the terminal, too.
    said = m.cmd("postfix", "start").stderr.splitlines()
    m.started = True
    missing = [l for l in lines(m.main_cf).values() if "postfix/master: warning: " + l not in said]
    assert not missing, said


def test_addresses_in_brackets_are_fine(instance):
    m = instance("smtp_bind_address = [192.0.2.1]\nsmtp_bind_address6 = [2001:db8::1]\n")
    assert not [l for l in check(m)[1] if "bind_address" in l]


def test_of_one_service(instance):
    options = "".join(f"  -o {name}={value.replace('{', '{{')}\n" for name, (value, _) in BAD.items() if " " not in value)
    m = instance(master="127.0.0.1:1 inet n - n - - smtpd\n" + options)
    code, said = check(m)
    assert code == 1
    at = next(i for i, l in enumerate(m.master_cf.read_text().splitlines(), 1) if l.startswith("127.0.0.1:1 "))
    missing = [name for name, (_, words) in BAD.items()
               if f"postfix/postfix-script: error: {m.master_cf}: line {at}: -o {name}: {words}" not in said]
    assert not missing, said


def test_every_parameter_that_names_tables(instance):
    text = "".join(f.read_text() for f in sorted((harness.ROOT / "src/conf/params").glob("*.params")))
    records = [dict(re.findall(r"^(\w+)[ \t]+(.*)", r, re.M)) for r in re.split(r"\n(?=param|template)", text)]
    names = [r["param"] for r in records if r.get("type") == "maps" and r.get("status") == "works" and "param" in r]
    names = [n for n in names if not n.startswith("proxy_")]
    assert len(names) > 25
    m = instance("".join(f"{n} = garbage\n" for n in names))
    code, said = check(m)
    assert code == 1
    silent = [n for n in names if not any(f": {n}: open dictionary: expecting " in l for l in said)]
    assert not silent, said


def test_a_reload_with_such_a_value_ends_daemons_that_work(instance):
    m = instance().start()
    before = set(m.pids())
    m.main_cf.write_text(m.main_cf.read_text() + "smtp_bind_address = nowhere\n")
    m.cmd("postfix", "reload")
    m.wait_log("error: .*/main.cf: line [0-9]+: smtp_bind_address: bad smtp_bind_address address: nowhere; ")
    m.wait_log("reload failed: the old configuration stays in use")
    assert set(m.pids()) == before
    assert m.send("u@mbox.test").startswith("250")


def test_what_only_a_whole_service_shows(instance):
    m = instance(master="127.0.0.1:1 inet n - n - - smtpd\n  -o smtpd_relay_restrictions= -o smtpd_recipient_restrictions=permit\n")
    code, said = check(m)
    assert code == 1
    at = next(i for i, l in enumerate(m.master_cf.read_text().splitlines(), 1) if l.startswith("127.0.0.1:1 "))
    assert any(l.startswith(f"postfix/postfix-script: error: {m.master_cf}: line {at}: service 127.0.0.1:1: in parameter "
                            "smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working instance of: ")
               for l in said), said


def test_a_larger_message_size_limit_stops_mail_for_virtual_mailboxes_only(instance):
    words = "main.cf configuration error: virtual_mailbox_limit is smaller than message_size_limit"
    with harness.Sink() as sink:
        m = instance("message_size_limit = 100000000\nqueue_minfree = 0\n", sink_port=sink.port)
        code, said = check(m)
        assert code == 1 and any(l.endswith(": message_size_limit: " + words) for l in said), said
        m.start()
        assert m.send("u@mbox.test").startswith("250") and m.send("x@relay.test").startswith("250")
        harness.wait_for("the other mail", lambda: sink.messages)
        m.wait_log("to=<u@mbox.test>, relay=none, .*dsn=4.3.0, status=deferred \\(mail transport unavailable\\)")
        assert "virtual[" in m.log() and "fatal: " + words in m.log() and "throttling" not in m.log()
        m.main_cf.write_text(m.main_cf.read_text() + "virtual_mailbox_domains =\n")
        assert not any(words in l for l in check(m)[1])


LARGE = "message_size_limit = 100000000\n"
SMTPD = "127.0.0.1:1 inet n - n - - smtpd\n"


@pytest.mark.parametrize("main,master", [
    # Who delivers to virtual mailboxes with a limit of his own.
    (LARGE + "virtual_transport = lmtp:unix:private/dovecot-lmtp\n", ""),
    # The limits of other services say nothing about virtual's.
    ("", SMTPD + "  -o message_size_limit=100000000\n"),
    (LARGE + "virtual_transport = large\n", "large unix - n n - - virtual -o virtual_mailbox_limit=0\n"),
    # A filter on this host.
    ("", SMTPD + "  -o smtpd_proxy_filter=10026\n127.0.0.1:2 inet n - n - - smtpd -o smtpd_proxy_filter=inet::10026\n"),
    # Sockets of helpers, which look like tables.
    ("smtpd_milters = unix:/run/milter.sock, {{ unix:milter.sock, default_action=accept }}\n"
     "smtpd_end_of_data_restrictions = check_policy_service unix:private/policy\n", SMTPD + "  -o smtpd_proxy_filter=unix:private/filter\n"),
    # Caches, before there was something to remember.
    ("smtp_tls_session_cache_database = btree:$data_directory/smtp_scache\naddress_verify_map = proxy:btree:$data_directory/verify\n", ""),
], ids=["lmtp", "of-smtpd", "of-virtual", "ports", "sockets", "caches"])
def test_what_is_no_mistake(instance, main, master):
    code, said = check(instance(main, master=master))
    assert code == 0 and not any(" error: " in l for l in said), said


def test_a_blank_in_a_value_opens_a_service_to_everybody(instance):
    """Postfix's smtpd dies of it: what the administrator wanted at the end was "reject"."""
    m = instance()
    port = harness.free_port()
    m.master_cf.write_text(m.master_cf.read_text() +
                           f"127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_recipient_restrictions=permit_sasl_authenticated, reject\n")
    words = f"service 127.0.0.1:{port}: unexpected command-line argument: reject; a value with blanks is written -o {{ name = value }}"
    code, said = check(m)
    assert code == 1 and any(l.endswith(words) for l in said), said
    m.start()
    m.wait_log("smtpd\\[\\d+\\]: fatal: unexpected command-line argument: reject")
    with socket.create_connection(("127.0.0.1", port), 60) as s:
        assert s.recv(100).startswith(b"421 4.3.0 ")
    assert m.send("u@mbox.test").startswith("250")


def test_an_access_check_without_a_table_refuses_everybody_and_nobody_was_told(instance):
    m = instance("smtpd_client_restrictions = permit_mynetworks, check_client_access /etc/x, check_client_access {{ static:OK, search_order=x }}\n")
    code, said = check(m)
    said = [l for l in said if "need maptype:mapname" in l]
    assert len(said) == 1 and said[0].endswith(
        ': smtpd_client_restrictions: check_client_access: bad argument "/etc/x": need maptype:mapname; who reaches it gets 451 4.3.5')


def test_a_new_main_cf_lacks_a_compatibility_level_and_the_error_does_not_say_so(instance):
    m = instance(master="127.0.0.1:1 inet n - n - - smtpd\n")
    lines = [l for l in m.main_cf.read_text().splitlines() if not re.match("compatibility_level|smtpd_re(lay|cipient)_restrictions", l)]
    m.main_cf.write_text("\n".join(lines) + "\n")
    code, said = check(m)
    assert code == 1 and any(l.endswith("; smtpd_relay_restrictions is empty by default without compatibility_level = 3.6") for l in said), said
