"""When the disk is full, read-only, or lies: nothing is acknowledged that is not stored, and the server recovers."""
import contextlib, os, pathlib, re, shutil, signal, socket, struct, subprocess, threading, time

import pytest

from harness import PATIENCE, SANITIZED, Instance, Sink, wait_for


def small_disk(folder, size):
    """A file system of its own for the spool."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)], check=True)


@pytest.fixture
def tiny(tmp_path, inside):
    folder = tmp_path / "mta"
    (folder / "spool").mkdir(parents=True)
    small_disk(folder / "spool", "160m")
    with Sink(behave=lambda verb, arg: "450 4.2.0 later" if verb == "RCPT" else None) as sink:
        with Instance(folder, "message_size_limit = 4000000\nqueue_minfree = 90000000\nnotify_classes =\n", sink_port=sink.port) as m:
            yield m
    subprocess.run(["umount", "-l", str(folder / "spool")])


def fill(m):
    """To the last block."""
    ballast = m.dir / "spool/ballast"
    fd = os.open(ballast, os.O_CREAT | os.O_WRONLY)
    for size in (1 << 20, 4096):
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, b"\0" * size)
    os.close(fd)
    return ballast


def test_local_mail_on_a_full_disk_says_so_and_leaves_nothing(tiny):
    ballast = fill(tiny)
    r = tiny.cmd("sendmail", "x@relay.test", input="Subject: t\n\n" + "x" * 100000, check=False)
    assert r.returncode == 75 and "No space left on device" in r.stderr, r.stderr
    assert os.listdir(tiny.dir / "spool/maildrop") == []
    ballast.unlink()
    tiny.cmd("sendmail", "x@relay.test", input="Subject: t\n\nx\n")
    wait_for("one message", lambda: len(tiny.queue()) == 1)


def test_a_full_disk_is_a_452_and_recovers(tiny):
    assert tiny.send("x@relay.test").startswith("250 ")
    ballast = fill(tiny)

    def refused():
        with tiny.client() as c:
            c.hello()
            return c.cmd("MAIL FROM:<a@b.test>").startswith("452 4.3.1 Insufficient system storage")
    wait_for("452 at MAIL", refused)
    ballast.unlink()

    def accepted():
        with tiny.client() as c:
            c.hello()
            return c.cmd("MAIL FROM:<a@b.test>").startswith("250")
    wait_for("250 at MAIL", accepted)
    assert tiny.send("x@relay.test").startswith("250 ")
    assert len(tiny.queue()) == 2


def test_a_disk_that_fills_while_mail_flows_loses_nothing(tiny):
    """Big messages until the spool is full: each one is acknowledged and there, or refused and not."""
    body = "Subject: big\r\n\r\n" + ("z" * 76 + "\r\n") * 30000
    acknowledged = 0
    with tiny.client() as c:
        c.hello()
        for _ in range(200):
            # Whichever command is the first to learn of it.
            replies = (c.cmd(l) for l in ("MAIL FROM:<a@b.test>", "RCPT TO:<x@relay.test>", "DATA"))
            bad = next((r for r in replies if r[0] not in "23"), None)
            if bad:
                assert bad.startswith("45") and " 4.3.1 " in bad, bad
                break
            c.raw(body)
            if not c.cmd(".").startswith("250"):
                break
            acknowledged += 1
        else:
            pytest.fail("160 MB never filled up")
    assert acknowledged > 3
    assert len(tiny.queue()) == acknowledged
    tiny.stop()
    tiny.start()
    assert len(tiny.queue()) == acknowledged


def test_no_room_for_another_file_loses_nothing(tiny):
    """Large messages are files of their own; small ones need none."""
    large = "Subject: large\r\n\r\n" + ("z" * 76 + "\r\n") * 3000
    assert tiny.send("first@relay.test").startswith("250 ")
    folder = str(tiny.dir / "spool")
    subprocess.run(["mount", "-o", f"remount,nr_inodes={os.statvfs(folder).f_files - os.statvfs(folder).f_ffree}", folder], check=True)
    assert os.statvfs(folder).f_ffree == 0
    assert tiny.send("refused@relay.test", body=large)[:2] == "45"
    assert tiny.send("small@relay.test").startswith("250 ")
    subprocess.run(["mount", "-o", "remount,nr_inodes=10000", folder], check=True)
    wait_for("large mail", lambda: tiny.send("large@relay.test", body=large).startswith("250 "))
    assert sorted({r["address"] for q in tiny.queue() for r in q["recipients"]}) == ["first@relay.test", "large@relay.test", "small@relay.test"]


def test_a_read_only_disk_is_named_at_start_and_nothing_is_lost(tiny):
    """While files are open the kernel refuses to make a disk read-only; tests/crash does it below the spool."""
    assert tiny.send("x@relay.test").startswith("250 ")
    wait_for("deferred", lambda: "status=deferred" in tiny.log())
    tiny.stop()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny.dir / "spool")], check=True)
    try:
        r = tiny.cmd("postfix", "start", check=False)
        assert r.returncode != 0 and "Read-only file system" in r.stderr + tiny.log(), r.stderr
        assert len(tiny.pids()) == 0
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(tiny.dir / "spool")], check=True)
    tiny.start()
    assert [r["address"] for q in tiny.queue() for r in q["recipients"]] == ["x@relay.test"]


@pytest.mark.skipif(not SANITIZED, reason="the system call filter kills what strace makes of a call; build/test has none")
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64", "pwritev"])
def test_eio_from_the_disk_is_never_acknowledged(instance, call):
    """strace makes every write or sync of the queue fail: no 250. Afterwards the refused message is not there."""
    with Sink(behave=lambda verb, arg: "450 4.2.0 later" if verb == "RCPT" else None) as sink:
        m = instance(sink_port=sink.port).start()
        assert m.send("before@relay.test").startswith("250 ")
        m.wait_log("status=deferred")
        queue = m.pids("queue")[0]
        trace = m.dir / "trace"
        p = subprocess.Popen(["strace", "-f", "-p", str(queue), "-e", f"trace={call}", "-e", f"inject={call}:error=EIO", "-o", str(trace)],
                             stderr=subprocess.PIPE, text=True)
        try:
            if "attached" not in (line := p.stderr.readline()):
                pytest.skip(f"strace cannot attach: {line}")
            with m.client() as c:
                c.hello()
                r = c.cmd("MAIL FROM:<a@b.test>")
                if r.startswith("250"):
                    c.expect("RCPT TO:<refused@relay.test>", 250)
                    c.expect("DATA", 354)
                    r = c.cmd("Subject: x\r\n\r\nnever\r\n.")
                hit = "EIO" in trace.read_text()
                if not hit and r.startswith("250"):
                    pytest.skip(f"this build does not use {call}")
                assert r.startswith("4"), r
        finally:
            p.terminate()
            p.wait()

        def again():
            try:
                return m.send("after@relay.test").startswith("250 ")
            except AssertionError:
                return False
        wait_for("mail is taken again", again)
        m.stop()
        m.start()
        there = sorted(r["address"] for q in m.queue() for r in q["recipients"])
        assert there == ["after@relay.test", "before@relay.test"] or there.count("after@relay.test") >= 1 and "refused@relay.test" not in there


@pytest.mark.skipif(not SANITIZED, reason="as above")
def test_a_slow_disk_and_a_server_that_hung_up_burn_time(instance):
    """The content of a large message is read by a thread; meanwhile the connection it is for breaks."""
    def server():
        s = listener.accept()[0]
        with s, s.makefile("rb") as f:
            s.sendall(b"220 sink.test\r\n")
            while (verb := f.readline()[:4]) != b"DATA":
                s.sendall(b"250 Ok\r\n")
            s.sendall(b"354 go on\r\n")
            wait_for("a read", lambda: any("pread64" in t.read_text() for t in traces))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset

    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        m = instance(sink_port=listener.getsockname()[1]).start()
        agents = m.pids("smtp")
        traces = [m.dir / f"trace{pid}" for pid in agents]
        for pid, trace in zip(agents, traces):
            p = stack.enter_context(subprocess.Popen(["strace", "-f", "-p", str(pid), "-e", "trace=pread64,epoll_wait,epoll_pwait",
                                                      "-e", "inject=pread64:delay_exit=2s", "-o", str(trace)], stderr=subprocess.PIPE, text=True))
            stack.callback(p.terminate)
            if "attached" not in (line := p.stderr.readline()):
                pytest.skip(f"strace cannot attach: {line}")
        talk = threading.Thread(target=server)
        talk.start()
        assert m.send("x@relay.test", body="Subject: t\r\n\r\n" + ("x" * 70 + "\r\n") * 3000).startswith("250")
        talk.join()
        m.wait_log(r"status=deferred \((lost|conversation)")
        looks = max(t.read_text().count("epoll") for t in traces)
        assert looks < 200, "it is told again and again of what it cannot look at"


@pytest.mark.release_only
def test_one_sync_for_many_messages_and_no_250_before_it(instance):
    """Under load the queue syncs far less often than it acknowledges; and an acknowledgement follows its sync."""
    import threading
    with Sink() as sink:
        m = instance("default_process_limit = 200", sink_port=sink.port).start()
        queue = m.pids("queue")[0]
        trace = m.dir / "trace"
        p = subprocess.Popen(["strace", "-f", "-tt", "-p", str(queue), "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync:delay_exit=30000", "-o", str(trace)],
                             stderr=subprocess.PIPE, text=True)  # a disk so slow that the clients get to ask meanwhile, on any machine
        try:
            if "attached" not in (line := p.stderr.readline()):
                pytest.skip(f"strace cannot attach: {line}")
            n, sessions = 20, 30

            def work():
                with m.client() as c:
                    for _ in range(n):
                        assert c.message("a@b.test", ["x@relay.test"], "Subject: x\r\n\r\nbody\r\n").startswith("250")
            threads = [threading.Thread(target=work) for _ in range(sessions)]
            [t.start() for t in threads]
            [t.join() for t in threads]
            sink.wait(n * sessions, 4 * PATIENCE)
        finally:
            p.terminate()
            p.wait()
        syncs = len(re.findall(r"fdatasync\(", trace.read_text()))
        print(f"{n * sessions} messages, {syncs} syncs")
        assert 0 < syncs < n * sessions * 2 / 3
        # Alone on the server: the sync returns before the 250 is read by the client.
        p = subprocess.Popen(["strace", "-f", "-ttt", "-p", str(queue), "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_exit=300000", "-o", str(trace)],
                             stderr=subprocess.PIPE, text=True)
        try:
            p.stderr.readline()
            with m.client() as c:
                c.hello()
                c.envelope()
                c.expect("DATA", 354)
                t = time.monotonic()
                assert c.cmd("Subject: slow disk\r\n\r\n.").startswith("250")
                assert time.monotonic() - t >= 0.3, "the 250 did not wait for the sync"
        finally:
            p.terminate()
            p.wait()
