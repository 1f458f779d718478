"""Differences that docs/differences.md has: taken away from both sides before they are compared."""
import re

# `recipient given as "d.e"@x, d\\.f@x or with a source route`: the original recipient as it was written, or as it is meant.
ORIGINAL = [r"( ORCPT=rfc822;)(\S+)", r"(, orig_to=<)(.*?)(?=>, relay)", r"^(X-Original-To: )(.*)", r"^(Original-Recipient: rfc822;)(.*)"]


def meant(text):
    text = re.sub(r"\+([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), text)
    text = re.sub(r"\([^()]*\)?", "", text)
    text = re.sub(r"^.*:(?=[^:@]*@[^:@\[]*$)", "", text)  # a route, a group
    return re.sub(r"[\"\\<>,;: \t\[\]]|\.$", "", text)


def line(text):
    for pattern in ORIGINAL:
        text = re.sub(pattern, lambda m: m[1] + meant(m[2]), text)
    # `user@example.com.`, `user@example.com@`: what is taken off first.
    text = re.sub(r"(@[^<>@\s]*[^.<>@\s])\.>", r"\1>", text)
    text = re.sub(r"([^<>@\s])@>", r"\1>", text)
    # The dot at the end was all that made it another address.
    return re.sub(r"to=<([^>]*)>, orig_to=<(.*?)>(?=, relay)", lambda m: f"to=<{m[1]}>" if meant(m[1]) == m[2] else m[0], text)


def explained(value):
    if isinstance(value, str):
        return line(value)
    if isinstance(value, list):
        return [explained(v) for v in value]
    return {k: explained(v) for k, v in value.items()}
