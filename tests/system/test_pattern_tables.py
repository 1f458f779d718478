"""Tables of patterns in a running, confined server."""
import os
from harness import Instance


def reply_for(mta, rcpt):
    with mta.client() as c:
        c.hello()
        c.expect("MAIL FROM:<a@example.test>", 250)
        return c.cmd(f"RCPT TO:<{rcpt}>")


def replace(path, text):
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    os.rename(new, path)


def test_rules_are_followed_and_a_new_version_takes_effect(tmp_path):
    m = Instance(tmp_path, "virtual_mailbox_maps = pcre:{dir}/etc/boxes\nmynetworks = cidr:{dir}/etc/nets\n")
    boxes, nets = m.dir / "etc/boxes", m.dir / "etc/nets"
    boxes.write_text("if /@mbox\\.test$/\n/^u(?=ser)[a-z]+[0-9]*@/ users/\n!/^[a-y]/ z/\nendif\n/(unbalanced/ x\n")
    nets.write_text("if 127.0.0.0/8\n!127.0.0.2 ok\nendif\n")
    with m:
        m.wait_log(r"warning: pcre map \S+/boxes, line 5: error in regex at offset 11: missing closing parenthesis")
        for _ in range(40):  # over and over: machine code is made while the process is confined
            assert reply_for(m, "user7@mbox.test").startswith("250")
            assert reply_for(m, "zoe@mbox.test").startswith("250")
            assert reply_for(m, "nobody@mbox.test").startswith("550 5.1.1")
        assert reply_for(m, "x@elsewhere.test").startswith("250")  # mynetworks
        m.send("user7@mbox.test")
        m.wait_log(r"to=<user7@mbox.test>.*status=sent")
        replace(nets, "127.0.0.2 ok\n")
        replace(boxes, "/^nobody@/ n/\n")
        m.wait_all("the new tables", lambda: reply_for(m, "nobody@mbox.test").startswith("250"))
        m.wait_all("the new networks", lambda: reply_for(m, "x@elsewhere.test").startswith(("454 4.7.1", "554 5.7.1")))
        os.unlink(boxes)  # what serves goes on serving
        assert all(reply_for(m, "nobody@mbox.test").startswith("250") for _ in range(6))


def test_a_key_that_meets_the_limits_is_trouble(tmp_path):
    m = Instance(tmp_path, "virtual_mailbox_maps = pcre:{dir}/etc/boxes\n")
    (m.dir / "etc/boxes").write_text("/^(a+)+[b]@mbox\\.test$/ x/\n")
    with m:
        assert reply_for(m, "a" * 50 + "@mbox.test").startswith("451 4.3.0")
        m.wait_log(r"warning: pcre map \S+/boxes, line 1: match limit exceeded")
        assert reply_for(m, "a" * 5 + "@mbox.test").startswith("550 5.1.1")
