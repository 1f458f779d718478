"""Which key of an address is found first, in every table that smtpd and routing ask: as recorded from Postfix (search_orders.py)."""
import json, re

import pytest

import harness, search_orders

RECORD = json.loads(search_orders.RECORDED.read_text())
# (configuration, question, why): what may differ.
DIFFERENCES = [
    ("", r"d1\.test\.( |$)", "the dot at the end of a domain is taken off before anything else, and replies show what is looked for"),
]


def is_excepted(title, question):
    return any(re.search(t, title) and re.search(q, question) for t, q, _ in DIFFERENCES)


def escaped(text):
    """For str.format with nothing but {dir} to fill in."""
    return text.replace("{", "{{").replace("}", "}}").replace("{{dir}}", "{dir}")


@pytest.mark.parametrize("c", search_orders.CASES, ids=[c["title"].replace(" ", "-") for c in search_orders.CASES])
def test_keys_are_tried_in_postfix_s_order(instance, c):
    ports = [harness.free_port() for _ in c["services"]]
    replaced = {l.split(" =")[0] for l in c["main"].splitlines()}
    main = "".join(l + "\n" for l in search_orders.BASE.splitlines() if l.split(" =")[0] not in replaced) + c["main"]
    master = "".join(f"127.0.0.1:{p} inet n - n - - smtpd {escaped(o)}\n" for p, o in zip(ports, c["services"]))
    m = instance(escaped(main), master)
    for name, text in c["files"].items():
        (m.dir / name).write_text(text)
    m.start()
    wrong, n = [], 0
    for port, service, want in zip(ports, c["services"], RECORD[c["title"]]):
        got = [x.replace(str(m.dir), "DIR") for x in search_orders.talk(port, c["senders"], c["recipients"])]
        for question, reply in zip(search_orders.asked(c), got):
            n += 1
            if reply != want[question] and not is_excepted(c["title"], question):
                wrong.append(f"{service} {question}\n  Postfix: {want[question]}\n  ours:    {reply}")
    assert not wrong, f"{len(wrong)} of {n}:\n" + "\n".join(wrong)
