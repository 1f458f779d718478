"""Address verification: what a probe finds out, what is remembered, and who cannot make anything up."""
import re
import threading

import pytest

from harness import PATIENCE, Instance, Sink, wait_for
from table_peers import TcpTable

VERIFY = """
smtpd_recipient_restrictions = reject_unverified_recipient, permit_mynetworks, reject
unverified_recipient_reject_code = 550
address_verify_poll_delay = 60s
relay_domains = relay.test
relay_transport = smtp:[127.0.0.1]:{sink}
address_verify_map = btree:$data_directory/verify_cache
"""


def answer(verb, arg):
    if verb == "RCPT" and "gone" in arg:
        return "550 5.1.1 no such user"
    if verb == "RCPT" and "later" in arg:
        return "450 4.2.0 come again"
    return None


@pytest.fixture
def sink():
    with Sink(behave=lambda v, a: answer(v, a)) as s:
        yield s


def server(tmp_path, sink, more=""):
    return Instance(tmp_path, VERIFY.replace("{sink}", str(sink.port)) + more.replace("{", "{{").replace("}", "}}"), sink_port=sink.port)


def rcpt(m, address, sender="a@example.test"):
    with m.client() as c:
        c.hello()
        c.expect(f"MAIL FROM:<{sender}>", 250)
        return c.cmd(f"RCPT TO:<{address}>")


def probes(sink):
    return [v for v in sink.verbs if v.startswith("RCPT")]


def records(m):
    out = m.cmd("postmap", "-s", f"btree:{m.dir}/data/verify_cache").stdout
    return dict(l.split("\t", 1) for l in out.splitlines() if not l.startswith("_"))


def test_a_probe_asks_the_next_server_and_sends_no_data(tmp_path, sink):
    with server(tmp_path, sink) as m:
        assert rcpt(m, "good@relay.test") == "250 2.1.5 Ok"
        assert rcpt(m, "gone@relay.test").startswith("550 5.1.1 <gone@relay.test>: Recipient address rejected: undeliverable address: host 127.0.0.1[127.0.0.1] said: 550 5.1.1 no such user")
        assert rcpt(m, "later@relay.test").startswith("450 4.1.1 <later@relay.test>: Recipient address rejected: unverified address: host")
        assert not any(v.startswith("DATA") for v in sink.verbs) and sink.messages == []
        assert "MAIL FROM:<double-bounce@mail.example.test>" in " ".join(sink.verbs)
        m.wait_log(r"smtp\[\d+\]: \w+: to=<good@relay\.test>, .*dsn=2\.1\.5, status=deliverable \(250 2\.1\.5 Ok\)")
        m.wait_log(r"to=<gone@relay\.test>, .*dsn=5\.1\.1, status=undeliverable \(host")
        m.wait_empty()
        for address, record in (("good", r"0:0:\d+:250 2\.1\.5 Ok"), ("gone", r"2:0:\d+:host .*"), ("later", r"1:0:\d+:host .*")):
            wait_for(address, lambda: re.fullmatch(record, records(m).get(f"{address}@relay.test", "")))


def test_what_is_known_is_not_asked_again_even_after_a_restart(tmp_path, sink):
    with server(tmp_path, sink) as m:
        for _ in range(3):
            assert rcpt(m, "good@relay.test").startswith("250")
            assert rcpt(m, "gone@relay.test").startswith("550")
        assert len(probes(sink)) == 2
        m.stop()
        m.start()
        assert rcpt(m, "good@relay.test").startswith("250")
        assert rcpt(m, "gone@relay.test").startswith("550")
        assert len(probes(sink)) == 2


def test_a_cache_in_memory_works_too(tmp_path, sink):
    with server(tmp_path, sink, "address_verify_map =\n") as m:
        assert rcpt(m, "good@relay.test").startswith("250")
        assert rcpt(m, "good@relay.test").startswith("250")
        assert len(probes(sink)) == 1
        assert not list((m.dir / "data").glob("verify*"))


def test_a_failed_refresh_leaves_a_good_address_good(tmp_path):
    mood = {"reply": None}
    with Sink(behave=lambda v, a: mood["reply"] if v == "RCPT" else None) as sink:
        with server(tmp_path, sink, "address_verify_positive_refresh_time = 1s\naddress_verify_positive_expire_time = 1h\n") as m:
            assert rcpt(m, "x@relay.test").startswith("250")
            mood["reply"] = "550 5.1.1 gone now"
            first = wait_for("the record", lambda: records(m).get("x@relay.test"))
            wait_for("a refresh", lambda: rcpt(m, "x@relay.test").startswith("250") and len(probes(sink)) >= 2)
            m.wait_log(r"to=<x@relay\.test>, .*status=undeliverable")
            assert rcpt(m, "x@relay.test").startswith("250")
            assert records(m)["x@relay.test"].split(":")[0] == "0" == first.split(":")[0]


def test_negative_results_expire(tmp_path):
    mood = {"reply": "550 5.1.1 not yet"}
    more = "address_verify_negative_expire_time = 1s\naddress_verify_negative_refresh_time = 1s\n"
    with Sink(behave=lambda v, a: mood["reply"] if v == "RCPT" else None) as sink:
        with server(tmp_path, sink, more) as m:
            assert rcpt(m, "x@relay.test").startswith("550")
            mood["reply"] = None
            wait_for("a new probe", lambda: rcpt(m, "x@relay.test").startswith("250"))


def test_a_slow_server_means_try_again_and_then_it_is_known(tmp_path):
    gate = {"open": False}

    def behave(verb, arg):
        if verb == "RCPT":
            wait_for("the gate", lambda: gate["open"])

    with Sink(behave=behave) as sink:
        with server(tmp_path, sink, "address_verify_poll_count = 2\naddress_verify_poll_delay = 1s\n") as m:
            assert rcpt(m, "x@relay.test") == "450 4.1.1 <x@relay.test>: Recipient address rejected: unverified address: Address verification in progress"
            gate["open"] = True
            wait_for("the outcome", lambda: rcpt(m, "x@relay.test").startswith("250"))
            assert len(probes(sink)) == 1


def test_an_alias_of_several_is_deliverable_and_one_of_one_is_followed(tmp_path, sink):
    with server(tmp_path, sink, "virtual_alias_maps = inline:{{many@relay.test=a@relay.test, b@relay.test} {one@relay.test=gone@relay.test}}\n") as m:
        assert rcpt(m, "one@relay.test").startswith("550")
        assert rcpt(m, "many@relay.test").startswith("250")
        assert [p for p in probes(sink) if "many" in p or "<a@" in p] == []
        m.wait_log(r"to=<gone@relay\.test>, orig_to=<one@relay\.test>, .*status=undeliverable")
        wait_for("the record", lambda: records(m).get("many@relay.test", "").endswith(":aliased to multiple recipients"))


def test_mailboxes_are_looked_up_and_nothing_is_written(tmp_path, sink):
    with server(tmp_path, sink, "virtual_mailbox_maps = inline:{u@mbox.test=u/}\nsmtpd_reject_unlisted_recipient = no\n") as m:
        assert rcpt(m, "u@mbox.test").startswith("250")
        assert rcpt(m, "v@mbox.test").startswith("550")
        m.wait_log(r"to=<u@mbox\.test>, relay=virtual, .*dsn=2\.0\.0, status=deliverable \(delivers to maildir\)")
        assert m.maildir() == []


def test_nobody_but_the_queue_makes_probes(tmp_path, sink):
    """A message that says it is one, as a local program may, leaves the cache alone and is delivered."""
    with server(tmp_path, sink) as m:
        m.cmd("sendmail", "-f", "double-bounce@mail.example.test", "gone@relay.test", input="Subject: probe\n\nx\n")
        m.wait_log(r"to=<gone@relay\.test>, .*status=bounced")
        assert probes(sink)
        before = len(probes(sink))
        assert rcpt(m, "gone@relay.test").startswith("550")
        assert len(probes(sink)) == before + 1, "it was asked, not remembered"


def test_other_transports_and_senders_for_probes(tmp_path, sink):
    with Sink() as other:
        more = f"address_verify_relay_transport = smtp:[127.0.0.1]:{other.port}\naddress_verify_sender = prober\naddress_verify_sender_ttl = 1h\n"
        with server(tmp_path, sink, more) as m:
            assert rcpt(m, "gone@relay.test").startswith("250")
            assert sink.verbs == []
            assert re.search(r"MAIL FROM:<prober[0-9B-Z]+@mail\.example\.test>", " ".join(other.verbs))


def test_a_crash_with_a_probe_under_way_harms_nothing(tmp_path):
    gate = {"open": False}

    def behave(verb, arg):
        if verb == "RCPT":
            wait_for("the gate", lambda: gate["open"])

    with Sink(behave=behave) as sink:
        with server(tmp_path, sink, "address_verify_poll_count = 1\n") as m:
            assert rcpt(m, "x@relay.test").startswith("450")
            wait_for("the probe", lambda: probes(sink))
            m.kill(role="queue")
            gate["open"] = True
            wait_for("the outcome", lambda: rcpt(m, "x@relay.test").startswith("250"))
            m.wait_empty()
            assert sink.messages == []


def test_an_unusable_cache_is_trouble_and_not_a_pass(tmp_path, sink):
    with server(tmp_path, sink, "address_verify_map = btree:/nonexistent/verify_cache\n") as m:
        assert rcpt(m, "good@relay.test").startswith("450 4.1.1 <good@relay.test>: Recipient address rejected: address verification problem")
        m.wait_log(r"address_verify_map: .*nonexistent")


def test_an_old_probe_answers_while_the_alias_of_a_new_one_is_looked_up(tmp_path):
    """queue is killed with a probe under way, and its cache in memory is gone: it asks anew, and hears of both."""
    delivered, mapped, asked = threading.Event(), threading.Event(), []

    def behave(verb, arg):
        if verb == "RCPT":
            delivered.wait(2 * PATIENCE)

    def alias(key):
        asked.append(key)
        if len(asked) > 1:
            mapped.wait(2 * PATIENCE)
        return ""

    with TcpTable({"good@relay.test": alias}, default="") as table, Sink(behave=behave) as sink:
        with server(tmp_path, sink, f"address_verify_map =\naddress_verify_poll_count = 1\nvirtual_alias_maps = {table.spec}\n"
                                    "smtpd_reject_unlisted_recipient = no\n") as m:
            assert rcpt(m, "good@relay.test").startswith("450")
            wait_for("the first probe", lambda: probes(sink))
            old, = m.kill(role="queue")
            wait_for("another queue", lambda: m.pids("queue") not in ([], [old]))
            assert rcpt(m, "good@relay.test").startswith("450")
            wait_for("the second question", lambda: len(asked) > 1)
            queue = m.pids("queue")
            delivered.set()
            wait_for("what the first probe found", lambda: rcpt(m, "good@relay.test").startswith("250"))
            mapped.set()
            m.wait_empty()
            assert rcpt(m, "good@relay.test").startswith("250") and m.pids("queue") == queue


def test_a_reload_while_the_alias_of_a_probe_is_looked_up_does_not_lose_the_probe(tmp_path, sink):
    asked, gone = [], threading.Event()

    def alias(key):
        asked.append(key)
        if len(asked) == 1:
            gone.wait(2 * PATIENCE)
        return ""

    with TcpTable({"good@relay.test": alias}, default="") as table:
        with server(tmp_path, sink, f"address_verify_poll_count = 1\nvirtual_alias_maps = {table.spec}\nsmtpd_reject_unlisted_recipient = no\n") as m:
            assert rcpt(m, "good@relay.test").startswith("450")
            wait_for("the question", lambda: asked)
            m.reload()
            wait_for("the outcome", lambda: rcpt(m, "good@relay.test").startswith("250"))
            gone.set()
            assert len(probes(sink)) == 1


def test_a_server_under_stress_does_not_wait_for_probes(tmp_path):
    gate = threading.Event()

    def behave(verb, arg):
        if verb == "RCPT":
            gate.wait(2 * PATIENCE)

    with Sink(behave=behave) as sink:
        m = server(tmp_path, sink, "address_verify_poll_delay = 1h\n")
        m.master_cf.write_text(m.master_cf.read_text().replace("inet n - n - - smtpd", "inet n - n - 1 smtpd"))
        with m:  # one session is all that a process may have: it is under stress
            assert rcpt(m, "x@relay.test").endswith("unverified address: Address verification in progress")
            gate.set()
            wait_for("the outcome", lambda: rcpt(m, "x@relay.test").startswith("250"))
