"""Mail within mail: whatever stands around the dot, no server in a chain sees a message that the first did not accept.

The chains have Postfix before us, after us, and on both sides; content comes by DATA, by BDAT and through a filter."""
import itertools, re

import pytest
from harness import Client, Sink, wait_for
from postfix_peer import Postfix

ENDS = {"LF": "\n", "CR": "\r", "CRLF": "\r\n", "CRCRLF": "\r\r\n", "LFCR": "\n\r", "nothing": "", "NUL": "\0\n", "CRLFNUL": "\r\n\0"}
PAIRS = list(itertools.product(ENDS, ENDS))
SETTINGS = ["no", "normalize"]


def content(tag, before, after):
    """A message whose text holds a dot with these ends around it, then another message's commands."""
    second = f"MAIL FROM:<evil-{tag}@sender.test>\r\nRCPT TO:<evil-{tag}@good.test>\r\nDATA\r\nSubject: evil-{tag}\r\n\r\nevil\r\n.\r\n"
    return f"Subject: {tag}\r\n\r\ntext{ENDS[before]}.{ENDS[after]}{second}"


def all_replies(s):
    data = b""
    try:
        while more := s.recv(65536):
            data += more
    except OSError:
        pass
    return data.decode("latin-1")


def send_data(port, tag, before, after):
    """How many messages the server says it accepted."""
    with Client(port) as c:
        c.hello()
        c.envelope(f"{tag}@sender.test", [f"{tag}@good.test"])
        c.expect("DATA", 354)
        c.raw(content(tag, before, after) + "\r\n.\r\nQUIT\r\n")
        return len(re.findall(r"^250 2\.0\.0 Ok: queued as", all_replies(c.s), re.M))


def send_bdat(port, tag, before, after):
    with Client(port) as c:
        c.hello()
        c.envelope(f"{tag}@sender.test", [f"{tag}@good.test"])
        data = content(tag, before, after)
        cut = data.index(ENDS[before] + ".") + 1 + len(ENDS[before])  # the dot ends one chunk
        c.raw(f"BDAT {cut}\r\n{data[:cut]}BDAT {len(data) - cut} LAST\r\n{data[cut:]}QUIT\r\n")
        return len(re.findall(r"^250 2\.0\.0 Ok: .*queued as", all_replies(c.s), re.M))


def play(send, port, sink, idle):
    """Sends every pair of ends; as many messages come out as were accepted, and none with a line end that is not CR LF."""
    accepted = {}
    for n, (before, after) in enumerate(PAIRS):
        accepted[f"t{n}x"] = send(port, f"t{n}x", before, after)
    wait_for("every hop idle", lambda: idle() and len(sink.messages) >= sum(accepted.values()) or len(sink.messages) > sum(accepted.values()))
    got = {}
    for m in sink.messages:
        tag = re.search(r"(t\d+x)@", m["mail"])[1]
        got[tag] = got.get(tag, 0) + 1
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", m["data"]), (tag, m["data"])
    assert got == {t: n for t, n in accepted.items() if n}, {t: (PAIRS[int(t[1:-1])], n, got.get(t)) for t, n in accepted.items() if n != got.get(t, 0)}
    return accepted


def ours(instance, port, newline, **more):
    main = f"smtpd_forbid_unauth_pipelining = no\nsmtpd_forbid_bare_newline = {newline}\nsmtpd_forbid_bare_newline_exclusions =\nsmtpd_client_connection_rate_limit = 0\n"
    return instance(main=main + "".join(f"{k} = {v}\n" for k, v in more.items()), sink_port=port)


def is_empty(mta):
    return "Mail queue is empty" in mta.cmd("postqueue", "-p").stdout


@pytest.mark.parametrize("newline", SETTINGS)
@pytest.mark.parametrize("send", [send_data, send_bdat])
def test_us_to_us(inside, instance, send, newline):
    with Sink() as sink:
        second = ours(instance, sink.port, newline).start()
        first = ours(instance, second.port, newline).start()
        accepted = play(send, first.port, sink, lambda: is_empty(first) and is_empty(second))
    print(f"{sum(accepted.values())} messages of {len(PAIRS)} sessions")
    assert send is send_data or set(accepted.values()) == {1}


@pytest.mark.parametrize("newline", SETTINGS)
def test_same_ends_as_postfix(inside, instance, tmp_path, newline):
    """What Postfix takes for the end of a message is one with us, and nothing else is."""
    with Sink() as sink, Postfix(tmp_path / "p", sink.port, f"smtpd_forbid_bare_newline = {newline}\nsmtpd_forbid_bare_newline_exclusions =\n") as postfix:
        us = ours(instance, sink.port, newline).start()
        found = [{pair for n, pair in enumerate(PAIRS) if send_data(port, f"t{n}x", *pair) == 2} for port in (postfix.port, us.port)]
    assert found[0] == found[1]
    assert ("CRLF", "CRLF") in found[1] and len(found[1]) < len(PAIRS) / 2


@pytest.mark.parametrize("send", [send_data, send_bdat])
def test_postfix_to_us_to_postfix(inside, instance, tmp_path, send):
    with Sink() as sink, Postfix(tmp_path / "last", sink.port, "smtpd_forbid_bare_newline = no\n") as last:
        us = ours(instance, last.port, "no").start()
        with Postfix(tmp_path / "first", us.port, "smtpd_forbid_bare_newline = no\n") as first:
            play(send, first.port, sink, lambda: first.is_idle() and is_empty(us) and last.is_idle())


@pytest.mark.parametrize("send", [send_data, send_bdat])
def test_us_to_postfix(inside, instance, tmp_path, send):
    with Sink() as sink, Postfix(tmp_path / "last", sink.port, "smtpd_forbid_bare_newline = no\n") as last:
        us = ours(instance, last.port, "no").start()
        play(send, us.port, sink, lambda: is_empty(us) and last.is_idle())


@pytest.mark.parametrize("newline", SETTINGS)
@pytest.mark.parametrize("send", [send_data, send_bdat])
def test_through_the_proxy_filter(inside, instance, send, newline):
    with Sink() as sink:
        us = ours(instance, sink.port, newline, smtpd_proxy_filter=f"127.0.0.1:{sink.port}").start()
        play(send, us.port, sink, lambda: True)


@pytest.mark.parametrize("start", ["From x\r\n.\r\n", "From x\n.\n", ".\n", "\r.\r", "X: y\r.\r\n", "Received: a\n.\nb\r\n", "\0\r\n.\n"])
def test_first_line_is_no_way_in(inside, instance, start):
    """What is special about a message's first line changes nothing."""
    with Sink() as sink:
        second = ours(instance, sink.port, "no").start()
        first = ours(instance, second.port, "no").start()
        with Client(first.port) as c:
            c.hello()
            c.envelope("a@sender.test", ["b@good.test"])
            c.expect("DATA", 354)
            c.raw(start + "MAIL FROM:<evil@sender.test>\r\nRCPT TO:<evil@good.test>\r\nDATA\r\nevil\r\n.\r\n\r\n.\r\nQUIT\r\n")
            accepted = len(re.findall(r"queued as", all_replies(c.s)))
        assert accepted
        wait_for("all mail at the end", lambda: len(sink.messages) >= accepted and is_empty(first) and is_empty(second))
        assert len(sink.messages) == accepted
