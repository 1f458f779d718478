"""Configurations with mistakes: file, line, what is wrong; a running server keeps its old configuration."""
import os, re, signal

import pytest

from harness import wait_for


@pytest.mark.parametrize("file,text,complaint", [
    ("main_cf", "this line has no equal sign\n", r"main\.cf, line \d+: missing '=' after attribute name"),
    ("main_cf", "smtpd_timeout = soon\n", r"main\.cf: line \d+: parameter smtpd_timeout: bad time value or unit: soon"),
    ("main_cf", "smtpd_timeout = 0\n", r"invalid smtpd_timeout: 0 \(min 1\)"),
    ("main_cf", "smtpd_helo_required = perhaps\n", r"main\.cf: line \d+: bad boolean configuration: smtpd_helo_required = perhaps"),
    ("main_cf", "canonical_classes = header_snder\n", r"main\.cf: line \d+: unknown canonical_classes value .*there are: envelope_sender "),
    ("main_cf", "myorigin = $mydomain\nmydomain = $myorigin\n", r"mydomain|myorigin"),
    ("master_cf", "smtp inet n - n - smtpd\n", r"master\.cf: line \d+: |master\.cf, line \d+"),
    ("master_cf", "smtp inet n - n - lots smtpd\n", r"master\.cf.*line \d+.*"),
    ("master_cf", "smtp carrier-pigeon n - n - - smtpd\n", r"carrier-pigeon"),
])
def test_mistakes_are_named_at_start_and_survive_reload(instance, file, text, complaint):
    m = instance()
    good = getattr(m, file).read_text()
    getattr(m, file).write_text(good + text)
    r = m.cmd("postfix", "start", check=False)
    assert r.returncode != 0
    assert re.search(complaint, r.stdout + r.stderr + m.log()), r.stdout + r.stderr + m.log()
    getattr(m, file).write_text(good)
    m.start()
    before = m.pids("smtpd")
    getattr(m, file).write_text(good + text)
    r = m.cmd("postfix", "reload", check=False)
    assert r.returncode != 0 and re.search(complaint, r.stderr), r.stderr
    mark = len(m.log())
    os.kill(m.master_pid(), signal.SIGHUP)  # past the command's own check
    wait_for("the complaint in the log", lambda: re.search(complaint, m.log()[mark:]))
    assert m.send("u@mbox.test").startswith("250 ")
    assert m.pids("smtpd") == before, "the running server was disturbed"


@pytest.mark.smoke
def test_reload_changes_the_configuration_and_loses_no_session(instance):
    m = instance("smtpd_banner = before").start()
    with m.client() as old:
        assert old.banner == "220 before"
        old.hello()
        m.main_cf.write_text(m.main_cf.read_text() + "smtpd_banner = after\n")
        m.reload()
        m.wait_log("reload -- version")
        from harness import wait_for

        def changed():
            with m.client() as c:
                return c.banner == "220 after"
        wait_for("the new banner", changed)
        assert old.message("a@b.test", ["u@mbox.test"], "Subject: s\r\n\r\nfrom the old session\r\n").startswith("250")
    m.wait_log("status=sent")


def test_queue_follows_reload_after_reload(instance):
    m = instance("maximal_backoff_time = 1000s").start()
    text, queue = m.main_cf.read_text(), m.pids("queue")
    m.main_cf.write_text(text + "queue_minfree = 1\n")
    for i in range(1, 13):
        mark = len(m.log())
        os.kill(m.master_pid(), signal.SIGHUP)
        wait_for("the reload", lambda: "reload -- version" in m.log()[mark:])
        if i == 11:
            m.main_cf.write_text(text + "queue_minfree = 999999999999999\n")
    m.wait_log("queue_minfree")
    assert m.pids("queue") == queue


def test_queue_killed_seven_times_is_back_within_seconds(instance):
    m = instance().start()
    for i in range(7):
        old = wait_for("queue", lambda: m.pids("queue"))
        assert m.send("u@mbox.test").startswith("250 ")  # waits while it is being started
        os.kill(old[0], signal.SIGKILL)
        wait_for("another queue", lambda: [p for p in m.pids("queue") if p not in old])
    assert m.send("u@mbox.test").startswith("250 ")


@pytest.mark.smoke
def test_start_status_stop(instance):
    m = instance()
    assert m.cmd("postfix", "status", check=False).returncode != 0
    m.start()
    r = m.cmd("postfix", "status")
    assert f"PID: {m.master_pid()}" in r.stdout + r.stderr + m.log()
    assert m.cmd("postfix", "start", check=False).returncode != 0, "a second start must refuse"
    pids = m.pids()
    assert len(pids) >= 5
    m.stop()
    assert m.cmd("postfix", "status", check=False).returncode != 0
    assert not m.pids()
    assert "terminating on signal 15" in m.log()


def test_overrides_of_master_cf_reach_their_service_only(instance):
    from harness import Client, free_port
    other = free_port()
    m = instance(master=f"127.0.0.1:{other} inet n - n - - smtpd\n  -o smtpd_banner=other -o {{{{ mynetworks = 192.0.2.1 }}}}\n  -o syslog_name=postfix/other\n").start()
    with Client(other) as c:
        assert c.banner == "220 other"
        c.hello()
        c.expect("MAIL FROM:<a@b.test>", 250)
        assert c.cmd("RCPT TO:<x@relay.test>")[0] in "45"
    with m.client() as c:
        assert c.banner == "220 mail.example.test ESMTP Postfix"
    m.wait_log(r"postfix/other/smtpd\[\d+\]: disconnect")


def test_a_crashed_worker_is_restarted(instance):
    from harness import wait_for
    m = instance().start()
    victims = m.kill(role="smtpd")
    assert victims
    wait_for("new smtpd", lambda: m.pids("smtpd") and not set(m.pids("smtpd")) & set(victims))
    assert m.send("u@mbox.test").startswith("250 ")
    m.wait_log(r"warning: process \S*smtpd pid \d+ killed by signal 9")


def test_postconf_shows_what_was_set(instance):
    m = instance("smtpd_banner = x $myhostname")
    assert "smtpd_banner = x $myhostname\n" in m.cmd("postconf", "-n").stdout
    assert m.cmd("postconf", "-h", "smtpd_banner").stdout == "x $myhostname\n"
    assert m.cmd("postconf", "-x", "-h", "smtpd_banner").stdout == "x mail.example.test\n"
    assert m.cmd("postconf", "-d", "smtpd_timeout").stdout == "smtpd_timeout = ${stress?{10}:{300}}s\n"


def test_commands_fail_where_inet_interfaces_is_a_name(instance):
    m = instance(main="inet_interfaces = localhost\nmynetworks_style = host\n", drop_main=("mynetworks",))
    assert "mynetworks = 127.0.0.1/32" in m.cmd("postconf").stdout
    said = m.cmd("hikyaku", "explain", "--client", "192.0.2.1", "--from", "a@b.example", "--to", "x@else.example", check=False).stdout
    assert "Relay access denied" in said
    assert m.cmd("sendmail", "-bs", input="EHLO x\r\nQUIT\r\n").stdout.startswith("220 ")
