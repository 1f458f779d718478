"""When descriptors run out: who comes next waits, nobody who was told 250 is forgotten, no process burns time, and all is well again
when there are some. What a client can use up otherwise is in docs/security.md, each with its limit and its test."""
import contextlib, os, re, resource, select, subprocess

from harness import BIN, PATIENCE, Client, Instance, Sink, as_owner, free_port, open_files, process_status, wait_for

LARGE = "Subject: large\r\n\r\n" + ("x" * 70 + "\r\n") * 3000  # more than stays in memory: a descriptor of its own


def rests(pid):
    """Asleep at ten looks in a row: who is woken again and again for what he cannot do never is."""
    seen = []

    def ten():
        seen.append(process_status(pid, "State")[0] == "S")
        return len(seen) >= 10 and all(seen[-10:])
    wait_for(f"process {pid} to rest", ten)


@contextlib.contextmanager
def no_descriptors(pid):
    """The process cannot open anything: the limit is the first number that is free."""
    soft, hard = (int(n) for n in re.search(r"Max open files +(\d+) +(\d+)", open(f"/proc/{pid}/limits").read()).groups())
    taken = set(open_files(pid))
    assert as_owner(resource.prlimit, pid, resource.RLIMIT_NOFILE, (min(set(range(len(taken) + 1)) - taken), hard)) == 0
    try:
        yield
    finally:
        assert as_owner(resource.prlimit, pid, resource.RLIMIT_NOFILE, (soft, hard)) == 0


def test_more_clients_than_descriptors(instance):
    with Sink() as sink, contextlib.ExitStack() as crowd:
        port = free_port()
        m = instance("default_process_limit = 1000\nsmtpd_client_connection_count_limit = 0\n", f"127.0.0.1:{port} inet n - n - - smtpd\n", sink_port=sink.port)
        few = ",".join(str(n) for n in sorted(os.sched_getaffinity(0))[:2])  # as many smtpd
        subprocess.run(["taskset", "-c", few, "prlimit", "--nofile=96:96", str(BIN / "postfix"), "-c", str(m.dir / "etc"), "start"], check=True, env=m.env)
        m.started = True
        many = [crowd.enter_context(m.client(banner=False)) for _ in range(60)]
        m.wait_log(r"warning: the limit on open files allows \d+ sessions for each smtpd process: more clients wait")
        for pid in m.pids("smtpd"):
            rests(pid)
        heard = select.select([c.s for c in many], [], [], 0)[0]
        greeted = [c for c in many if c.s in heard]
        waiting = [c for c in many if c.s not in heard]
        assert greeted and waiting
        with Client(port) as c:  # where a filter gives mail back, say
            assert c.message("a@example.test", ["x@relay.test"], LARGE).startswith("250")
        for c in greeted:
            assert c.reply().startswith("220")
            assert c.message("a@example.test", ["x@relay.test"], LARGE).startswith("250"), "a session that was let in lacks a descriptor"
        for c in greeted:
            c.s.close()
        for c in waiting:  # in the order in which they came
            assert c.reply().startswith("220")
            assert c.message("a@example.test", ["x@relay.test"], LARGE).startswith("250")
            c.s.close()
        sink.wait(61)
        m.wait_empty()
        assert len(sink.messages) == 61
        assert "Too many open files" not in m.log()


def test_a_process_without_descriptors_burns_time(tmp_path):
    """Whoever knocks waits, at the network's socket and at the local ones, and is served when there are descriptors again."""
    with Sink() as sink, Instance(tmp_path, sink_port=sink.port) as m:
        assert m.send("x@relay.test").startswith("250")
        sink.wait(1)
        m.wait_idle()  # who cannot take the channel that master sends is started again
        smtpd, queue, pickup = (m.pids(role) for role in ("smtpd", "queue", "pickup"))
        with contextlib.ExitStack() as poor:
            for pid in smtpd + queue + pickup:
                poor.enter_context(no_descriptors(pid))
            for _ in range(5):
                poor.enter_context(m.client(banner=False))
            listing = subprocess.Popen([str(BIN / "postqueue"), "-c", str(m.dir / "etc"), "-p"], stdout=subprocess.PIPE, text=True)
            m.cmd("sendmail", "x@relay.test", input="dropped\n")
            m.wait_log(r"smtpd\[\d+\]: warning: accept connection: Too many open files")
            for pid in smtpd + queue + pickup:
                rests(pid)
            assert (smtpd, queue, pickup) == tuple(m.pids(role) for role in ("smtpd", "queue", "pickup"))
        assert re.search("Mail queue is empty|in 1 Request", listing.communicate(timeout=PATIENCE)[0])  # pickup's message may have come before
        assert m.send("x@relay.test", body=LARGE).startswith("250")
        m.cmd("postqueue", "-f")
        m.cmd("sendmail", "x@relay.test", input="the next\n")
        sink.wait(4)


def test_mail_waits_for_ever_behind_agents_that_had_no_descriptor(tmp_path):
    """A large message comes with a descriptor of its own: who has no place for it loses its channel, and gets another."""
    with Sink() as sink, Instance(tmp_path, sink_port=sink.port) as m:
        m.wait_idle()
        agents = m.pids("smtp")
        with contextlib.ExitStack() as poor:
            for pid in agents:
                poor.enter_context(no_descriptors(pid))
            for _ in agents:
                assert m.send("x@relay.test", body=LARGE).startswith("250")
            m.wait_log(r"to=<x@relay\.test>.* status=deferred", count=len(agents))
        m.wait_deferred(len(agents))
        for _ in range(2 * len(agents)):
            assert m.send("x@relay.test").startswith("250")
        sink.wait(2 * len(agents))
        m.cmd("postqueue", "-f")
        m.wait_empty()
        assert m.pids("smtp") == agents
        assert len(sink.messages) == 3 * len(agents)


def test_a_full_worker_dies_with_its_first_session_after_a_reload(tmp_path):
    port = free_port()
    with Instance(tmp_path, master=f"127.0.0.1:{port} inet n - n - 2 smtpd\n") as m, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port)) for _ in m.pids("smtpd")]
        old = m.pids("smtpd")
        for c in clients:
            c.hello()
        m.reload()
        wait_for("new workers", lambda: set(m.pids("smtpd")) - set(old))
        with Client(port) as c:  # they serve: the old ones have been told to drain
            c.hello()
        for c in clients:
            c.expect("NOOP", 250)
            c.expect("QUIT", 221)
        wait_for("the end of the old workers", lambda: not set(m.pids("smtpd")) & set(old))
        assert "signal" not in m.log()
