#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""tests/docs/blocks.py DIR: every code block of the docs as files in DIR.

A block's fate stands in the line before it, as a comment that no reader sees:
    <!-- run -->                    bash runs it; so do "$ " and "# " prompts
    <!-- run: A => B ; first C -->  with A replaced by B, and C run before it
    <!-- not run: REASON -->        and the reason why not
    <!-- rule -->  <!-- fleet -->   JSON of a rule, YAML of a fleet: the programs take it
A block that is labelled json needs none: it must parse; nor does data (csv, ini, text). DIR/NNN.KIND holds the
block, DIR/NNN.where its page and line. Prints what has no fate, or one in vain."""
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
out = sys.argv[1]
tracked = subprocess.run(["git", "-C", TOP, "ls-files", "*.md"], stdout=subprocess.PIPE, text=True, check=True)
pages = [p for p in tracked.stdout.split() if not p.startswith(("CHANGELOG", "deploy/cdk/", "tests/", "web/"))]
PROMPT = re.compile(r"^[$#] ", re.M)
count = 0


def wrong(where, text):
    print(f"{where}: {text}")


def changed(where, text, how):
    """The block with its marker's replacements, and what comes first."""
    before = []
    for part in filter(None, (p.strip() for p in how.split(" ; "))):
        a, arrow, b = part.partition(" => ")
        if part.startswith("first "):
            before.append(part[6:])
        elif not arrow:
            wrong(where, f"\"{part}\" is neither \"first COMMAND\" nor \"A => B\"")
        elif a not in text:
            wrong(where, f"there is no \"{a}\" to replace")
        else:
            text = text.replace(a, b)
    return "\n".join(before + [text])


for page in pages:
    with open(os.path.join(TOP, page), encoding="utf-8") as f:
        lines = f.read().splitlines()
    at = 0
    while at < len(lines):
        if not lines[at].lstrip().startswith("```"):
            at += 1
            continue
        where, label = f"{page}:{at + 1}", lines[at].strip().strip("`")
        marker = re.fullmatch(r"\s*<!-- (run|not run|rule|fleet)(?:: (.*))? -->", lines[at - 1] if at else "")
        end = at + 1
        while end < len(lines) and not lines[end].lstrip().startswith("```"):
            end += 1
        text = "\n".join(lines[at + 1:end]) + "\n"
        at = end + 1
        kind, how = (marker[1], marker[2] or "") if marker else (None, "")
        if kind == "not run" and not how:
            wrong(where, "not run, and no reason")
        if kind is None and label in ("csv", "ini", "text"):
            continue
        if kind is None and label != "json":
            wrong(where, "a block without a fate: <!-- run --> or <!-- not run: REASON -->")
            continue
        if label == "json":
            try:
                json.loads(text)
            except ValueError as e:
                wrong(where, str(e))
        if kind == "run":
            if PROMPT.match(text):
                text = PROMPT.sub("", text)
            text = changed(where, text, how)
        count += 1
        name = os.path.join(out, f"{count:03}")
        with open(f"{name}.{(kind or 'json').replace(' ', '')}", "w", encoding="utf-8") as f:
            f.write(text)
        with open(f"{name}.where", "w", encoding="utf-8") as f:
            f.write(where + "\n")
