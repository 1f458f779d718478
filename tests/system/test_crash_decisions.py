"""kill -9 while policy services, verification, header checks, aliases and copies are decided about: what got a 250 reaches everybody it
is for, and nobody else."""
import collections, os, random, re, signal, socket, threading, time

import pytest

from harness import PATIENCE, SANITIZED, Instance, Sink, wait_for
from table_peers import TROUBLE, TcpTable, table_servers

ROUNDS = int(os.environ.get("HIKYAKU_CRASH_ROUNDS", "12" if SANITIZED else "30"))
MAIN = """
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
transport_retry_time = 1s
smtpd_client_connection_count_limit = 100
smtpd_client_message_rate_limit = 100000
smtpd_delay_reject = yes
smtpd_policy_service_retry_delay = 1s
smtpd_recipient_restrictions = check_policy_service {{ inet:127.0.0.1:POLICY, timeout=5s }}, permit_mynetworks, reject
smtpd_end_of_data_restrictions = check_sender_access inline:{{ {{ verified@example.test = reject_unverified_recipient }} }}
unverified_recipient_reject_code = 450
address_verify_poll_delay = 1s
address_verify_map =
local_recipient_maps =
virtual_alias_maps = TABLE
recipient_bcc_maps = TABLE
header_checks = TABLE
smtpd_reject_unlisted_recipient = no
smtpd_reject_unlisted_sender = no
"""
# What a recipient becomes: aliases and copies.
GOES_TO = {
    "one@relay.test": ["one@relay.test"],
    "list@relay.test": ["a@relay.test", "b@relay.test", "c@relay.test"],
    "copied@relay.test": ["copied@relay.test", "boss@relay.test"],
}


class Policy(table_servers.Server):
    """Says DUNNO, DISCARD to who asks for it; drops everybody when told to."""

    def __init__(self):
        super().__init__(self.reply)

    @staticmethod
    def reply(f, _):
        asked = {}
        for line in f:
            if line == b"\n":
                return True, b"action=DISCARD\n\n" if asked.get("sender") == "discard@example.test" else b"action=DUNNO\n\n"
            name, _, value = line.decode().rstrip("\n").partition("=")
            asked[name] = value
        return False, None

    def drop(self):
        for s in self.open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open = []


class Load(threading.Thread):
    """Sends numbered messages in every way there is; notes who was promised what."""

    def __init__(self, mta, name, seed):
        super().__init__(daemon=True)
        self.mta, self.tag, self.rnd, self.enough = mta, name, random.Random(seed), threading.Event()
        self.promised, self.discarded, self.wrong = {}, [], []
        self.start()

    def transaction(self, c, n):
        token = f"token-{self.tag}-{n}-"
        sender = self.rnd.choice(["a@example.test", "a@example.test", "verified@example.test", "discard@example.test"])
        to = self.rnd.choice(list(GOES_TO))
        body = f"Subject: {token}\r\nX-A: {n}\r\n\r\n" + ("x" * 70 + "\r\n") * self.rnd.choice([1, 1, 1100, 3000])
        if self.rnd.random() < 0.1:  # the same once before, and taken back
            c.expect(f"MAIL FROM:<{sender}>", 250)
            c.cmd("RCPT TO:<list@relay.test>")
            c.expect("RSET", 250)
        c.expect(f"MAIL FROM:<{sender}>", 250)
        r = c.cmd(f"RCPT TO:<{to}>")
        if not r.startswith("250"):
            assert r.startswith("4"), r
            c.expect("RSET", 250)
            return
        if self.rnd.random() < 0.5:
            half = len(body) // 2
            c.raw(f"BDAT {half}\r\n{body[:half]}")
            r = c.reply()
            if r.startswith("250"):
                c.raw(f"BDAT {len(body) - half} LAST\r\n")
                if self.rnd.random() < 0.1:
                    c.s.close()
                    raise EOFError
                c.raw(body[half:])
                r = c.reply()
        else:
            r = c.cmd("DATA")
            if r.startswith("354"):
                c.raw(body)
                if self.rnd.random() < 0.1:
                    c.s.close()
                    raise EOFError
                r = c.cmd(".")
        if r.startswith("250"):
            if sender.startswith("discard"):
                self.discarded.append(token)
            else:
                self.promised[token] = GOES_TO[to]
        elif not r.startswith("4"):
            self.wrong.append(r)
        elif not r.startswith("421"):
            c.cmd("RSET")

    def run(self):
        n = 0
        while not self.enough.is_set():
            try:
                with self.mta.client(timeout=20) as c:
                    c.hello()
                    while not self.enough.is_set():
                        n += 1
                        self.transaction(c, n)
            except (OSError, EOFError, AssertionError) as e:
                if isinstance(e, AssertionError) and not re.search("→ 4|^4", str(e)):
                    self.wrong.append(str(e))
                time.sleep(0.02)


def read(sink):
    """Who got which message how often."""
    got = collections.Counter()
    for m in list(sink.messages):
        token = re.search(rb"token-\S+-", m["data"])
        for r in m["rcpt"]:
            if token:
                got[token[0].decode(), r.split(">")[0].removeprefix("TO:<")] += 1
    return got


@pytest.mark.smoke
def test_kill_9_while_decisions_wait_loses_and_doubles_nothing(tmp_path):
    seed = int(os.environ.get("HIKYAKU_SEED", "0")) or random.randrange(1 << 30)
    rnd = random.Random(seed)
    print(f"seed {seed}")

    def slow(value):
        def answer(key):
            time.sleep(rnd.choice([0, 0, 0.02, 0.1]))
            return TROUBLE if rnd.random() < 0.03 else value
        return answer

    aliases = TcpTable({"list@relay.test": slow("a@relay.test, b@relay.test, c@relay.test, a@relay.test")}, default="")
    copies, headers = TcpTable({"copied@relay.test": slow("boss@relay.test")}, default=""), TcpTable(default=slow(""))
    policy = Policy().start()
    main = MAIN.replace("POLICY", str(policy.port))
    for t in (aliases, copies, headers):
        main = main.replace("TABLE", t.spec, 1)
    with aliases, copies, headers, Sink() as sink, Instance(tmp_path, main, sink_port=sink.port) as m:
        loads = [Load(m, str(i), seed + i) for i in range(6)]
        for i in range(ROUNDS):
            have, more = sum(len(l.promised) for l in loads), rnd.randrange(1, 8)
            wait_for(f"traffic in round {i}", lambda: sum(len(l.promised) for l in loads) > have + more, 4 * PATIENCE)
            who = rnd.choice(["smtpd", "queue", "lookup", "anvil", "smtp", "policy", "reload", "queue", "smtpd"])
            if who == "policy":
                policy.drop()
            elif who == "reload":
                m.reload()
            else:
                m.kill(signal.SIGKILL, who)
        for l in loads:
            l.enough.set()
        for l in loads:
            l.join()
        want = {(token, r) for l in loads for token, to in l.promised.items() for r in to}
        try:
            wait_for("everything that was promised", lambda: want <= set(read(sink)), 4 * PATIENCE)
        finally:
            lost = want - set(read(sink))
            print(f"{len(want)} promised, lost {len(lost)}: {sorted(lost)[:5]}")
        m.wait_empty(4 * PATIENCE)
        got = read(sink)
        assert [l.wrong for l in loads] == [[]] * len(loads)
        discarded = {t for l in loads for t in l.discarded}
        assert not discarded & {token for token, _ in got}
        # More than once only what was open at a kill.
        assert sum(n - 1 for n in got.values()) <= ROUNDS * 40
        known = {r for to in GOES_TO.values() for r in to}
        assert {r for _, r in got} <= known
        assert not re.search(r"panic|Assertion|killed by signal (?!9)", m.log())
    policy.stop()
