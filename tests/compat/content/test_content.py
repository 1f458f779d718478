"""What becomes of the content of messages, beside what Postfix 3.7 did with them (expected.json, recorded by content.py)."""
import json, re

import pytest

import cases, content, harness

EXPECTED = json.loads(content.EXPECTED.read_text())

# What may differ, and why: group or (group, message) → what is not compared.
DIFFERENT = {
    # Postfix leaves out the whole line that goes beyond a tiny header_size_limit, or a part of it; we cut at the byte.
    ("small limits", "long folded header"): ("content",),
    # What is too large is thrown away before it is looked at.
    ("size", "too large"): ("log",),
    ("size", "too large and rejected"): ("log",),
}


def comparable(result, skip=()):
    r = dict(result)
    r["rcpts"] = [re.sub(r" .*", "", x) for x in r["rcpts"]]
    return {k: v for k, v in r.items() if k not in skip}


def check(instance, group):
    expected = EXPECTED[group["name"]]
    with content.sink_of(group) as sink:
        main = content.fill(content.BASE + group["main"], "{dir}/etc", sink.port) + "\ndefault_transport = smtp"
        m = instance(main, sink_port=sink.port)
        etc = m.dir / "etc"
        for name, text in group.get("files", {}).items():
            (etc / name).write_text(content.fill(text, etc, sink.port))
        m.start()
        replies = [content.send(m.port, data, group.get("said", "")) for _, data in group["messages"]]
        n = sum(1 for name, _ in group["messages"] if expected[name]["content"] is not None)
        sink.wait(n)
        content.settle(lambda: m.cmd("postqueue", "-p").stdout)
        got = content.gather(m.log(), replies, sink, etc)
    wrong = []
    for (name, _), result in zip(group["messages"], got):
        skip = DIFFERENT.get(group["name"], ()) or DIFFERENT.get((group["name"], name), ())
        a, b = comparable(expected[name], skip), comparable(result, skip)
        wrong += [f"{name}: {k}\n  Postfix {a[k]!r}\n  ours    {b[k]!r}" for k in a if a[k] != b[k]]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("group", cases.GROUPS, ids=lambda g: g["name"])
def test_content(instance, group):
    check(instance, group)


def test_force_mime_input_conversion(instance):
    """Postfix 3.7 has not got it; what comes in is converted as what goes out to a server that takes 7 bits only."""
    group = next(g for g in cases.GROUPS if g["name"] == "to 7 bits")
    check(instance, dict(group, main=group["main"] + "\nforce_mime_input_conversion = yes", keywords=("PIPELINING", "8BITMIME")))
