import Logging

/// The kind of file system of a directory, as far as it matters to a log.
public enum VolumeKind: Hashable, Sendable {
  /// Overwrites bytes in place, so that a commit into a prepared segment needs no space: ext2, ext3, ext4, XFS, tmpfs.
  /// The log's guarantees hold here.
  case promised(String)
  /// Writes changed bytes to a new place: btrfs, ZFS, bcachefs, F2FS, NILFS. Here a commit can meet a full disk.
  case copyOnWrite(String)
  /// Any other: the log's guarantees were not tested here.
  case untried(String)

  /// From the number by which Linux identifies a kind of file system.
  init(magic: UInt32) {
    self =
      switch magic {
      case 0xEF53: .promised("ext4")
      case 0x5846_5342: .promised("xfs")
      case 0x0102_1994: .promised("tmpfs")
      case 0x9123_683E: .copyOnWrite("btrfs")
      case 0x2FC1_2FC1: .copyOnWrite("zfs")
      case 0xCA45_1A4E: .copyOnWrite("bcachefs")
      case 0xF2F5_2010: .copyOnWrite("f2fs")
      case 0x3434: .copyOnWrite("nilfs")
      case 0x794C_7630: .untried("overlay")
      case 0x6969: .untried("nfs")
      case 0x6573_5546: .untried("fuse")
      case 0xFF53_4D42, 0xFE53_4D42: .untried("smb")
      default: .untried("0x" + String(magic, radix: 16))
      }
  }

  /// Logs the warning; called once per opening.
  func warn(_ logger: Logger) {
    guard let warning else { return }
    if case .copyOnWrite = self { logger.warning("\(warning)") } else { logger.info("\(warning)") }
  }

  /// What an operator should know, in a sentence; nil where every guarantee holds.
  var warning: String? {
    switch self {
    case .promised: nil
    case .copyOnWrite(let name):
      "\(name) writes changed bytes to a new place, so a commit can fail on a full disk and stop the log until it is "
        + "opened again; use ext4, XFS or tmpfs, or keep the disk from filling up"
    case .untried(let name): "the log's guarantees were tested on ext4, XFS and tmpfs, not on \(name)"
    }
  }
}
