import PenstockLog

extension FileSystemConformance {
  static let names: [FileSystemCheck] = [
    FileSystemCheck("rename moves a file and its handles") { bench in
      try bench.with("a", .create) { file in
        try bench.write(file, [1], at: 0)
        try bench.disk.rename(bench.path("a"), to: bench.path("b"))
        try bench.write(file, [2], at: 1)
      }
      try bench.expect(bench.disk.list(bench.directory), ["b"], "the names")
      try bench.expect(bench.contents("b"), [1, 2], "the bytes")
    },
    FileSystemCheck("rename replaces nothing") { bench in
      try bench.create("a", [1])
      try bench.create("b", [2])
      try bench.disk.makeDirectory(bench.path("d"))
      for target in ["b", "d", "a"] {
        try bench.refuse("rename to \(target)", .exists) {
          try bench.disk.rename(bench.path("a"), to: bench.path(target))
        }
      }
      try bench.expect(bench.contents("a"), [1], "the source")
      try bench.expect(bench.contents("b"), [2], "the target")
    },
    FileSystemCheck("rename needs a source") { bench in
      try bench.create("b")
      try bench.refuse("rename to a free name", .notFound) {
        try bench.disk.rename(bench.path("a"), to: bench.path("c"))
      }
      try bench.refuse("rename to a taken name", .notFound) {
        try bench.disk.rename(bench.path("a"), to: bench.path("b"))
      }
      try bench.expect(bench.disk.list(bench.directory), ["b"], "the names")
    },
    FileSystemCheck("replace puts one file in another's place, and the other lives on for its handles") { bench in
      try bench.create("a", [1, 1])
      try bench.create("b", [2])
      try bench.with("a", .readWrite) { old in
        try bench.with("b", .readWrite) { new in
          try bench.disk.replace(bench.path("a"), with: bench.path("b"))
          try bench.write(old, [3], at: 0)
          try bench.write(new, [4], at: 1)
        }
        try bench.expect(bench.read(old, 9, at: 0), [3, 1], "the old file")
      }
      try bench.expect(bench.disk.list(bench.directory), ["a"], "the names")
      try bench.expect(bench.contents("a"), [2, 4], "the new file")
    },
    FileSystemCheck("replace needs both files") { bench in
      try bench.create("a", [1])
      try bench.disk.makeDirectory(bench.path("d"))
      try bench.refuse("with nothing", .notFound) { try bench.disk.replace(bench.path("a"), with: bench.path("b")) }
      try bench.refuse("of nothing", .notFound) { try bench.disk.replace(bench.path("b"), with: bench.path("a")) }
      try bench.refuse("of a directory", .isADirectory) {
        try bench.disk.replace(bench.path("d"), with: bench.path("a"))
      }
      try bench.refuse("with a directory", .isADirectory) {
        try bench.disk.replace(bench.path("a"), with: bench.path("d"))
      }
      try bench.disk.replace(bench.path("a"), with: bench.path("a"))
      try bench.expect(bench.contents("a"), [1], "the bytes")
      try bench.expect(bench.disk.list(bench.directory).sorted(), ["a", "d"], "the names")
    },
    FileSystemCheck("a removed file lives on for its handles only") { bench in
      try bench.with("a", .create) { file in
        try bench.write(file, [1], at: 0)
        try bench.disk.remove(bench.path("a"))
        try bench.refuse("open", .notFound) { _ = try bench.open("a", .readOnly) }
        try bench.create("a", [5, 5])
        try bench.write(file, [2], at: 1)
        try bench.disk.synchronize(file)
        try bench.disk.synchronizeDirectory(bench.directory)
        try bench.expect(bench.read(file, 9, at: 0), [1, 2], "the old file")
      }
      try bench.expect(bench.contents("a"), [5, 5], "the new file")
      try bench.refuse("remove of nothing", .notFound) { try bench.disk.remove(bench.path("b")) }
    },
    FileSystemCheck("list gives every name once") { bench in
      try bench.expect(bench.disk.list(bench.directory), [], "an empty directory")
      let names = (0..<40).map { "file-\($0).seg" } + ["été", ".hidden"]
      for name in names { try bench.create(name) }
      try bench.disk.makeDirectory(bench.path("d"))
      try bench.create("d/inner")
      try bench.expect(bench.disk.list(bench.directory).sorted(), (names + ["d"]).sorted(), "the names")
      try bench.expect(bench.disk.list(bench.path("d")), ["inner"], "the names of the inner directory")
      try bench.refuse("list of nothing", .notFound) { _ = try bench.disk.list(bench.path("e")) }
      try bench.refuse("list of a file", .notADirectory) { _ = try bench.disk.list(bench.path(".hidden")) }
    },
    FileSystemCheck("makeDirectory replaces nothing and needs a parent") { bench in
      try bench.create("a")
      try bench.disk.makeDirectory(bench.path("d"))
      try bench.refuse("over a directory", .exists) { try bench.disk.makeDirectory(bench.path("d")) }
      try bench.refuse("over a file", .exists) { try bench.disk.makeDirectory(bench.path("a")) }
      try bench.refuse("without a parent", .notFound) { try bench.disk.makeDirectory(bench.path("e/f")) }
      try bench.disk.makeDirectory(bench.path("d/f"))
      try bench.expect(bench.disk.list(bench.path("d")), ["f"], "the names")
    },
    FileSystemCheck("synchronizeDirectory wants a directory") { bench in
      try bench.create("a")
      try bench.disk.synchronizeDirectory(bench.directory)
      try bench.refuse("of nothing", .notFound) { try bench.disk.synchronizeDirectory(bench.path("d")) }
      try bench.refuse("of a file", .notADirectory) { try bench.disk.synchronizeDirectory(bench.path("a")) }
    },
  ]

  static let identity: [FileSystemCheck] = [
    FileSystemCheck("a name is asked whether it still leads to a file") { bench in
      try bench.disk.makeDirectory(bench.path("d"))
      let path = bench.path("d/a")
      try bench.with("d/a", .create) { file in
        try bench.expect(bench.disk.path(path, names: file), true, "the new file")
        try bench.expect(bench.disk.path(bench.path("d/b"), names: file), false, "a name of nothing")
        try bench.expect(bench.disk.path(bench.path("d"), names: file), false, "a directory")
        try bench.expect(bench.disk.path(bench.path("e/a"), names: file), false, "a name in no directory")
        try bench.expect(bench.disk.path(bench.path("d/a/b"), names: file), false, "a name in a file")
        try bench.disk.rename(path, to: bench.path("d/b"))
        try bench.expect(bench.disk.path(path, names: file), false, "the name before a rename")
        try bench.expect(bench.disk.path(bench.path("d/b"), names: file), true, "the name after a rename")
        try bench.create("d/a")
        try bench.expect(bench.disk.path(path, names: file), false, "another file of the name before")
        try bench.disk.replace(bench.path("d/b"), with: path)
        try bench.expect(bench.disk.path(bench.path("d/b"), names: file), false, "the name after a replacement")
        try bench.with("d/b", .readOnly) {
          try bench.expect(bench.disk.path(bench.path("d/b"), names: $0), true, "a handle for reading")
        }
        try bench.disk.remove(bench.path("d/b"))
        try bench.expect(bench.disk.path(bench.path("d/b"), names: file), false, "a removed name")
      }
    }
  ]

  static let locks: [FileSystemCheck] = [
    FileSystemCheck("one handle holds the lock until it is closed") { bench in
      let first = try bench.open("a", .create)
      let second = try bench.open("a", .readWrite)
      try bench.expect(bench.disk.lock(first), true, "the first lock")
      try bench.expect(bench.disk.lock(first), true, "the same lock again")
      try bench.expect(bench.disk.lock(second), false, "the lock through another handle")
      bench.disk.close(first)
      try bench.expect(bench.disk.lock(second), true, "the lock after the first was closed")
      bench.disk.close(second)
      try bench.with("a", .readWrite) { try bench.expect(bench.disk.lock($0), true, "the lock after both") }
    },
    // A classic POSIX record lock breaks this one: it goes when any handle of the file is closed.
    FileSystemCheck("closing another handle does not drop a lock") { bench in
      try bench.with("a", .create) { holder in
        try bench.expect(bench.disk.lock(holder), true, "the lock")
        try bench.with("a", .readWrite) { _ in }
        try bench.with("a", .readOnly) { _ in }
        try bench.with("a", .readWrite) { try bench.expect(bench.disk.lock($0), false, "the lock of another") }
      }
    },
    FileSystemCheck("a lock belongs to the file, not to its name") { bench in
      try bench.with("a", .create) { holder in
        try bench.expect(bench.disk.lock(holder), true, "the lock")
        try bench.disk.rename(bench.path("a"), to: bench.path("b"))
        try bench.with("b", .readWrite) { try bench.expect(bench.disk.lock($0), false, "under the new name") }
        try bench.with("a", .create) { try bench.expect(bench.disk.lock($0), true, "a new file of the old name") }
      }
    },
    FileSystemCheck("a locked file can be read and written through other handles") { bench in
      try bench.with("a", .create) { holder in
        try bench.expect(bench.disk.lock(holder), true, "the lock")
        try bench.with("a", .readWrite) { try bench.write($0, [4], at: 0) }
        try bench.expect(bench.contents("a"), [4], "the bytes")
      }
    },
  ]
}
