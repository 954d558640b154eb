import PenstockLog

extension FileSystemConformance {
  static let opening: [FileSystemCheck] = [
    FileSystemCheck("create makes an empty file that can be read and written") { bench in
      try bench.with("a", .create) { file in
        try bench.expect(bench.disk.size(file), 0, "the size of a new file")
        try bench.write(file, [1, 2, 3], at: 0)
        try bench.expect(bench.read(file, 10, at: 0), [1, 2, 3], "its bytes")
      }
      try bench.expect(bench.contents("a"), [1, 2, 3], "the bytes under its name")
    },
    FileSystemCheck("create takes nothing that exists") { bench in
      try bench.create("a", [1])
      try bench.disk.makeDirectory(bench.path("d"))
      try bench.refuse("create of a file", .exists) { _ = try bench.open("a", .create) }
      try bench.refuse("create of a directory", .exists) { _ = try bench.open("d", .create) }
      try bench.expect(bench.contents("a"), [1], "the file's bytes")
    },
    FileSystemCheck("open finds only what exists") { bench in
      try bench.create("a")
      for mode in [OpenMode.readOnly, .readWrite] {
        try bench.refuse("open \(mode) of nothing", .notFound) { _ = try bench.open("b", mode) }
        try bench.refuse("open \(mode) in no directory", .notFound) { _ = try bench.open("d/b", mode) }
        try bench.refuse("open \(mode) below a file", .notADirectory) { _ = try bench.open("a/b", mode) }
      }
      try bench.refuse("create in no directory", .notFound) { _ = try bench.open("d/b", .create) }
      try bench.refuse("create below a file", .notADirectory) { _ = try bench.open("a/b", .create) }
    },
    FileSystemCheck("a directory is not a file") { bench in
      try bench.disk.makeDirectory(bench.path("d"))
      try bench.refuse("open readOnly", .isADirectory) { _ = try bench.open("d", .readOnly) }
      try bench.refuse("open readWrite", .isADirectory) { _ = try bench.open("d", .readWrite) }
      try bench.refuse("remove") { try bench.disk.remove(bench.path("d")) }
      try bench.expect(bench.disk.list(bench.directory), ["d"], "the names")
    },
    FileSystemCheck("a read-only handle changes nothing") { bench in
      try bench.create("a", [1, 2])
      try bench.with("a", .readOnly) { file in
        try bench.refuse("write") { try bench.write(file, [9], at: 0) }
        try bench.refuse("truncate") { try bench.disk.truncate(file, to: 0) }
        try bench.disk.synchronize(file)
      }
      try bench.expect(bench.contents("a"), [1, 2], "the bytes")
    },
    FileSystemCheck("an error names its verb and its path") { bench in
      do throws(FileSystemError) {
        _ = try bench.disk.open(bench.path("nothing"), .readOnly)
      } catch {
        try bench.expect(error.verb, .open, "the verb")
        return try bench.expect(error.path, bench.path("nothing"), "the path")
      }
      throw FileSystemViolation(description: "a file that does not exist was opened")
    },
  ]

  static let bytes: [FileSystemCheck] = [
    FileSystemCheck("a read ends with the file") { bench in
      try bench.create("a", [1, 2, 3, 4, 5])
      try bench.with("a", .readOnly) { file in
        try bench.expect(bench.read(file, 3, at: 1), [2, 3, 4], "within")
        try bench.expect(bench.read(file, 10, at: 3), [4, 5], "over the end")
        try bench.expect(bench.read(file, 10, at: 5), [], "at the end")
        try bench.expect(bench.read(file, 10, at: 1 << 40), [], "far after the end")
        try bench.expect(bench.read(file, 0, at: 0), [], "nothing")
      }
    },
    FileSystemCheck("a write changes its bytes and no others") { bench in
      let before = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      try bench.create("a", before)
      try bench.with("a", .readWrite) { try bench.write($0, [UInt8](repeating: 255, count: 1500), at: 700) }
      let after = before[..<700] + [UInt8](repeating: 255, count: 1500) + before[2200...]
      try bench.expect(bench.contents("a") == Array(after), true, "only the written bytes differ")
    },
    FileSystemCheck("dropping the cache loses nothing that is synced, and nothing that is not") { bench in
      let bytes = (0..<9000).map { UInt8(truncatingIfNeeded: $0 &* 11) }
      try bench.create("a", bytes)
      try bench.with("a", .readWrite) { file in
        try bench.disk.synchronize(file)
        _ = try bench.disk.dropCache(file)
        try bench.expect(bench.contents("a") == bytes, true, "what was synced")
        try bench.write(file, [7, 7, 7], at: 4095)
        _ = try bench.disk.dropCache(file)
        try bench.expect(bench.read(file, 5, at: 4094), [bytes[4094], 7, 7, 7, bytes[4098]], "what was not")
      }
    },
    FileSystemCheck("a filled file is zeros, as many as asked for, and takes writes") { bench in
      for (number, length) in [0, 1, 4095, 4096, (1 << 20) + 4096, (1 << 20) + 5000].enumerated() {
        let name = "filled-\(number)"
        try bench.with(name, .create) { file in
          try bench.disk.fill(file, zeros: UInt64(length))
          try bench.expect(bench.disk.size(file), UInt64(length), "the size")
          try bench.disk.synchronize(file)
          if length > 4096 { try bench.write(file, [1, 2, 3], at: 4094) }
        }
        var expected = [UInt8](repeating: 0, count: length)
        if length > 4096 { expected.replaceSubrange(4094..<4097, with: [1, 2, 3]) }
        try bench.expect(bench.contents(name) == expected, true, "the bytes of \(length)")
      }
    },
    FileSystemCheck("a gap reads as zeros") { bench in
      try bench.with("a", .create) { file in
        try bench.write(file, [7], at: 1000)
        try bench.expect(bench.disk.size(file), 1001, "the size")
        try bench.expect(bench.read(file, 2000, at: 0), [UInt8](repeating: 0, count: 1000) + [7], "the bytes")
      }
    },
    FileSystemCheck("an empty write does nothing") { bench in
      try bench.with("a", .create) { file in
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        try bench.expect(bench.disk.write(file, none, at: 5000), 0, "the count")
        try bench.expect(bench.disk.size(file), 0, "the size")
      }
    },
    FileSystemCheck("what is cut off comes back as zeros") { bench in
      try bench.with("a", .create) { file in
        try bench.write(file, [UInt8](repeating: 9, count: 3000), at: 0)
        try bench.disk.truncate(file, to: 700)
        try bench.expect(bench.disk.size(file), 700, "the size after the cut")
        try bench.disk.truncate(file, to: 3000)
        try bench.expect(bench.disk.size(file), 3000, "the size after growing")
        let expected = [UInt8](repeating: 9, count: 700) + [UInt8](repeating: 0, count: 2300)
        try bench.expect(bench.read(file, 4000, at: 0) == expected, true, "9s, then zeros")
      }
    },
    FileSystemCheck("an impossible position is an error, not a trap") { bench in
      try bench.with("a", .create) { file in
        try bench.refuse("read") { _ = try bench.read(file, 1, at: .max) }
        try bench.refuse("write") { try bench.write(file, [1], at: .max) }
        try bench.refuse("truncate") { try bench.disk.truncate(file, to: .max) }
        try bench.expect(bench.disk.size(file), 0, "the size")
      }
    },
    FileSystemCheck("handles of one file see one content") { bench in
      try bench.with("a", .create) { first in
        try bench.with("a", .readWrite) { second in
          try bench.write(first, [1, 2, 3], at: 0)
          try bench.write(second, [9], at: 1)
          try bench.expect(bench.read(first, 9, at: 0), [1, 9, 3], "the bytes")
        }
      }
    },
  ]
}
