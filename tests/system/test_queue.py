"""Retry, bounce, hold, delete, requeue, listing."""
import email, re, threading

import pytest

from harness import PATIENCE, Instance, Sink, wait_for


@pytest.fixture
def deferring(tmp_path):
    """A server whose next hop says 450 to everybody until m.mood is changed."""
    mood = {"reply": "450 4.2.0 later"}
    with Sink(behave=lambda verb, arg: mood["reply"] if verb == "RCPT" else None) as sink:
        with Instance(tmp_path, sink_port=sink.port) as m:
            m.mood, m.sink = mood, sink
            yield m


@pytest.mark.smoke
def test_a_refused_recipient_becomes_a_bounce(tmp_path):
    with Sink(behave=lambda v, a: "550 5.1.1 no such user" if v == "RCPT" and "nobody" in a else None) as sink:
        with Instance(tmp_path, sink_port=sink.port) as m:
            m.send(["nobody@relay.test", "good@relay.test"], sender="back@relay.test")
            both = sink.wait(2)
            bounce = next(x for x in both if x["mail"].startswith("FROM:<>"))
            assert bounce["rcpt"][0].startswith("TO:<back@relay.test>")
            msg = email.message_from_bytes(bounce["data"])
            assert msg.get_content_type() == "multipart/report" and msg["Subject"] == "Undelivered Mail Returned to Sender"
            assert msg["Auto-Submitted"] == "auto-replied"
            text, status, original = msg.get_payload()
            assert "<nobody@relay.test>: host 127.0.0.1[127.0.0.1] said: 550 5.1.1 no such user" in " ".join(text.get_payload().split())
            fields = status.get_payload()
            assert fields[0]["Reporting-MTA"] == "dns; mail.example.test"
            assert fields[1]["Final-Recipient"] == "rfc822; nobody@relay.test" and fields[1]["Action"] == "failed" and fields[1]["Status"] == "5.1.1"
            assert fields[1]["Remote-MTA"] == "dns; 127.0.0.1" and "550 5.1.1 no such user" in fields[1]["Diagnostic-Code"]
            assert original.get_payload()[0]["Subject"] == "t"
            m.wait_log(r"\w+: sender non-delivery notification: \w+")
            m.wait_empty()


def test_deferred_mail_is_listed_and_delivered_on_flush(deferring):
    m = deferring
    m.send("x@relay.test")
    m.wait_log(r"to=<x@relay\.test>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, .*dsn=4\.2\.0, status=deferred \(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 450 4\.2\.0 later \(in reply to RCPT TO command\)\)")
    entry = wait_for("deferred", lambda: [q for q in m.queue() if q["queue_name"] == "deferred"])[0]
    assert entry["sender"] == "a@example.test" and entry["recipients"][0]["address"] == "x@relay.test"
    assert "450 4.2.0 later" in entry["recipients"][0]["delay_reason"]
    listing = m.cmd("mailq").stdout
    assert listing.startswith("-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n")
    assert re.search(r"-- \d+ Kbytes in 1 Request\.\n$", listing)
    assert re.search(r"^" + entry["queue_id"] + r" +\d+ \w{3} \w{3} +\d+ \d\d:\d\d:\d\d  a@example\.test\n", listing, re.M)
    m.mood["reply"] = None
    m.cmd("postqueue", "-f")
    m.sink.wait(1)
    m.wait_empty()


def test_hold_release_delete_requeue(deferring):
    m = deferring
    for i in range(3):
        m.send(f"x{i}@relay.test")
    ids = {q["recipients"][0]["address"]: q["queue_id"] for q in wait_for("three deferred", lambda: (lambda q: q if len(q) == 3 and all(x["queue_name"] == "deferred" for x in q) else None)(m.queue()))}
    assert "Placed on hold: 1 message" in m.cmd("postsuper", "-h", ids["x0@relay.test"]).stderr
    assert [q["queue_name"] for q in m.queue() if q["queue_id"] == ids["x0@relay.test"]] == ["hold"]
    assert re.search(ids["x0@relay.test"] + r"!", m.cmd("mailq").stdout)
    assert "Deleted: 1 message" in m.cmd("postsuper", "-d", ids["x1@relay.test"]).stderr
    m.mood["reply"] = None
    m.cmd("postqueue", "-i", ids["x2@relay.test"])
    m.sink.wait(1)
    assert "x2@" in m.sink.messages[0]["rcpt"][0]
    m.cmd("postqueue", "-f")
    wait_for("held mail stays", lambda: [q["queue_id"] for q in m.queue()] == [ids["x0@relay.test"]])
    assert "Released from hold: 1 message" in m.cmd("postsuper", "-H", ids["x0@relay.test"]).stderr
    m.cmd("postqueue", "-f")
    m.sink.wait(2)
    m.wait_empty()


def test_a_message_that_is_deleted_during_its_delivery_goes_to_nobody_else(tmp_path):
    here, go = threading.Event(), threading.Event()

    def behave(verb, arg):
        if verb == "RCPT":
            here.set()
            go.wait(2 * PATIENCE)

    one = "default_destination_recipient_limit = 2\ndefault_destination_concurrency_limit = 1\ninitial_destination_concurrency = 1\n"
    with Sink(behave=behave) as sink, Instance(tmp_path, one, sink_port=sink.port) as m:
        m.send([f"x{i}@relay.test" for i in range(4)])
        assert here.wait(PATIENCE)
        qid, = [q["queue_id"] for q in m.queue()]
        assert "Deleted: 1 message" in m.cmd("postsuper", "-d", qid).stderr
        go.set()
        m.wait_log(qid + r": to=<x\d@relay\.test>, .*status=sent", count=2)
        m.wait_empty()
        m.send("last@relay.test")  # what waited for its turn would have come before
        sink.wait(2)
        assert [len([v for v in sink.verbs if v.startswith("RCPT") and who in v]) for who in ("<x", "<last")] == [2, 1]


def test_requeue_gives_a_second_chance(deferring):
    m = deferring
    m.send("x@relay.test")
    qid = wait_for("deferred", lambda: [q["queue_id"] for q in m.queue() if q["queue_name"] == "deferred"])[0]
    m.mood["reply"] = None
    assert "Requeued: 1 message" in m.cmd("postsuper", "-r", qid).stderr
    m.sink.wait(1)
    m.wait_empty()


def test_postsuper_works_while_the_server_is_stopped(deferring):
    m = deferring
    m.send("x@relay.test")
    m.send("y@relay.test")
    wait_for("both", lambda: len([q for q in m.queue() if q["queue_name"] == "deferred"]) == 2)
    m.stop()
    assert "Deleted: 2 messages" in m.cmd("postsuper", "-d", "ALL").stderr
    m.start()
    assert m.queue() == []


def test_postcat_shows_a_queued_message(deferring):
    m = deferring
    m.send("x@relay.test", body="Subject: look at me\r\n\r\nline one\r\n")
    qid = wait_for("queued", lambda: [q["queue_id"] for q in m.queue()])[0]
    out = m.cmd("postcat", "-q", qid).stdout
    for part in ("*** ENVELOPE RECORDS", "sender: a@example.test", "recipient: x@relay.test", "*** MESSAGE CONTENTS", "Subject: look at me\n", "line one\n"):
        assert part in out, out


def test_old_mail_is_returned(tmp_path):
    with Sink(behave=lambda v, a: "450 4.2.0 later" if v == "RCPT" and "full" in a else None) as sink:
        with Instance(tmp_path, "maximal_queue_lifetime = 0\nbounce_queue_lifetime = 0", sink_port=sink.port) as m:
            m.send("full@relay.test", sender="back@relay.test")
            m.wait_log(r"\w+: from=<back@relay\.test>, status=expired, returned to sender")
            assert b"450 4.2.0 later" in sink.wait(1)[0]["data"]
            m.wait_empty()


def test_back_off_grows_with_age_and_the_queue_run_finds_it(tmp_path):
    mood = {"left": 2}

    def behave(verb, arg):
        if verb == "RCPT" and mood["left"] > 0:
            mood["left"] -= 1
            return "450 4.2.0 later"
    with Sink(behave=behave) as sink:
        with Instance(tmp_path, "queue_run_delay = 1s\nminimal_backoff_time = 1s\nmaximal_backoff_time = 2s", sink_port=sink.port) as m:
            m.send("x@relay.test")
            sink.wait(1)
            assert len(re.findall("status=deferred", m.log())) == 2
            m.wait_empty()


def test_success_notification_when_asked_for(tmp_path):
    with Sink(keywords=("PIPELINING", "8BITMIME")) as sink:
        with Instance(tmp_path, sink_port=sink.port) as m:
            with m.client() as c:
                c.hello()
                c.expect("MAIL FROM:<back@relay.test> RET=HDRS ENVID=abc", 250)
                c.expect("RCPT TO:<x@relay.test> NOTIFY=SUCCESS ORCPT=rfc822;x@relay.test", 250)
                c.expect("DATA", 354)
                assert c.cmd("Subject: notify\r\n\r\nbody\r\n.").startswith("250")
            note = next(x for x in sink.wait(2) if x["mail"].startswith("FROM:<>"))
            assert b"Action: relayed" in note["data"] and b"Original-Envelope-Id: abc" in note["data"]


def test_never_means_never(tmp_path):
    with Sink(behave=lambda v, a: "550 5.1.1 no" if v == "RCPT" and "nobody" in a else None) as sink:
        with Instance(tmp_path, sink_port=sink.port) as m:
            with m.client() as c:
                c.hello()
                c.expect("MAIL FROM:<back@relay.test>", 250)
                c.expect("RCPT TO:<nobody@relay.test> NOTIFY=NEVER", 250)
                c.expect("DATA", 354)
                assert c.cmd("Subject: quiet\r\n\r\n.").startswith("250")
            m.wait_log("status=bounced")
            m.wait_empty()
            assert sink.messages == []


def test_a_bounce_that_bounces_is_dropped(tmp_path):
    with Sink(behave=lambda v, a: "550 5.1.1 no" if v == "RCPT" else None) as sink:
        with Instance(tmp_path, sink_port=sink.port) as m:
            m.send("nobody@relay.test", sender="gone@relay.test")
            m.wait_log("status=bounced", count=2)
            m.wait_empty()


def test_long_queue_ids(tmp_path):
    with Sink() as sink:
        with Instance(tmp_path, "enable_long_queue_ids = yes", sink_port=sink.port) as m:
            qid = m.send("x@relay.test").split()[-1]
            assert re.fullmatch(r"[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]+", qid), qid
            sink.wait(1)
            m.wait_log(qid + ": removed")


def test_a_large_message_is_staged_and_arrives_whole(tmp_path):
    body = "Subject: large\r\n\r\n" + "".join(f"line {i:07d} {'x' * 60}\r\n" for i in range(40000))
    with Sink() as sink:
        with Instance(tmp_path, sink_port=sink.port) as m:
            for _ in range(3):
                assert m.send("x@relay.test", body=body).startswith("250 ")
            for x in sink.wait(3):
                assert x["data"].decode().endswith(body.split("\r\n\r\n", 1)[1])
            m.wait_empty()


def test_fifty_recipients_travel_together(mta):
    mta.send([f"r{i}@relay.test" for i in range(100)])
    assert [len(m["rcpt"]) for m in mta.sink.wait(2)] == [50, 50]
    mta.wait_empty()
    assert mta.sink.sessions <= 2  # side by side, as the window of the destination lets them


def test_connections_are_used_again(tmp_path):
    with Sink() as sink, Instance(tmp_path, "smtp_connection_cache_time_limit = 1h\nsmtp_connection_reuse_time_limit = 1h\n", sink_port=sink.port) as m:
        for _ in range(5):
            m.send("x@relay.test")
        sink.wait(5)
        assert sink.sessions < 5
        m.wait_log(r"conn_use=\d")


def test_transport_maps_from_texthash_and_hash(instance, tmp_path):
    with Sink() as one, Sink() as two, Sink() as rest:
        m = instance("transport_maps = texthash:{dir}/etc/t1, hash:{dir}/etc/t2", sink_port=rest.port)
        (m.dir / "etc/t1").write_text(f"one.test smtp:[127.0.0.1]:{one.port}\n.one.test smtp:[127.0.0.1]:{two.port}\n")
        (m.dir / "etc/t2").write_text(f"user@special.test smtp:[127.0.0.1]:{two.port}\nerr.test error:5.7.1 not from here\n")
        r = __import__("subprocess").run([str(__import__("harness").BIN / "postmap"), "-c", str(m.dir / "etc"), f"hash:{m.dir}/etc/t2"], capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
        m.start()
        m.send(["a@one.test", "b@sub.one.test", "user@special.test", "other@special.test"], sender="")
        with m.client() as c:
            c.hello()
            c.expect("MAIL FROM:<>", 250)
            assert c.cmd("RCPT TO:<c@err.test>") == "550 5.7.1 <c@err.test>: Recipient address rejected: not from here"
        m.cmd("sendmail", "-f", "", "c@err.test", input="Subject: x\n\n")
        one.wait(1)
        two.wait(1)
        rest.wait(1)
        m.wait_log(r"to=<c@err\.test>, relay=none, .*dsn=5\.7\.1, status=bounced \(not from here\)")
        assert "a@one.test" in str(one.messages) and "other@special.test" in str(rest.messages)
        assert {a.split()[0] for x in two.messages for a in x["rcpt"]} == {"TO:<b@sub.one.test>", "TO:<user@special.test>"}


def test_small_mail_overtakes_also_when_its_last_recipient_is_put_off(tmp_path):
    """Who may overtake must be known whole; what was put off at once belongs to it."""
    may_go, heard = threading.Event(), []

    def behave(verb, arg):
        if verb == "RCPT":
            heard.append(arg)
            if len(heard) == 5:
                may_go.wait(2 * PATIENCE)

    with Sink(behave=behave) as sink, Instance(
            tmp_path, "default_destination_concurrency_limit = 1\ninitial_destination_concurrency = 1\ndefault_destination_recipient_limit = 2\n"
            "transport_maps = inline:{{held.test=relay:}}\ndefer_transports = relay\nrelay_domains = held.test\nrelay_recipient_maps =\n", sink_port=sink.port) as m:
        assert m.send([f"r{i}@far.test" for i in range(100)]).startswith("250")
        sink.wait(1)
        wait_for("the next one", lambda: len(heard) >= 5)
        qid = m.send(["small@far.test", "late@held.test"]).split()[-1]
        m.wait_log(rf"{qid}: to=<late@held\.test>, .*status=deferred")  # all of it is known
        may_go.set()
        wait_for("the small one", lambda: any("<small@far.test>" in r for r in heard))
        assert next(n for n, r in enumerate(heard) if "<small@far.test>" in r) < 90
