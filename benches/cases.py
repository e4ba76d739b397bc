"""What becomes of files and questions that once failed in silence or with a wrong word: a table in Markdown.

    cargo build --release && python benches/cases.py target/release/kithdb FOLDER

FOLDER has a folder a case. Where it is absent nothing is printed and all is well.
"""

import pathlib
import subprocess
import sys
import tempfile

# Of each case what was seen before, and the commands, in which {c} is its folder and {t} an empty one.
CASES = [
    ("01-weight-stops-load", "a weight of 1e30 ended the load", ["load {t}/db {c}/watch.csv", "load {t}/small {c}/small.csv", "load {t}/tiny {c}/tiny.csv"]),
    ("02-time-stops-load", "a time of -2^63 ended the load", ["load {t}/db {c}/t.csv"]),
    ("03-txt-triples-as-lightgcn", "ratings and times became items", ["load {t}/db {c}/u.txt", "load {t}/db {c}/triples.txt", "load {t}/db {c}/csv_inside.txt"]),
    ("04-rating-ignored", "ratings dropped without a word", ["load {t}/db {c}/rat.csv", "load {t}/new {c}/rat.csv --min-rating 4"]),
    ("05-eval-silent", "a lower recall without a word", ["load {t}/db {c}/train.csv", "train {t}/db --preset fast", "eval {t}/db --test {c}/overlap.csv", "eval {t}/db --test {c}/odd.csv"]),
    ("06-filter-lists-fail-open", "nothing denied, nothing said", ["load {t}/db {c}/base.csv", "query {t}/db --user u1 --popular --deny {c}/commas.txt", "query {t}/db --user u1 --popular --allow {c}/header.txt", "query {t}/db --user u1 --popular --allow {c}/quoted.txt"]),
    ("08-ids-that-cannot-be-named", "read as two ids", ["load {t}/db {c}/ids.csv", "query {t}/db --item 'salt, fine' --popular", "query {t}/db --user u6 --popular --allow {c}/blank.txt"]),
    ("09-delimiters", "no delimiter option", ["load {t}/a {c}/semicolon.csv", "load {t}/b {c}/double_colon.csv", "load {t}/c {c}/blanks.inter", "load {t}/d {c}/cr_only.csv"]),
    ("10-dates", "every row rejected", ["load {t}/a {c}/iso.csv", "load {t}/b {c}/odd.csv"]),
    ("11-forgotten-users-keep-space", "87 MB with one user left", ["cargo test --release --test forgotten_space"]),
    ("13-control-characters-printed", "escapes reached the terminal", ["load {t}/db {c}/ctrl.csv", "query {t}/db --user plain --popular"]),
    ("15-huge-vector-blames-row-0", "row 0 blamed", ["import-embeddings {t}/a --items {c}/huge.npy", "import-embeddings {t}/b --items {c}/zero_row.npy --metric cosine", "import-embeddings {t}/c --items {c}/all_zero.npy --metric cosine"]),
    ("16-negative-looking-ids", "an option error", ["load {t}/db {c}/neg.csv", "query {t}/db --user -5 --popular"]),
    ("17-known-user-told-no-interactions", "\"has no interactions\"", ["load {t}/db {c}/base.csv", "train {t}/db --preset fast", "load {t}/db {c}/cold.csv", "query {t}/db --user cold"]),
    ("18-repeats-not-summed", "no way to sum", ["load {t}/db {c}/events.csv", "load {t}/sum {c}/events.csv --repeats sum"]),
]


def told(text, folder, place):
    """The lines that say what happened, without where it did."""
    text = text.replace(str(folder) + "/", "").replace(str(place) + "/", "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    keep = [line for line in lines if line.startswith(("kithdb:", "test result:"))] or lines
    return " / ".join(line.removeprefix("kithdb: ") for line in keep[:3])[:300].replace("|", "\\|")


def main():
    program, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    if not folder.is_dir():
        return
    print("| case | before | command | now |\n|---|---|---|---|")
    for name, before, commands in CASES:
        with tempfile.TemporaryDirectory() as place:
            for command in commands:
                shown = command.replace("{t}/", "").replace("{c}/", "")
                line = command.format(t=place, c=folder / name)
                line = line if line.startswith("cargo") else f"{program} {line}"
                run = subprocess.run(line, shell=True, capture_output=True, text=True)
                if command.startswith("train") and run.returncode == 0:
                    continue
                outcome = told(run.stderr + run.stdout, folder / name, place)
                print(f"| {name} | {before} | `{shown}` | {run.returncode}: {outcome} |")
                before = ""


main()
