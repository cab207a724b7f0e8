#include "db/database_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>
#include <string_view>

#include "db/schema.h"
#include "formats/base/byte_cursor.h"
#include "formats/base/text.h"

namespace residue {
namespace {

// The database header, https://www.sqlite.org/fileformat.html#the_database_header
constexpr std::string_view kMagic("SQLite format 3\0", 16);
constexpr size_t kHeaderBytes = 100;
constexpr size_t kReadVersionAt = 19;  // 2: write-ahead log
constexpr size_t kUserVersionAt = 60;
constexpr size_t kApplicationIdAt = 68;

struct Header {
  std::array<std::byte, kHeaderBytes> bytes{};
  size_t size = 0;

  bool valid() const {
    return size == kHeaderBytes && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
  }
  int64_t integer(size_t at) const {
    return static_cast<int32_t>(
        load<uint32_t>(std::span(bytes).subspan(at, sizeof(uint32_t)), ByteOrder::kBig));
  }
};

Result<Header> read_header(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Error{ErrorCode::kIo, std::string("cannot be opened: ") + strerror(errno), {}};
  Header header;
  ssize_t got = 1;
  while (got > 0 && header.size < kHeaderBytes) {
    got = ::read(fd, header.bytes.data() + header.size, kHeaderBytes - header.size);
    if (got < 0 && errno == EINTR) {
      got = 1;
      continue;
    }
    if (got > 0) header.size += static_cast<size_t>(got);
  }
  const int failure = errno;
  ::close(fd);
  if (got < 0)
    return Error{ErrorCode::kIo, std::string("cannot be read: ") + strerror(failure), {}};
  return header;
}

}  // namespace

Result<FileIdentity> identify_file(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return FileIdentity{FileKind::kMissing, false};
    return Error{ErrorCode::kIo, std::string("cannot be opened: ") + strerror(errno), {}};
  }
  if (S_ISDIR(status.st_mode)) return Error{ErrorCode::kIo, "is a directory", {}};
  if (!S_ISREG(status.st_mode)) return Error{ErrorCode::kIo, "is not a regular file", {}};
  RESIDUE_ASSIGN(const Header header, read_header(path));
  if (header.size == 0) return FileIdentity{FileKind::kEmpty, false};
  if (!header.valid()) {
    if (companion_size(path, "-journal") > 0) return FileIdentity{FileKind::kUnfinished, false};
    return Error{ErrorCode::kUnsupported, "not a SQLite database", {}};
  }
  if (header.integer(kApplicationIdAt) != kApplicationId) {
    return Error{ErrorCode::kUnsupported,
                 "a SQLite database, but not one of residue's; it is left alone",
                 {}};
  }
  RESIDUE_TRY(check_schema_version(header.integer(kUserVersionAt)));
  return FileIdentity{FileKind::kDatabase, header.bytes[kReadVersionAt] == std::byte{2}};
}

bool is_sqlite_file(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  const Result<Header> header = read_header(path);
  return header && header->valid();
}

Result<void> check_schema_version(int64_t version) {
  if (version > kSchemaVersion) {
    return Error{ErrorCode::kUnsupported,
                 "written by a newer residue (schema version " + std::to_string(version) +
                     ", this one knows up to " + std::to_string(kSchemaVersion) + ")",
                 {}};
  }
  if (version < 1) {
    return Error{ErrorCode::kCorrupt,
                 "damaged: schema version " + std::to_string(version) + " never existed",
                 {}};
  }
  return {};
}

std::string sqlite_name(const std::string& path) {
  return path.empty() || path[0] == '/' ? path : "./" + path;
}

std::string immutable_uri(const std::string& path) {
  std::error_code ignored;
  const std::string absolute = std::filesystem::absolute(path, ignored).string();
  std::string uri = "file:";
  for (const char c : absolute) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '/' || c == '.' || c == '-' || c == '_';
    if (plain) {
      uri += c;
    } else {
      const auto byte = static_cast<std::byte>(c);
      uri += '%' + hex_bytes(std::span(&byte, 1));
    }
  }
  return uri + "?immutable=1";
}

uint64_t companion_size(const std::string& path, const char* suffix) {
  struct stat status {};
  if (::stat((path + suffix).c_str(), &status) != 0) return 0;
  return static_cast<uint64_t>(status.st_size);
}

}  // namespace residue
