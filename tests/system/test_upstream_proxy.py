"""A proxy in front: headers of both versions, wrong ones, late ones; HAProxy itself."""
import contextlib
import re
import shutil
import socket
import struct
import subprocess

import pytest

from harness import PATIENCE, Client, Instance, free_port, wait_for

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PROXIED = """127.0.0.1:{port2} inet n - n - - smtpd
  -o smtpd_upstream_proxy_protocol=haproxy
  -o smtpd_upstream_proxy_timeout=%ds
"""


def v2(command=1, family=0x11, client="192.0.2.7", port=4711, extra=b""):
    kind = socket.AF_INET if family >> 4 == 1 else socket.AF_INET6
    body = socket.inet_pton(kind, client) + socket.inet_pton(kind, "127.0.0.1" if kind == socket.AF_INET else "::1")
    body += struct.pack(">HH", port, 25) + extra
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack(">H", len(body)) + body


@pytest.fixture(scope="module")
def mta(tmp_path_factory):
    port = free_port()
    with Instance(tmp_path_factory.mktemp("proxied"), "smtpd_peername_lookup = no\n", PROXIED.replace("{port2}", str(port)) % 60) as m:
        m.proxied = port
        yield m


def seen(mta, header, *, pieces=1):
    """What RCPT to somebody else's domain answers to whoever the header names."""
    with Client(mta.proxied, banner=False) as c:
        step = max(1, len(header) // pieces)
        for i in range(0, len(header), step):
            c.raw(header[i:i + step])
        c.banner = c.reply()
        if not c.banner.startswith("220"):
            return c.banner
        c.hello()
        c.expect("MAIL FROM:<a@example.test>", 250)
        return c.cmd("RCPT TO:<x@relay.test>")


@pytest.mark.parametrize("name,header", [
    ("v1", b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\n"), ("v1 IPv6", b"PROXY TCP6 2001:db8::7 ::1 4711 25\r\n"),
    ("v2", v2()), ("v2 IPv6", v2(family=0x21, client="2001:db8::7")), ("v2 with extensions", v2(extra=b"\x04\0\1x"))])
@pytest.mark.parametrize("pieces", [1, 10])
def test_the_client_is_who_the_proxy_says(mta, name, header, pieces):
    assert seen(mta, header, pieces=pieces) == "454 4.7.1 <x@relay.test>: Relay access denied"
    mta.wait_log(r"connect from unknown\[(192\.0\.2\.7|2001:db8::7)\]")


def test_a_client_behind_the_proxy_that_may_relay(mta):
    assert seen(mta, b"PROXY TCP4 127.0.0.9 127.0.0.1 4711 25\r\n").startswith("250")


@pytest.mark.parametrize("header", [v2(command=0), b"PROXY UNKNOWN\r\n"])
def test_a_proxy_that_speaks_for_itself(mta, header):
    assert seen(mta, header).startswith("250")


@pytest.mark.parametrize("header,words", [
    (b"EHLO x\r\n", "short protocol header: EHLO x\\r\\n"),
    (b"PROXY TCP4 192.0.2.777 127.0.0.1 4711 25\r\n", "bad or missing client address: PROXY TCP4 192.0.2.777"),
    (SIGNATURE + b"\x31\x11\0\0", "unrecognized protocol version"),
    (b"PROXY TCP4 " + b"1" * 600, "missing protocol header terminator")])
def test_no_header_is_no_session(mta, header, words):
    assert seen(mta, header) == "421 4.3.0 mail.example.test Server local error"
    wait_for(words, lambda: f"warning: haproxy read: {words}" in mta.log())


def test_commands_behind_the_header_are_early(mta):
    with Client(mta.proxied, banner=False) as c:
        c.raw(b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\nQUIT\r\n")
        c.reply()
    mta.wait_log(r"improper command pipelining after CONNECT from unknown\[192\.0\.2\.7\]: QUIT")


def test_a_proxy_that_vanishes(mta):
    Client(mta.proxied, banner=False).s.close()
    mta.wait_log(r"warning: haproxy read: EOF")


def test_a_header_that_does_not_come(tmp_path):
    port = free_port()
    with Instance(tmp_path, "smtpd_peername_lookup = no\n", PROXIED.replace("{port2}", str(port)) % 1) as mta:
        with Client(port, banner=False) as c:
            c.raw(b"PROXY TCP4")
            assert c.reply() == "421 4.3.0 mail.example.test Server local error"
        mta.wait_log(r"warning: haproxy read: timeout error")


def test_a_protocol_that_nobody_knows(tmp_path):
    mta = Instance(tmp_path, master="127.0.0.1:1 inet n - n - - smtpd\n  -o smtpd_upstream_proxy_protocol=nonsense\n")
    mta.master_cf.write_text(mta.master_cf.read_text().replace("127.0.0.1:1 ", f"127.0.0.1:{free_port()} "))
    with mta:
        mta.wait_log(r"unsupported smtpd_upstream_proxy_protocol value: nonsense")


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
@pytest.mark.skipif(not shutil.which("haproxy") and not shutil.which("/usr/sbin/haproxy"), reason="haproxy is not installed")
def test_haproxy_in_front(mta, tmp_path, option):
    front = free_port()
    conf = tmp_path / "haproxy.cfg"
    conf.write_text(f"""global
  maxconn 20
defaults
  mode tcp
  timeout connect 60s
  timeout client 60s
  timeout server 60s
frontend smtp
  bind 127.0.0.1:{front}
  default_backend mta
backend mta
  server one 127.0.0.1:{mta.proxied} {option}
""")
    proxy = subprocess.Popen([shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def connect():
            try:
                return socket.create_connection(("127.0.0.1", front), 5, source_address=("127.0.0.33", 0))
            except OSError:
                return None
        s = wait_for("HAProxy", connect)
        with s:
            s.settimeout(PATIENCE)
            f = s.makefile("rb")
            assert f.readline().startswith(b"220 ")
            s.sendall(b"QUIT\r\n")
            assert f.readline().startswith(b"221 ")
        mta.wait_log(r"connect from unknown\[127\.0\.0\.33\]")
    finally:
        proxy.kill()
        proxy.wait()


def test_a_client_resets_while_its_name_is_asked_for_and_the_process_dies(tmp_path, inside):
    """Whoever was just named by the proxy has no session yet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns, Instance(tmp_path, "smtpd_upstream_proxy_protocol = haproxy\n") as m:
        dns.bind(("127.0.0.1", 53))
        dns.settimeout(PATIENCE)
        with socket.create_connection(("127.0.0.1", m.port)) as s:
            s.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\n")
            question, resolver = dns.recvfrom(1000)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset

        def answer():
            nonlocal question, resolver
            dns.sendto(question[:2] + b"\x81\x83" + question[4:], resolver)  # no such name
            dns.settimeout(0.1)
            with contextlib.suppress(TimeoutError):  # who has waited too long asks again
                question, resolver = dns.recvfrom(1000)
            return re.search(r"disconnect from unknown\[192\.0\.2\.7\]", m.log())
        wait_for("the end of the session", answer)
        assert not m.sanitizer_reports()
