import PenstockLog

extension FileSystemConformance {
  static let rangeLocks: [FileSystemCheck] = [
    FileSystemCheck("positions of a file are locked one by one, also where the file has no bytes") { bench in
      try bench.with("a", .create) { first in
        try bench.with("a", .readWrite) { second in
          let last = UInt64(Int64.max)
          for position in [0, 5, 1 << 40, last - 1] {
            try bench.expect(bench.disk.lock(first, position..<position + 1), true, "the lock at \(position)")
            try bench.expect(bench.disk.lock(first, position..<position + 1), true, "the same lock again")
            try bench.expect(bench.disk.lock(second, position..<position + 1), false, "the lock of another handle")
          }
          try bench.expect(bench.disk.lock(second, 6..<7), true, "the position after a locked one")
          try bench.expect(bench.disk.lock(first, 4..<9), false, "a range in which another handle has a position")
          try bench.expect(bench.disk.lock(second, 1 << 50..<last), false, "a range that ends in a locked one")
          try bench.expect(bench.disk.size(first), 0, "the size")
        }
      }
    },
    FileSystemCheck("unlocking ends the handle's own locks on these positions, and no others") { bench in
      try bench.with("a", .create) { first in
        try bench.with("a", .readWrite) { second in
          try bench.expect(bench.disk.lock(first, 10..<20), true, "the lock")
          try bench.disk.unlock(second, 0..<100)
          try bench.expect(bench.disk.lock(second, 10..<11), false, "a lock that another handle unlocked")
          try bench.expect(bench.disk.lock(first, 12..<13), true, "a part once more")
          try bench.disk.unlock(first, 14..<16)
          try bench.expect(bench.disk.lock(second, 13..<14), false, "what was before the unlocked part")
          try bench.expect(bench.disk.lock(second, 16..<17), false, "what was after it")
          try bench.expect(bench.disk.lock(second, 14..<16), true, "the unlocked part")
          try bench.disk.unlock(first, 0..<100)
          try bench.expect(bench.disk.lock(second, 12..<13), true, "what was locked twice and unlocked once")
          try bench.expect(bench.disk.lock(first, 15..<16), false, "the other handle's part")
        }
      }
    },
    FileSystemCheck("locked positions end with their handle, and with no other handle of the file") { bench in
      let holder = try bench.open("a", .create)
      try bench.expect(bench.disk.lock(holder, 3..<4), true, "the lock")
      try bench.with("a", .readWrite) { _ in }
      try bench.with("a", .readWrite) { other in
        try bench.expect(bench.disk.lock(other, 3..<4), false, "the lock after another handle was closed")
        bench.disk.close(holder)
        try bench.expect(bench.disk.lock(other, 3..<4), true, "the lock after its handle was closed")
      }
    },
    FileSystemCheck("the lock on the whole file is one on all its positions") { bench in
      try bench.with("a", .create) { first in
        try bench.with("a", .readWrite) { second in
          try bench.expect(bench.disk.lock(first, 7..<8), true, "a position")
          try bench.expect(bench.disk.lock(second), false, "the whole file then")
          try bench.expect(bench.disk.lock(first), true, "the whole file, by the same handle")
          try bench.expect(bench.disk.lock(second, 1 << 60..<1 << 61), false, "another position then")
        }
      }
    },
    FileSystemCheck("a lock needs positions, and a file opened for writing") { bench in
      try bench.create("a")
      try bench.with("a", .readWrite) { file in
        try bench.refuse("an empty range") { _ = try bench.disk.lock(file, 5..<5) }
        try bench.refuse("a range past the last position") { _ = try bench.disk.lock(file, 0..<UInt64.max) }
        try bench.refuse("unlocking an empty range") { try bench.disk.unlock(file, 5..<5) }
      }
      try bench.with("a", .readOnly) { file in
        try bench.refuse("a read-only handle", .notSupported) { _ = try bench.disk.lock(file, 0..<1) }
      }
    },
  ]
}
