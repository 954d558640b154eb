"""Compiles the Swift in the documentation: every ```swift block of the articles, the README and the guides.

The blocks of one file make one function, in order, so that a later one may use what an earlier one made; a block that
begins with a declaration of a type, a function or a test stands outside it. What a text takes for granted is said in a
comment that readers do not see:

    <!-- stand-ins
    import PenstockLog
    given log: Log, batch: RecordBatch
    func charge(_ batch: Batch) async throws {}
    -->

With a line `in Tests/….swift` the blocks are not compiled, but must stand in that test, word for word, which runs them.
Uses the modules of `swift build --build-tests`.
"""
import re
import subprocess

import pytest
from room import ROOT

MODULES = ROOT / ".build/debug/Modules"
BLOCK = re.compile(r"^```swift\n(.*?)^```$", re.M | re.S)
DECLARATION = re.compile(r"(@\w+(\(.*\))? )?(public |private |final |nonisolated )*"
                         r"(struct|class|actor|enum|extension|func|protocol)\b")
FLAGS = ["-swift-version", "6", "-parse-as-library", "-Onone", "-module-name", "Snippets"]
TEXTS = [str(path.relative_to(ROOT)) for pattern in ("README.md", "docs/guides/*.md", "Sources/*/*.docc/*.md")
         for path in sorted(ROOT.glob(pattern)) if BLOCK.search(path.read_text())]


def program(path, blocks, hidden):
    """One Swift file; errors name the text's own lines."""
    imports = [line for line in hidden if line.startswith("import ")]
    given = [line[6:] for line in hidden if line.startswith("given ")]
    outside, inside = [line for line in hidden if not line.startswith(("import ", "given "))], []
    for number, code in blocks:
        imports += re.findall(r"^import .*$", code, re.M)
        lines = re.sub(r"^import .*$", "", code, flags=re.M).splitlines()
        said = [line for line in lines if line.strip() and not line.lstrip().startswith(("//", "@Test"))]
        place = outside if said and DECLARATION.match(said[0]) else inside
        place += [f'#sourceLocation(file: "{path}", line: {number})', *lines, "#sourceLocation()"]
    return "\n".join(sorted(set(imports)) + outside + [
        f"func snippet({', '.join(given)}) async throws {{", *inside, "}", ""])


@pytest.fixture(scope="session")
def search_paths():
    """Of the modules and of the C they are made of."""
    assert MODULES.is_dir(), "there are no modules; run swift build --build-tests first"
    maps = [path for pattern in ("Sources/C*/**", ".build/checkouts/*/Sources/*/include", ".build/debug/*.build")
            for path in ROOT.glob(f"{pattern}/module.modulemap")]
    found = ["-I", MODULES]
    for path in maps:
        found += ["-Xcc", f"-fmodule-map-file={path}"]
    for include in {path.parent for path in maps if path.parent.name == "include"}:
        found += ["-Xcc", "-I", "-Xcc", include]
    return found


def test_there_are_texts_with_blocks():
    assert "README.md" in TEXTS


def flat(text):
    return "\n".join(line.strip() for line in text.splitlines())


@pytest.mark.parametrize("path", TEXTS)
def test_the_swift_in_a_text_compiles_or_stands_in_a_test(path, tmp_path, search_paths):
    content = (ROOT / path).read_text()
    comment = re.search(r"^<!-- stand-ins\n(.*?)^-->$", content, re.M | re.S)
    hidden = comment[1].splitlines() if comment else []
    blocks = [(content[:found.start()].count("\n") + 2, found[1]) for found in BLOCK.finditer(content)]
    tests = [line[3:].strip() for line in hidden if line.startswith("in ")]
    if tests:
        have = flat((ROOT / tests[-1]).read_text())
        assert [number for number, code in blocks if flat(code).strip() not in have] == [], f"not in {tests[-1]}"
        return
    (tmp_path / "Snippets.swift").write_text(program(path, blocks, hidden))
    done = subprocess.run(["swiftc", "-c", *FLAGS, *search_paths, tmp_path / "Snippets.swift", "-o",
                           tmp_path / "Snippets.o"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
