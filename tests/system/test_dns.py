"""MX by preference, fallback to the next host and to A, null MX, relayhost; a real name server on loopback."""
import re

import pytest

from harness import Client, Instance, Sink, Zone

ZONE = """
1.0.0.127.in-addr.arpa. PTR localhost.
localhost. A 127.0.0.1
two.test. MX 10 first.test.
two.test. MX 20 second.test.
first.test. A 127.0.0.2
second.test. A 127.0.0.3
bare.test. A 127.0.0.3
null.test. MX 0 .
dead.test. MX 5 dead-host.test.
dead-host.test. A 127.0.0.9
loop.test. MX 10 mail.example.test.
mail.example.test. A 127.0.0.1
nomx.test. TXT "nothing here"
"""


@pytest.fixture
def world(tmp_path, inside):
    with Zone(tmp_path, ZONE), Sink(host="127.0.0.2", port=25) as first, Sink(host="127.0.0.3", port=25) as second:
        with Instance(tmp_path / "mta", "default_transport = smtp\nrelayhost =", sink_port=1) as m:
            m.first, m.second = first, second
            yield m


@pytest.mark.smoke
def test_the_preferred_mx_gets_the_mail(world):
    world.send("x@two.test")
    world.first.wait(1)
    world.wait_log(r"relay=first\.test\[127\.0\.0\.2\]:25, .*status=sent")
    assert world.second.messages == []


def test_the_next_mx_gets_it_when_the_first_is_down(world):
    world.first.close()
    world.send("x@two.test")
    world.second.wait(1)
    world.wait_log(r"connect to first\.test\[127\.0\.0\.2\]:25: Connection refused")
    world.wait_log(r"relay=second\.test\[127\.0\.0\.3\]:25, .*status=sent")


def test_the_next_mx_gets_it_when_the_first_says_450(world):
    world.first.behave = lambda verb, arg: "450 4.3.2 busy" if verb == "RCPT" else None
    world.send("x@two.test")
    world.second.wait(1)


def test_no_mx_means_the_address_itself(world):
    world.send("x@bare.test")
    world.second.wait(1)
    world.wait_log(r"relay=bare\.test\[127\.0\.0\.3\]:25, .*status=sent")


def test_null_mx_is_a_bounce(world):
    world.send("x@null.test", sender="")
    world.wait_log(r"to=<x@null\.test>, relay=none, .*dsn=5\.1\.0, status=bounced \(Domain null\.test does not accept mail \(nullMX\)\)")


def test_unknown_domain_is_a_bounce(world):
    world.send("x@unknown.test", sender="")
    world.wait_log(r"to=<x@unknown\.test>, relay=none, .*dsn=5\.4\.4, status=bounced \(Host or domain name not found\. Name service error for name=unknown\.test type=A+: Host not found\)")


def test_refused_connection_is_deferred(world):
    world.send("x@dead.test")
    world.wait_log(r"to=<x@dead\.test>, relay=none, .*dsn=4\.4\.1, status=deferred \(connect to dead-host\.test\[127\.0\.0\.9\]:25: Connection refused\)")


def test_mail_for_ourselves_does_not_loop(world):
    world.send("x@loop.test", sender="")
    world.wait_log(r"to=<x@loop\.test>, relay=none, .*dsn=5\.4\.6, status=bounced \(mail for loop\.test loops back to myself\)")


def test_relayhost_without_and_with_mx(instance, tmp_path, inside):
    with Zone(tmp_path, ZONE), Sink(host="127.0.0.2", port=25) as first, Sink(host="127.0.0.3", port=2525) as smart:
        m = instance("default_transport = smtp\nrelayhost = [second.test]:2525").start()
        m.send("x@anything.test")
        smart.wait(1)
        n = instance("default_transport = smtp\nrelayhost = two.test").start()
        n.send("x@anything.test")
        first.wait(1)


def test_server_listens_on_a_name_that_only_dns_knows(tmp_path, inside):
    with Zone(tmp_path, ZONE + "only-dns.test. A 127.0.0.1"):
        m = Instance(tmp_path / "mta", "inet_interfaces = only-dns.test")
        m.master_cf.write_text(m.master_cf.read_text().replace(f"127.0.0.1:{m.port} inet", f"{m.port} inet"))
        with m, Client(m.port) as c:
            assert c.banner.startswith("220 ")
