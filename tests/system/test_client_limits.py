"""Limits of what one client may do in a time (anvil), for all workers together."""
import contextlib
import os
import signal

from harness import PATIENCE, Client, Instance, wait_for

EVERYBODY = "smtpd_client_event_limit_exceptions =\nsmtpd_peername_lookup = no\n"


def test_connections_at_a_time(tmp_path):
    with Instance(tmp_path, EVERYBODY + "smtpd_client_connection_count_limit = 4\n") as mta:
        with contextlib.ExitStack() as open_ones:
            for _ in range(4):
                assert open_ones.enter_context(mta.client()).banner.startswith("220")
            with mta.client() as c:
                assert c.banner == "421 4.7.0 mail.example.test Error: too many connections from 127.0.0.1"
                assert c.is_closed()
            mta.wait_log(rf"warning: Connection concurrency limit exceeded: 5 from unknown\[127\.0\.0\.1\] for service 127\.0\.0\.1:{mta.port}")

        def is_free():
            with mta.client() as c:
                return c.banner.startswith("220")
        wait_for("the connections to be forgotten", is_free)


def test_rates_and_statistics(tmp_path):
    limits = "smtpd_client_message_rate_limit = 2\nsmtpd_client_recipient_rate_limit = 3\nsmtpd_client_connection_rate_limit = 3\n"
    with Instance(tmp_path, EVERYBODY + limits) as mta:
        with mta.client() as c:
            c.hello()
            for _ in range(2):
                c.expect("MAIL FROM:<a@example.test>", 250)
                c.expect("RSET", 250)
            assert c.cmd("MAIL FROM:<a@example.test>") == "450 4.7.1 Error: too much mail from 127.0.0.1"
        with mta.client() as c:
            c.hello()
            for _ in range(3):
                c.expect("VRFY <x@mbox.test>", 252)
            assert c.cmd("VRFY <x@mbox.test>") == "450 4.7.1 Error: too many recipients from 127.0.0.1"
        with mta.client() as c:
            assert c.banner.startswith("220")
        with mta.client() as c:
            assert c.banner == "421 4.7.0 mail.example.test Error: too many connections from 127.0.0.1"
        mta.wait_log(r"Message delivery request rate limit exceeded: 3 from unknown\[127\.0\.0\.1\]")
        mta.wait_log(r"Recipient address rate limit exceeded: 4 from unknown\[127\.0\.0\.1\]")
        mta.wait_log(r"Connection rate limit exceeded: 4 from unknown\[127\.0\.0\.1\]")
        mta.reload()
        wait_for("the limit to outlive a reload", lambda: Client(mta.port).banner.startswith("421"))
        mta.stop()
        mta.wait_log(r"postfix/anvil\[\d+\]: statistics: max connection rate \d+/60s for \(127\.0\.0\.1:%d:127\.0\.0\.1\) at " % mta.port)
        mta.wait_log(r"statistics: max message rate 3/60s")
        mta.wait_log(r"statistics: max cache size 1 at")


def test_networks_of_ours_are_no_work_for_anvil(tmp_path):
    with Instance(tmp_path, "smtpd_client_connection_count_limit = 1\nsmtpd_client_message_rate_limit = 1\n") as mta:
        with mta.client(), mta.client() as c:
            assert c.banner.startswith("220")
            c.hello()
            for _ in range(3):
                c.expect("MAIL FROM:<a@example.test>", 250)
                c.expect("RSET", 250)
        assert mta.pids("anvil") == []


def test_an_anvil_that_dies_stops_no_mail(tmp_path):
    with Instance(tmp_path, EVERYBODY + "smtpd_client_connection_count_limit = 1\n") as mta:
        with mta.client() as first:
            assert first.banner.startswith("220")
            pid = wait_for("anvil", lambda: mta.pids("anvil"))[0]
            os.kill(pid, signal.SIGKILL)
            wait_for("another anvil", lambda: [p for p in mta.pids("anvil") if p != pid])
            # What the dead one counted is forgotten, as in Postfix.
            with mta.client() as c:
                assert c.banner.startswith("220")
                with mta.client() as c2:
                    assert c2.banner.startswith("421")
        # The end of the first one is no news for the new one.
        with mta.client() as c:
            assert c.banner[:3] in ("220", "421")


def test_clients_of_one_network_are_one(tmp_path):
    with Instance(tmp_path, EVERYBODY + "smtpd_client_connection_rate_limit = 2\nsmtpd_client_ipv4_prefix_length = 24\nanvil_status_update_time = 1\n") as mta:
        import socket
        replies = []
        for last in (10, 11, 12):
            with socket.create_connection(("127.0.0.1", mta.port), PATIENCE, source_address=(f"127.0.0.{last}", 0)) as s:
                replies.append(s.makefile("rb").readline()[:3])
        assert replies == [b"220", b"220", b"421"]
        mta.wait_log(r"statistics: max connection rate 3/60s for \(127\.0\.0\.1:%d:127\.0\.0\.0/24\) at" % mta.port)
