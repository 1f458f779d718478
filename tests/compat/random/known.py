"""Differences that docs/differences.md has: taken away from both sides before they are compared."""
import re


def line(text):
    # `user@example.com.`, `user@example.com@`: what is taken off first.
    text = re.sub(r"(@[^<>@\s]*[^.<>@\s])\.>", r"\1>", text)
    text = re.sub(r"([^<>@\s])@>", r"\1>", text)
    # ... when it was all that made it another address.
    return re.sub(r'to=<([^>]*)>, orig_to=<(.*?)>(?=, relay)', lambda m: f"to=<{m[1]}>" if m[1].strip('"') == m[2].strip('"') else m[0], text)


def mail(m):
    """`a part of a message`: there what a part says counts, here its bytes."""
    if "lines" in m and "mail" in m and any(not l.isascii() or l.lower() == "content-transfer-encoding: 8bit" for l in m["lines"]):
        m = m | {"mail": m["mail"].replace(" BODY=8BITMIME", "")}
    return m


def explained(value):
    if isinstance(value, str):
        return line(value)
    if isinstance(value, list):
        return [explained(v) for v in value]
    return {k: explained(v) for k, v in mail(value).items()}
