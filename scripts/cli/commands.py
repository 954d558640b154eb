"""What people type: words that were meant, logs on volumes, exports, a service's status."""
import gzip
import json
import os
import re
import resource
import subprocess
import urllib.request

from cli.cases import LIMIT, case, event, expect, rows


@case
def unknown_commands_and_options_name_what_was_meant(room):
    for arguments, words in ((["tial"], "did you mean penstock tail?"), (["stauts", "--log", "L"], "penstock status?"),
                             (["repair", "--log", "L"], "penstock recover?"), (["help", "tial"], "penstock tail?"),
                             (["tial", "--help"], "penstock tail?"), (["cursor", "lst"], "penstock cursor list?"),
                             (["replay", "lst", "--log", "L"], "penstock replay list?"),
                             (["keys", "crate", "--file", "k"], "penstock keys create?"),
                             (["tail", "--lgo", "L"], "no option --lgo; did you mean --log?"),
                             (["tail", "--log", "L", "--folow"], "did you mean --follow?"),
                             (["replay", "--confg", "c"], "did you mean --config?"),
                             (["append", "--log", "L", "--no-validat", "x"], "did you mean --no-validate?")):
        ran = room.run(*arguments).is_(2, words)
        expect(not ran.out, f"{arguments} says something on standard output")
    room.run("xyzzy").is_(2, 'no command "xyzzy"', "the commands are demo, append, tail, export")
    room.run("tail", "--log", "L", "--xyzzy").is_(2, "no option --xyzzy")


def limited(soft, hard):
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))}


def many(room, count):
    room.run("append", "--log", "L", "-", stdin=rows(3)).is_(0)
    hooks = [{"name": f"w{number}", "type": "webhook", "url": "http://127.0.0.1:1/", "allowPrivateNetworks": True}
             for number in range(count)]
    room.file("many.yaml", json.dumps({"log": {"path": "L"}, "destinations": hooks,
                                       "server": {"listen": "127.0.0.1:0"}}).encode())


@case
def destinations_that_need_more_descriptors_than_there_are_are_refused_before_the_start(room):
    many(room, 60)
    for command in (["deliver", "--until-caught-up"], ["serve"]):
        ran = room.run(*command, "--config", "many.yaml", **limited(128, 128))
        ran.is_(3, "60 destinations may have", "this process may have 128", "raise the limit")
    expect(room.status()["cursors"] == [], "a cursor was made")
    # What the process may take by itself, it takes: each destination fails for its own reason.
    ran = room.run("deliver", "--config", "many.yaml", "--until-caught-up", "--give-up-after", "0", **limited(128, 4096))
    ran.is_(3, "w59: ", "connection refused")
    expect("too many open files" not in ran.err, "descriptors ran out")
    # Below what the runtime itself takes.
    room.run("tail", "--log", "L", **limited(20, 20)).is_(3, "may open 20 files")


@case
def a_volume_with_lost_and_found_holds_a_log(room):
    os.makedirs(os.path.join(room.path, "L/lost+found"))
    room.run("append", "--log", "L", "-", stdin=rows(2)).is_(0)
    room.run("append", "--log", "L", "-", stdin=rows(1)).is_(0)
    expect(room.status()["end"] == 3, "the log")
    os.makedirs(os.path.join(room.path, "L/data/lost+found"))
    expect(room.run("recover", "--log", "L", "--json").is_(0).last["recovery"]["unknownFiles"] == [], "unknown file")


@case
def a_missing_directory_of_cursors_is_made(room):
    room.run("append", "--log", "L", "-", stdin=rows(2)).is_(0)
    cursors = os.path.join(room.path, "L/cursors")
    os.rmdir(cursors)
    room.run("recover", "--log", "L").is_(0)
    expect(os.path.isdir(cursors), "a writer does not make it")
    os.rmdir(cursors)
    out = {"name": "dir", "type": "directory", "path": "out"}
    room.file("c.yaml", json.dumps({"log": {"path": "L"}, "destinations": [out]}).encode())
    os.makedirs(os.path.join(room.path, "out"))
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    expect(room.status()["cursors"][0]["committed"] == 2, "not delivered")


@case
def a_configuration_with_a_byte_order_mark_is_read(room):
    room.run("append", "--log", "L", "-", stdin=rows(1)).is_(0)
    text = "log: {path: L}\ndestinations: [{name: dir, type: directory, path: out}]\n"
    os.makedirs(os.path.join(room.path, "out"))
    room.file("c.yaml", b"\xef\xbb\xbf" + text.encode())
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    room.file("c.yaml", text.encode("utf-16"))
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(2, "UTF-16", "UTF-8")


@case
def compressed_input_is_named_with_what_reads_it(room):
    room.file("in.gz", gzip.compress(rows(2)))
    room.file("in.zst", b"\x28\xb5\x2f\xfd" + b"\0" * 20)
    room.file("in.txt", b"\xef\xbb\xbf" + rows(1))
    room.run("append", "--log", "L", "in.gz").is_(1, "compressed with gzip", "gzip -dc in.gz | penstock append")
    room.run("append", "--log", "L", "in.zst").is_(1, "compressed with zstd", "zstd -dc in.zst | penstock append")
    room.run("append", "--log", "L", "--no-validate", "in.gz").is_(1, "compressed with gzip")
    room.run("append", "--log", "L", "--format", "array", "in.gz").is_(1, "compressed with gzip")
    room.run("append", "--log", "L", "in.txt").is_(1, "byte order mark", "tail -c +4 in.txt")
    expect(not os.path.exists(os.path.join(room.path, "L")), "a log was made")
    room.run("append", "--log", "L", "-", stdin=gzip.compress(rows(2))).is_(1, "standard input is compressed", "gzip -dc")
    # Byte by byte, as a slow pipe gives it; and what only begins alike is taken.
    process = room.start("append", "--log", "L", "-", stdin=subprocess.PIPE, bufsize=0)
    for byte in gzip.compress(rows(2))[:6]:
        process.stdin.write(bytes([byte]))
    expect(process.wait(LIMIT) == 1, f"exit code {process.returncode}")
    room.run("append", "--log", "L", "--no-validate", "-", stdin=b"\x1f\n(\xb5/\n").is_(0)


@case
def resume_answers_the_state_after_it(room):
    room.run("append", "--log", "L", "-", stdin=rows(3)).is_(0)
    room.file("c.yaml", json.dumps({"log": {"path": "L"}, "destinations": [
        {"name": "dir", "type": "directory", "path": "out"}]}).encode())
    os.makedirs(os.path.join(room.path, "out"))
    room.run("deliver", "--config", "c.yaml", "--until-caught-up").is_(0)
    paused = room.run("cursor", "pause", "dir", "--log", "L").is_(0).out
    expect("dir (paused)" in paused, f"{paused}")
    words = room.run("cursor", "resume", "dir", "--log", "L").is_(0).out
    expect("resumed" in words and "committed" in words and "(paused)" not in words, f"{words}")
    said = room.run("cursor", "resume", "dir", "--log", "L", "--json").is_(0).last
    expect(said["paused"] is None and said["committed"] == 3, f"{said}")


@case
def resume_over_http_answers_the_state_after_it(room):
    room.file("c.yaml", json.dumps({"log": {"path": "L"}, "server": {"listen": "127.0.0.1:0"}, "destinations": [
        {"name": "dir", "type": "directory", "path": "out"}]}).encode())
    os.makedirs(os.path.join(room.path, "out"))
    url = json.loads(room.start("serve", "--config", "c.yaml", "--json").stdout.readline())["listening"]

    def ask(verb):
        said = urllib.request.Request(f"{url}/v1/destinations{verb}", b"{}" if verb else None,
                                      {"Content-Type": "application/json"})
        return json.loads(urllib.request.urlopen(said, timeout=LIMIT).read())

    for _ in range(5):
        ask("/dir/pause")
        while ask("")["destinations"][0]["state"] != "paused":
            pass
        said = ask("/dir/resume")
        expect(said["pause"] is None and said["state"] != "paused", f"{said['pause']}, {said['state']}")


@case
def a_new_key_is_a_token_on_standard_output_and_nothing_else(room):
    for command in (["create", "--name", "ops", "--role", "companyAdmin"], ["rotate", "--id"]):
        if command[0] == "rotate":
            command.append(room.run("keys", "list", "--file", "k", "--json").is_(0).last["keys"][0]["id"])
        ran = room.run("keys", *command, "--file", "k").is_(0, "This is the token of ops", "cannot be shown again")
        expect(re.fullmatch(r"psk_\S+\n", ran.out), f"{ran.out!r}")


@case
def status_asks_a_running_service(room):
    token = room.run("keys", "create", "--file", "k", "--name", "ops", "--role", "companyAdmin").is_(0).out.strip()
    feeder = room.run("keys", "create", "--file", "k", "--name", "in", "--role", "producer").is_(0).out.strip()
    os.makedirs(os.path.join(room.path, "out"))
    room.file("c.yaml", json.dumps({"log": {"path": "L"}, "server": {"listen": "127.0.0.1:0", "keysFile": "k"},
                                    "destinations": [{"name": "dir", "type": "directory", "path": "out"}]}).encode())
    process = room.start("serve", "--config", "c.yaml", "--json")
    url = json.loads(process.stdout.readline())["listening"]
    body = urllib.request.Request(url + "/v1/events", rows(2), {"Content-Type": "application/x-ndjson",
                                                               "Authorization": f"Bearer {token}"})
    urllib.request.urlopen(body, timeout=LIMIT).read()
    said = room.run("status", "--server", url, "--json", env={"PENSTOCK_KEY": token}).is_(0).last
    expect((said["end"], said["records"], said["ready"]) == (2, 2, True), f"{said}")
    expect([cursor["name"] for cursor in said["cursors"]] == ["dir"], f"{said}")
    room.file("token", token.encode() + b"\n")
    words = room.run("status", "--server", url + "/", "--key-file", "token").is_(0).out
    expect("2 (offsets 0 ..< 2)" in words and "cursor" in words and "dir" in words, f"{words}")
    room.run("status", "--server", url).is_(3, "needs a key", "PENSTOCK_KEY")
    room.run("status", "--server", url, env={"PENSTOCK_KEY": "psk_no"}).is_(3, "rejected this key")
    room.run("status", "--server", url, env={"PENSTOCK_KEY": feeder}).is_(3, "no permission for the status")
    process.terminate()
    process.wait(LIMIT)
    room.run("status", "--server", url).is_(3, "cannot reach", "connection refused")
    room.run("status", "--server", "events").is_(2, "expected an address")
    room.run("status").is_(2, "name one of --log DIR and --server URL")
    room.run("status", "--log", "L", "--server", url).is_(2)


def mixed(count):
    return b"".join(event(number, event="Goal" if number % 3 == 0 else "Home Page") + b"\n" for number in range(count))


@case
def tail_where_shows_what_the_filter_lets_pass(room):
    room.run("append", "--log", "L", "-", stdin=mixed(9)).is_(0)
    room.run("append", "--log", "L", "--no-validate", "-", stdin=b"junk\n").is_(0)
    wanted = [line for line in mixed(9).splitlines() if b"Goal" in line]
    expect(room.run("tail", "--log", "L", "--where", "event=Goal").is_(0).out.encode().splitlines() == wanted, "filter")
    said = room.run("tail", "--log", "L", "--where", "!event=Goal", "--json").is_(0).lines
    expect([one["offset"] for one in said] == [1, 2, 4, 5, 7, 8], f"{said}")
    ran = room.run("tail", "--log", "L", "--where", "event=Goal malformed=pass").is_(0)
    expect(ran.out.encode().splitlines() == wanted + [b"junk"], "malformed=pass")
    ran = room.run("tail", "--log", "L", "--where", "event=Goal malformed=halt").is_(1, "record 9 is not a JSON object")
    expect(ran.out.encode().splitlines() == wanted, "what stands before it")
    room.run("tail", "--log", "L", "--where", "evnt=Goal").is_(2, "evnt=Goal", "expected app, type, event")


@case
def export_writes_a_range_to_a_file_that_was_not_there(room):
    room.run("append", "--log", "L", "-", stdin=mixed(300)).is_(0)
    lines = mixed(300).splitlines(True)
    out = room.run("export", "--log", "L", "--output", "a", "--from", "10", "--to", "20", "--json").is_(0).last
    expect(room.read("a") == b"".join(lines[10:20]) and out["exported"] == 10, f"{out}")
    room.run("export", "--log", "L", "--output", "a").is_(3, "already exists", "--overwrite")
    expect(room.read("a") == b"".join(lines[10:20]), "it was touched")
    room.run("export", "--log", "L", "--output", "a", "--overwrite").is_(0)
    expect(room.read("a") == mixed(300), "not replaced")
    ran = room.run("export", "--log", "L", "--where", "event=Goal", "--to", "30").is_(0, "10 records exported", "20 left out")
    expect(ran.out.encode() == b"".join(lines[0:30:3]), "on standard output")
    room.run("export", "--log", "L", "-o", "a.gz", "--to", "5").is_(0)
    expect(gzip.decompress(room.read("a.gz")) == b"".join(lines[:5]), "gzip")
    room.run("export", "--log", "L", "-o", "a.zst", "--to", "5").is_(0)
    expect(room.read("a.zst")[:4] == b"\x28\xb5\x2f\xfd", "zstd")
    room.run("export", "--log", "L", "-o", "b", "--format", "array", "--from", "297").is_(0)
    expect(json.loads(room.read("b")) == [json.loads(line) for line in lines[297:]], "array")
    room.run("export", "--log", "L", "-o", "none/x").is_(3, "create the directory first")
    room.run("export", "--log", "L", "-o", "/dev/null", "--overwrite").is_(2, "not a regular file")
    room.run("export", "--log", "L", "-o", "c", "--from", "300").is_(0)
    expect(room.read("c") == b"", "an empty range")
    expect(not [name for name in os.listdir(room.path) if ".part" in name], "a part was left")


@case
def export_holds_what_a_killed_writer_acknowledged(room):
    process = room.start("append", "--log", "L", "--json", "-", stdin=subprocess.PIPE)
    process.stdin.write(rows(10))
    process.stdin.flush()
    while b"acknowledged" not in process.stdout.readline():
        pass
    process.kill()
    process.wait(LIMIT)
    expect(room.run("export", "--log", "L").is_(0).out.encode() == rows(10), "acknowledged records are missing")


@case
def export_takes_exactly_the_events_of_a_window_of_event_times(room):
    # One event of the far future, one long past, and none with a time: they end the window nowhere.
    late = event(0, ts=1630476856 + 10_000_000)
    early = event(0, ts=1)
    lines = [event(number) for number in range(200)]
    content = lines[:50] + [late] + lines[50:120] + [early, b'{"event":"Goal"}'] + lines[120:]
    room.run("append", "--log", "L", "--batch", "10", "-", stdin=b"\n".join(content) + b"\n").is_(0)
    ran = room.run("export", "--log", "L", "--from", "event:@1630476876", "--to", "event:@1630477026", "--json").is_(0)
    expect(ran.out.encode().splitlines() == lines[20:170], f"{len(ran.out.splitlines())} records")
    expect(json.loads(ran.err)["withoutTime"] == 1, ran.err)


@case
def export_of_a_damaged_log_leaves_no_file_unless_gaps_are_skipped(room):
    room.run("append", "--log", "L", "--batch", "100", "-", stdin=rows(300)).is_(0)
    block = room.run("inspect", "--log", "L", "--segment", "1", "--json").is_(0).last["blocks"][1]
    name = os.path.join("L/data", [one for one in os.listdir(os.path.join(room.path, "L/data")) if one.endswith(".seg")][0])
    content = bytearray(room.read(name))
    content[block["position"] + block["length"] - 20] ^= 1
    room.file(name, content)
    room.run("export", "--log", "L", "-o", "a").is_(1, "are lost", "--skip-gaps")
    expect(not os.path.exists(os.path.join(room.path, "a")), "half a file was left")
    said = room.run("export", "--log", "L", "-o", "a", "--skip-gaps", "--json").is_(0, "are lost").last
    expect((said["exported"], said["lost"]) == (300 - block["records"], block["records"]), f"{said}")


@case
def errors_of_the_system_are_told_in_words(room):
    name = "n" * 300
    ran = room.run("append", "--log", name, "-", stdin=rows(1)).is_(3, "file name too long")
    expect(not re.search(r"error \d+", ran.err), ran.err)
