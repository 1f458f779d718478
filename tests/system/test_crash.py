"""kill -9 under load, with a ledger: accepted = delivered + queued + bounced, and nothing twice but what the contract allows."""
import contextlib, os, random, re, signal, threading, time

import pytest

from harness import PATIENCE, SANITIZED, Instance, Sink, wait_for

# The release build is where it counts: faster, so that more is open at each kill.
ROUNDS = int(os.environ.get("HIKYAKU_CRASH_ROUNDS", "15" if SANITIZED else "50"))


class Load(threading.Thread):
    """Sends numbered messages until told to stop; notes which were acknowledged."""

    def __init__(self, mta, name):
        super().__init__(daemon=True)
        self.mta, self.tag, self.acknowledged, self.refused, self.enough = mta, name, [], 0, threading.Event()
        self.start()

    def run(self):
        n = 0
        while not self.enough.is_set():
            try:
                with self.mta.client() as c:
                    while not self.enough.is_set():
                        n += 1
                        token = f"token-{self.tag}-{n}-"
                        big = "x" * 70 + "\r\n"
                        body = f"Subject: {token}\r\n\r\n" + big * (1500 if n % 17 == 0 else 1)
                        if c.message("a@b.test", ["x@relay.test"], body).startswith("250"):
                            self.acknowledged.append(token)
            except (OSError, EOFError, AssertionError):
                self.refused += 1
                time.sleep(0.02)


def ledger(m, sink, loads, seconds):
    """Every acknowledged token has been delivered at least once."""
    want = {t for l in loads for t in l.acknowledged}

    def all_there():
        got = {re.search(rb"token-\S+-", x["data"])[0].decode() for x in list(sink.messages)}
        return want <= got
    try:
        wait_for("every acknowledged message", all_there, seconds)
    finally:
        got = [re.search(rb"token-\S+-", x["data"])[0].decode() for x in sink.messages]
        lost = want - set(got)
        if lost:
            print(f"lost {len(lost)} of {len(want)}: {sorted(lost)[:5]}; queue: {m.cmd('postqueue', '-p', check=False).stdout[-2000:]}")
    return want, got


@pytest.mark.smoke
@pytest.mark.parametrize("who", ["random", "all"])
def test_kill_9_under_load_loses_nothing(tmp_path, who):
    rounds = ROUNDS if who == "random" else max(5, ROUNDS // 4)
    kill_under_load(tmp_path, who, lambda done: done == rounds)


@pytest.mark.soak
@pytest.mark.parametrize("who", ["random", "all"])
def test_soak_kill_9(tmp_path, who):
    end = time.monotonic() + float(os.environ.get("HIKYAKU_SOAK_MINUTES", "30")) * 30  # each of the two has half
    kill_under_load(tmp_path, who, lambda done: time.monotonic() > end)


def kill_under_load(tmp_path, who, enough):
    """Kills one process, or all, again and again while six clients send, until enough(rounds done)."""
    seed = int(os.environ.get("HIKYAKU_SEED", "0")) or random.randrange(1 << 30)
    rnd = random.Random(seed)
    print(f"seed {seed}")
    rounds = 0
    # The postmaster is not told of errors: the sink hears of messages of the loads alone.
    with Sink() as sink, Instance(tmp_path, "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nqueue_run_delay = 1s\n"
                                  "transport_retry_time = 1s\nsmtpd_client_connection_count_limit = 0\nnotify_classes =", sink_port=sink.port) as m:
        loads = [Load(m, f"{who}{i}") for i in range(6)]
        while not enough(rounds):
            have, more = sum(len(l.acknowledged) for l in loads), rnd.randrange(1, 12)
            wait_for(f"traffic in round {rounds}", lambda: sum(len(l.acknowledged) for l in loads) > have + more, 4 * PATIENCE)
            rounds += 1
            if who == "all":
                m.kill()
                wait_for("all gone", lambda: not m.pids())
                m.cmd("postfix", "start")
                continue
            running = [pids for pids in map(m.pids, ("smtpd", "queue", "smtp", "queue", "bounce", "pickup")) if pids]
            with contextlib.suppress(ProcessLookupError):
                os.kill(rnd.choice(rnd.choice(running)), signal.SIGKILL)
        for l in loads:
            l.enough.set()
        for l in loads:
            l.join()
        want, got = ledger(m, sink, loads, 4 * PATIENCE)
        twice = len(got) - len(set(got))
        print(f"{rounds} kills: {len(want)} acknowledged, {len(set(got))} delivered, {twice} delivered again")
        assert len(want) >= rounds
        # A repeat needs a crash between the receiver's 250 and our record of it, or between commit and our 250:
        # at most what was open at a kill.
        assert twice <= rounds * 40
        m.wait_empty(4 * PATIENCE)
