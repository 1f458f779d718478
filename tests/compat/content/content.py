"""Sends the messages of cases.py to a server and gathers what became of them; --record asks Postfix (an instance that a script
starts: HIKYAKU_ORACLE) and writes expected.json."""
import json, os, pathlib, re, subprocess, sys, time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "system")]
import cases, harness

EXPECTED = HERE / "expected.json"


def fill(text, etc, sink):
    return text.replace("@ETC@", str(etc)).replace("@SINK@", str(sink))


def wire(data):
    """As it goes over the wire: CRLF, dots stuffed."""
    data = data.encode("latin-1").replace(b"\n", b"\r\n")
    if not data.endswith(b"\r\n"):
        data += b"\r\n"
    data = re.sub(rb"(?m)^\.", b"..", data)
    return data


def send(port, data, said=""):
    with harness.Client(port) as c:
        c.hello()
        c.expect("MAIL FROM:<s@good.test>" + said, 250)
        c.expect("RCPT TO:<alice@far.test>", 250)
        c.expect("DATA", 354)
        c.raw(wire(data))
        reply = c.cmd(".")
        c.cmd("QUIT")
        return reply


def mask(text, qid, etc, sink):
    text = text.replace(str(etc), "@ETC@").replace(qid, "QID").replace(f":{sink}", ":@SINK@")
    text = re.sub(r"<\d{14}\.", "<STAMP.", text)
    text = re.sub(r"(with ESMTP id )(?!QID)\w{3}\r", r"\1CUT\r", text)
    text = re.sub(r"(Date: |; |;\r?\n\t)\w{3}, [ \d]?\d \w{3} 20[2-9]\d [\d:]{8} [-+]\d{4}( \(\w+\))?", r"\1DATE", text)
    return text


def gather(log, replies, sink, etc):
    """For each message, in order: reply, log lines of cleanup, copies as the next server got them."""
    qids = re.findall(r"smtpd\[\d+\]: (\w+): client=", log)
    assert len(qids) == len(replies), (qids, replies)
    out = []
    for qid, reply in zip(qids, replies):
        lines = [m[1] for m in re.finditer(r"cleanup\[\d+\]: (.*)", log) if qid in m[1]]
        copies = [m for m in sink.messages if f"id {qid}".encode() in m["data"] or f".{qid}@".encode() in m["data"]]
        out.append(dict(reply=mask(reply, qid, etc, sink.port), log=[mask(l, qid, etc, sink.port) for l in lines],
                        rcpts=sorted(r for m in copies for r in m["rcpt"]),
                        content=mask(copies[0]["data"].decode("latin-1"), qid, etc, sink.port) if copies else None))
    return out


BASE = """\
relayhost = [127.0.0.1]:@SINK@
smtp_line_length_limit = 0
local_recipient_maps =
mydestination =
"""


def sink_of(group):
    return harness.Sink(keywords=group["keywords"]) if "keywords" in group else harness.Sink()


def record_group(group, folder, port, script):
    etc = pathlib.Path(folder) / "etc"
    etc.mkdir(parents=True)
    with sink_of(group) as sink:
        for name, text in group.get("files", {}).items():
            (etc / name).write_text(fill(text, etc, sink.port))
        text = ("compatibility_level = 3.6\nmyhostname = mail.example.test\nmydomain = example.test\nmynetworks = 127.0.0.0/8\n"
                "inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nalias_maps =\nalias_database =\nsmtp_tls_security_level =\n" + fill(BASE, etc, sink.port))
        (etc / "main.cf").write_text(text + fill(group["main"], etc, sink.port) + "\n")
        subprocess.run([script, "start", str(folder), str(port)], check=True)
        try:
            replies = [send(port, data, group.get("said", "")) for _, data in group["messages"]]
            log = pathlib.Path(folder) / "log/maillog"
            time.sleep(1)  # what cleanup has just stored
            settle(lambda: subprocess.run([script, "cmd", str(folder), "postqueue", "-p"], capture_output=True, text=True).stdout)
            return gather(log.read_text(errors="replace"), replies, sink, etc)
        finally:
            subprocess.run([script, "stop", str(folder)])


def settle(list_queue):
    """Until nothing is on its way any more: what stays in the queue is held or deferred."""
    harness.wait_for("a quiet queue", lambda: not re.search(r"(?m)^\w+\*", list_queue()))


def record(only):
    script = os.environ["HIKYAKU_ORACLE"]
    expected = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    for i, group in enumerate(cases.GROUPS):
        if only and group["name"] not in only:
            continue
        folder = f"/tmp/f-oracle/{int(time.time())}-{i}"
        got = record_group(group, folder, 27010 + i, script)
        expected[group["name"]] = {m[0]: r for m, r in zip(group["messages"], got)}
        print(group["name"], len(got))
    EXPECTED.write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    record(sys.argv[1:])
