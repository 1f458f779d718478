"""Mailboxes of the virtual transport, and the tables behind them."""
import mailbox, os, pwd, re, subprocess, threading
import pytest
from harness import BIN, IS_ROOT, Instance, wait_for

TABLES = "virtual_mailbox_maps = texthash:{dir}/etc/boxes\nsmtpd_reject_unlisted_recipient = no\n"
BOXES = """\
md@mbox.test        users/md/
mb@mbox.test        mb
noexist@mbox.test   noexist/x
isdir@mbox.test     isdir
notdir@mbox.test    notdir/md/
link@mbox.test      link
inside@mbox.test    inside/
fifo@mbox.test      fifo
out@mbox.test       ../out/
@any.test           any/
"""


@pytest.fixture
def mta(tmp_path):
    m = Instance(tmp_path, TABLES + "virtual_mailbox_domains = mbox.test any.test\n")
    (m.dir / "etc/boxes").write_text(BOXES)
    with m:
        yield m


def result(mta, rcpt):
    """What the log says became of mail for `rcpt`."""
    return mta.wait_log(rf"to=<{rcpt}>.*, (relay=\S+), .*(dsn=\S+, status=.*)").group(1, 2)


def test_maildir(mta):
    assert mta.send("md@mbox.test", body="Subject: x\r\n\r\nFrom here\r\n.dot\r\n..two\r\n").startswith("250")
    assert result(mta, "md@mbox.test") == ("relay=virtual", "dsn=2.0.0, status=sent (delivered to maildir)")
    new = list((mta.dir / "mail/users/md/new").iterdir())
    assert len(new) == 1 and not list((mta.dir / "mail/users/md/tmp").iterdir())
    text = new[0].read_bytes()
    assert text.startswith(b"Return-Path: <a@example.test>\nX-Original-To: md@mbox.test\nDelivered-To: md@mbox.test\nReceived: ")
    assert text.endswith(b"\n\nFrom here\ndot\n.two\n") and b"\r" not in text
    assert os.stat(new[0]).st_mode & 0o777 == 0o600 and os.stat(new[0].parent).st_mode & 0o777 == 0o700
    if IS_ROOT:
        assert os.stat(new[0]).st_uid == os.stat(new[0].parent).st_uid == pwd.getpwnam("hkvmail").pw_uid


def test_mbox(mta):
    body = "Subject: {}\r\n\r\nFrom here\r\n>From there\r\n" + "x" * 300 + "\r\n"
    n = 12
    threads = [threading.Thread(target=lambda i=i: mta.send("mb@mbox.test", body=body.format(i) * (1 if i else 400))) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    mta.wait_log(r"to=<mb@mbox.test>, .*status=sent \(delivered to mailbox\)", count=n)
    messages = list(mailbox.mbox(mta.dir / "mail/mb", create=False))
    assert sorted(int(m["Subject"]) for m in messages) == list(range(n))
    assert not (mta.dir / "mail/mb.lock").exists()
    text = (mta.dir / "mail/mb").read_bytes()
    assert text.count(b"\n>From here\n>From there\n") == n + 399 and b"\nFrom here" not in text
    assert text.endswith(b"\n\n") and text.startswith(b"From a@example.test  ")


def test_mail_behind_half_a_message_is_still_a_message(mta):
    mta.send("mb@mbox.test", body="Subject: first\r\n\r\nx\r\n")
    mta.wait_log(r"to=<mb@mbox.test>, .*status=sent")
    with open(mta.dir / "mail/mb", "ab") as f:  # its writer was killed
        f.write(b"From a@example.test  Sun Nov 22 01:27:34 2026\nSubject: half\n\nhalf a li")
    mta.send("mb@mbox.test", body="Subject: second\r\n\r\nx\r\n")
    mta.wait_log(r"to=<mb@mbox.test>, .*status=sent", count=2)
    assert [m["Subject"] for m in mailbox.mbox(mta.dir / "mail/mb", create=False)] == ["first", "half", "second"]


def send_at_once(mta, rcpt, n):
    threads = [threading.Thread(target=lambda i=i: mta.send(rcpt, body=f"Subject: {i}\r\n\r\nhello\r\n")) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def subjects(folder):
    return sorted(int(p.read_bytes().split(b"\nSubject: ")[1].split(b"\n")[0]) for p in folder.iterdir())


def test_many_at_once_into_one_maildir_are_all_there_once(mta):
    md = mta.dir / "mail/users/md"
    send_at_once(mta, "md@mbox.test", 60)
    mta.wait_log(r"to=<md@mbox.test>, .*status=sent \(delivered to maildir\)", count=60)
    assert subjects(md / "new") == list(range(60)) and not list((md / "tmp").iterdir())


def test_maildir_without_a_usable_new_defers_all_and_leaves_nothing(mta):
    md = mta.dir / "mail/users/md"
    mta.send("md@mbox.test", body="Subject: 99\r\n\r\n")
    mta.wait_log(r"to=<md@mbox.test>, .*status=sent")
    os.rename(md / "new", md / "old")
    (md / "new").write_text("")
    send_at_once(mta, "md@mbox.test", 20)
    mta.wait_log(rf"to=<md@mbox.test>, .*status=deferred \(maildir delivery failed: create maildir file {md}/new/\S+: Not a directory\)", count=20)
    assert not list((md / "tmp").iterdir())
    (md / "new").unlink()
    os.rename(md / "old", md / "new")
    mta.wait_deferred(20)
    mta.cmd("postqueue", "-f")
    mta.wait_log(r"to=<md@mbox.test>, .*status=sent", count=21)
    assert subjects(md / "new") == [*range(20), 99]


def test_messages_for_one_mbox_do_not_wait_for_each_others_locks(tmp_path):
    m = Instance(tmp_path, TABLES + "virtual_mailbox_lock = fcntl, dotlock\ndeliver_lock_delay = 600s\n")
    (m.dir / "etc/boxes").write_text(BOXES)
    with m:
        send_at_once(m, "mb@mbox.test", 20)
        m.wait_log(r"to=<mb@mbox.test>, .*status=sent \(delivered to mailbox\)", count=20)
        assert len(mailbox.mbox(m.dir / "mail/mb", create=False)) == 20


def test_what_cannot_be_delivered(mta):
    mail = mta.dir / "mail"
    (mail / "isdir").mkdir()
    (mail / "notdir").write_text("")
    (mail / "link").symlink_to("/etc/passwd")
    (mail / "real").mkdir()
    if IS_ROOT:
        os.chown(mail / "real", os.stat(mail).st_uid, os.stat(mail).st_gid)
    (mail / "inside").symlink_to("real")
    os.mkfifo(mail / "fifo")
    want = {
        "noexist": f"dsn=4.2.0, status=deferred (delivery failed to mailbox {mail}/noexist/x: unable to create lock file {mail}/noexist/x.lock: No such file or directory)",
        "isdir": f"dsn=4.2.0, status=deferred (delivery failed to mailbox {mail}/isdir: cannot open file: Is a directory)",
        "link": "dsn=4.2.0, status=deferred (delivery failed to mailbox",
        "notdir": "dsn=4.2.0, status=deferred (maildir delivery failed: create maildir file",
        "fifo": "dsn=4.2.0, status=deferred (delivery failed to mailbox",
        "out": "dsn=4.3.5, status=deferred (mail system configuration error)",
        "unknown": 'dsn=5.1.1, status=bounced (unknown user: "unknown@mbox.test")',
        "inside": "dsn=2.0.0, status=sent (delivered to maildir)",
    }
    for user in want:
        mta.send(f"{user}@mbox.test")
    for user, text in want.items():
        assert result(mta, f"{user}@mbox.test")[1].startswith(text)
    assert len(list((mail / "real/new").iterdir())) == 1
    assert not (mta.dir / "out").exists()
    assert "hello" not in open("/etc/passwd").read()


def test_extension_and_catch_all(tmp_path):
    m = Instance(tmp_path, TABLES + "virtual_mailbox_domains = mbox.test any.test\nrecipient_delimiter = +\n")
    (m.dir / "etc/boxes").write_text(BOXES)
    with m:
        m.send(("md+ext@mbox.test", "someone@any.test"))
        m.wait_log(r"to=<md\+ext@mbox.test>.*status=sent")
        m.wait_log(r"to=<someone@any.test>.*status=sent")
        assert len(m.maildir("users/md")) == 1 and len(m.maildir("any")) == 1


def test_mailbox_limit(tmp_path):
    m = Instance(tmp_path, TABLES + "virtual_mailbox_limit = 30000\nmessage_size_limit = 30000\n")
    (m.dir / "etc/boxes").write_text(BOXES)
    with m:
        body = "Subject: x\r\n\r\n" + ("y" * 98 + "\r\n") * 120
        for _ in range(2):
            m.send("mb@mbox.test", body=body)
        m.wait_log(r"to=<mb@mbox.test>.*status=sent", count=2)
        before = (m.dir / "mail/mb").read_bytes()
        m.send("mb@mbox.test", body=body)
        assert result_bounced(m) == f"dsn=5.2.2, status=bounced (delivery failed to mailbox {m.dir}/mail/mb: error writing message: File too large)"
        assert (m.dir / "mail/mb").read_bytes() == before


def result_bounced(m):
    return m.wait_log(r"to=<mb@mbox.test>.*(dsn=5\S+, status=bounced .*)").group(1)


def test_ids_that_are_too_low(tmp_path):
    if not IS_ROOT:
        pytest.skip("ids are only changed when started by root")
    with Instance(tmp_path, "virtual_uid_maps = static:5\n") as m:
        m.send("u@mbox.test")
        m.wait_log(r"warning: recipient u@mbox.test: bad uid 5 in virtual_uid_maps")
        m.wait_log(r"to=<u@mbox.test>.*dsn=4.3.5, status=deferred \(mail system configuration error\)")


def reply_for(mta, rcpt):
    with mta.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@example.test>", 250)
        return c.cmd(f"RCPT TO:<{rcpt}>")


def test_changed_tables_take_effect_without_reload(tmp_path):
    m = Instance(tmp_path, "virtual_mailbox_maps = hash:{dir}/etc/boxes\n")
    source = m.dir / "etc/boxes"
    source.write_text("one@mbox.test one/\n")
    m.cmd("postmap", source)
    with m:
        assert reply_for(m, "one@mbox.test").startswith("250")
        assert reply_for(m, "two@mbox.test") == \
            "550 5.1.1 <two@mbox.test>: Recipient address rejected: User unknown in virtual mailbox table"
        source.write_text("two@mbox.test two/\n")
        m.cmd("postmap", source)
        wait_for("the new table", lambda: all(reply_for(m, "two@mbox.test").startswith("250") for _ in range(6)))
        # Each smtpd looks for itself, at most once a second: all of them have refused it by name before we go on.
        wait_for("all to know", lambda: reply_for(m, "one@mbox.test") and
                 set(map(str, m.pids("smtpd"))) <= set(re.findall(r"smtpd\[(\d+)\]: NOQUEUE: reject: RCPT .* <one@mbox\.test>", m.log())))
        m.send("two@mbox.test")
        m.wait_log(r"to=<two@mbox.test>.*status=sent")
        # Garbage in the place of a table never replaces it.
        new = m.dir / "etc/garbage"
        new.write_bytes(b"garbage " * 2000)
        os.rename(new, m.dir / "etc/boxes.db")
        wait_for("a look at the file", lambda: reply_for(m, "two@mbox.test") and "goes on serving" in m.log())
        assert reply_for(m, "two@mbox.test").startswith("250")


def test_missing_table_is_trouble_not_a_refusal(tmp_path):
    with Instance(tmp_path, "virtual_mailbox_maps = hash:{dir}/etc/none\n") as m:
        assert reply_for(m, "u@mbox.test") == "451 4.3.0 <u@mbox.test>: Temporary lookup failure"
        m.wait_log(rf"error: open database {m.dir}/etc/none.db: No such file or directory")


def test_readers_see_the_old_or_the_new_table(tmp_path):
    """While postmap builds a table again and again, no look-up ever fails."""
    m = Instance(tmp_path)
    source = m.dir / "etc/t"
    source.write_text("".join(f"key{i} value\n" for i in range(3000)))
    m.cmd("postmap", source)
    done = threading.Event()

    def build():
        for _ in range(15):
            m.cmd("postmap", source)
        done.set()

    t = threading.Thread(target=build)
    t.start()
    while not done.is_set():
        assert m.cmd("postmap", "-q", "key2999", f"hash:{source}").stdout == "value\n"
    t.join()
    assert not [p for p in source.parent.iterdir() if ".new" in p.name]


def test_writers_of_one_table_wait_for_each_other(tmp_path):
    m = Instance(tmp_path)
    source = m.dir / "etc/t"
    source.write_text("first v\n")
    m.cmd("postmap", source)
    runs = [subprocess.Popen([BIN / "postmap", "-c", m.dir / "etc", "-i", f"hash:{source}"], stdin=subprocess.PIPE) for _ in range(8)]
    for i, p in enumerate(runs):
        p.stdin.write(f"k{i} v{i}\n".encode())
        p.stdin.close()
    assert [p.wait(120) for p in runs] == [0] * 8
    lines = m.cmd("postmap", "-s", f"hash:{source}").stdout.splitlines()
    assert sorted(lines) == sorted(["first\tv"] + [f"k{i}\tv{i}" for i in range(8)])


@pytest.mark.parametrize("keeps,copies", [("yes", 2), ("no", 1)])
def test_one_mailbox_gets_a_copy_for_each_way_its_address_was_written(tmp_path, keeps, copies):
    with Instance(tmp_path, TABLES + "virtual_mailbox_domains = mbox.test\nmyorigin = mbox.test\n"
                  f"enable_original_recipient = {keeps}\n") as m:
        (m.dir / "etc/boxes").write_text(BOXES)
        assert m.send(["md", "md@mbox.test", "md@mbox.test"]).startswith("250")
        m.wait_empty()
        new = list((m.dir / "mail/users/md/new").iterdir())
        assert len(new) == copies
        assert sum(b"X-Original-To: " in f.read_bytes() for f in new) == (2 if keeps == "yes" else 0)
