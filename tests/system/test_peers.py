"""Real programs on both sides: swaks, smtplib, msmtp, smtp-source in; smtp-sink, Debian's Postfix, aiosmtpd out."""
import os, shutil, smtplib, socket, subprocess
from email.message import EmailMessage

import pytest

from harness import PATIENCE, Sink, debian_postfix, free_port, peer_env, wait_for


def need(program):
    path = shutil.which(program)
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


def is_there(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def postfix_tools():
    top = debian_postfix()
    if top is None:
        pytest.skip("Debian's postfix package could not be fetched")
    return top


def test_swaks(mta):
    r = subprocess.run([need("swaks"), "--server", f"127.0.0.1:{mta.port}", "--from", "a@b.test", "--to", "x@relay.test", "--body", "hi from swaks", "--pipeline"],
                       capture_output=True, text=True)
    assert r.returncode == 0, r.stdout + r.stderr
    assert b"hi from swaks" in mta.sink.wait(1)[0]["data"]


def test_python_smtplib(mta):
    msg = EmailMessage()
    msg["From"], msg["To"], msg["Subject"] = "a@b.test", "x@relay.test", "grüße"
    msg.set_content("ünïcödé body\n" * 100, cte="8bit")
    with smtplib.SMTP("127.0.0.1", mta.port) as s:
        assert s.send_message(msg) == {}
        assert s.noop()[0] == 250 and s.rset()[0] == 250
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            s.sendmail("a@b.test", ["@@@"], "x")
        assert s.sendmail("a@b.test", ["y@relay.test"], "Subject: second\r\n\r\nsame session\r\n") == {}
    assert any("ünïcödé body".encode() in x["data"] for x in mta.sink.wait(2))


def test_msmtp(mta):
    r = subprocess.run([need("msmtp"), f"--host=127.0.0.1", f"--port={mta.port}", "--from=a@b.test", "--tls=off", "--auth=off", "x@relay.test"],
                       input="Subject: m\n\nhi from msmtp\n", capture_output=True, text=True, env=dict(os.environ, HOME=str(mta.dir)))
    assert r.returncode == 0, r.stderr
    assert b"hi from msmtp" in mta.sink.wait(1)[0]["data"]


@pytest.mark.smoke
def test_smtp_source_into_smtp_sink(instance, postfix_tools):
    port = free_port()
    sink = subprocess.Popen([str(postfix_tools / "usr/sbin/smtp-sink"), "-c", *(["-u", "nobody"] if os.geteuid() == 0 else []), f"127.0.0.1:{port}", "100"],
                            env=peer_env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_for("smtp-sink", lambda: is_there(port))
        m = instance("smtpd_client_connection_count_limit = 0", sink_port=port).start()
        for flags in (["-d"], []):
            r = subprocess.run([str(postfix_tools / "usr/sbin/smtp-source"), *flags, "-s", "10", "-m", "200", "-l", "5000", "-f", "a@b.test", "-t", "x@relay.test",
                                f"127.0.0.1:{m.port}"], env=peer_env(), capture_output=True, text=True)
            assert r.returncode == 0, r.stderr + m.log()[-2000:]
        wait_for("400 deliveries", lambda: m.log().count("status=sent") == 400, 4 * PATIENCE)
        m.wait_empty()
    finally:
        sink.terminate()
        seen = sink.communicate()[0]
    assert b"mesg=400" in seen


def test_out_to_debians_postfix_and_back(instance, postfix_tools, tmp_path, inside):
    """Postfix → us → Postfix: a message with dots and 8-bit text survives both hops, and what looks like an end does not."""
    if os.geteuid() != 0:
        pytest.skip("Postfix needs root")
    d, port = tmp_path / "peer", free_port()
    s = d / "spool"
    for q in "active bounce corrupt defer deferred flush hold incoming private maildrop public pid saved trace".split():
        (s / q).mkdir(parents=True)
        shutil.chown(s / q, "postfix")
    for sub in ("etc", "data", "log", "mail"):
        (d / sub).mkdir()
    shutil.chown(s / "pid", "root")
    for q in ("maildrop", "public"):
        shutil.chown(s / q, "postfix", "postdrop")
    shutil.chown(d / "data", "postfix")
    shutil.chown(d / "mail", "hkvmail", "hkvmail")
    for p in (d, tmp_path):
        os.chmod(p, 0o755)
    t = postfix_tools
    with Sink() as sink:
        m = instance(f"default_transport = smtp:[127.0.0.1]:{port}")
        (d / "etc/main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {s}
data_directory = {d}/data
daemon_directory = {t}/usr/lib/postfix/sbin
command_directory = {t}/usr/sbin
shlib_directory = {t}/usr/lib/postfix
meta_directory = {t}/etc/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = peer.example.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
maillog_file = {d}/log/maillog
maillog_file_prefixes = {d}
alias_maps =
virtual_mailbox_domains = end.test
virtual_mailbox_base = {d}/mail
virtual_mailbox_maps = static:u/
virtual_uid_maps = static:61003
virtual_gid_maps = static:61003
default_transport = smtp:[127.0.0.1]:{m.port}
import_environment = MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH
export_environment = TZ MAIL_CONFIG LANG LD_LIBRARY_PATH
""")
        import harness
        (d / "etc/master.cf").write_text(harness.MASTER.format(port=port))
        m.start()
        p = subprocess.Popen([str(t / "usr/lib/postfix/sbin/master"), "-c", str(d / "etc"), "-d"], env=peer_env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def up():
                try:
                    with socket.create_connection(("127.0.0.1", port), 5) as c:
                        return c.recv(4) == b"220 "
                except OSError:
                    return False
            wait_for("Postfix", up)
            body = "Subject: hop\r\n\r\n..dot\r\n.\r\n\r\n".replace("\r\n.\r\n", "\r\n..\r\n") + "grüße\r\n" * 50
            m.send("u@end.test", body=body)
            box = d / "mail/u/new"
            wait_for("delivery by Postfix", lambda: box.exists() and list(box.iterdir()))
            text = next(box.iterdir()).read_bytes().decode("latin-1").encode("latin-1").decode("latin-1")
            assert "\n.dot\n.\n\n" in text
        finally:
            p.terminate()
            p.wait()


def test_out_to_aiosmtpd(instance):
    try:
        from aiosmtpd.controller import Controller
    except ImportError:
        pytest.skip("python3-aiosmtpd is not installed")
    got = []

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            got.append(envelope)
            return "250 OK"
    c = Controller(Handler(), hostname="127.0.0.1", port=free_port(), ready_timeout=PATIENCE)
    c.start()
    try:
        m = instance(sink_port=c.port).start()
        m.send(["x@relay.test", "y@relay.test"], body="Subject: aio\r\n\r\nhello aiosmtpd\r\n")
        wait_for("delivery", lambda: got)
        assert got[0].rcpt_tos == ["x@relay.test", "y@relay.test"] and b"hello aiosmtpd\r\n" in got[0].content
        m.wait_empty()
    finally:
        c.stop()
