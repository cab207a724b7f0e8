#include "formats/foreign_file.h"

#include <algorithm>
#include <string_view>

namespace residue {
namespace {

struct Magic {
  size_t offset;
  std::string_view bytes;
  const char* what;
};

using namespace std::string_view_literals;

// By file(1)'s database (5.44), FreeBSD's sys/*/minidump.h, the kernel's and makedumpfile's
// documentation of their dumps, and Microsoft's headers.
constexpr Magic kMagics[] = {
    {0, "minidump FreeBSD"sv, "is a FreeBSD kernel minidump, not a dump of a process"},
    {0, "KDUMP   "sv, "is a kdump-compressed dump of a Linux kernel, not of a process"},
    {0, "makedumpfile\0"sv, "is a flattened dump of a Linux kernel, not of a process"},
    {0, "PAGEDU64"sv, "is a dump of a Windows kernel, not of a process"},
    {0, "PAGEDUMP"sv, "is a dump of a Windows kernel, not of a process"},
    {0, "PK\x03\x04"sv, "is a zip archive: unpack it first"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "is a 7z archive: unpack it first"},
    {0, "!<arch>\n"sv, "is an ar archive (a static library or a Debian package), not a dump"},
    {0, "LZIP"sv, "is lzip-compressed: unpack it first"},
    {0, "\x89LZO\0\r\n\x1a\n"sv, "is lzop-compressed: unpack it first"},
    {0, "\x1f\x9d"sv, "is compressed with compress(1): unpack it first"},
    {0, "SQLite format 3\0"sv, "is an SQLite database, not a dump"},
    {257, "ustar"sv, "is a tar archive: unpack it first"},
};

bool fits(const Magic& magic, std::span<const std::byte> bytes) {
  if (bytes.size() < magic.offset + magic.bytes.size()) return false;
  return std::equal(magic.bytes.begin(), magic.bytes.end(),
                    bytes.begin() + static_cast<ptrdiff_t>(magic.offset),
                    [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
}

bool is_text(std::byte b) {
  const auto c = std::to_integer<unsigned>(b);
  return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t' || c == '\r';
}

}  // namespace

std::string describe_foreign(std::span<const std::byte> bytes) {
  if (bytes.empty()) return "is empty";
  for (const Magic& magic : kMagics) {
    if (fits(magic, bytes)) return magic.what;
  }
  const auto head = bytes.first(std::min<size_t>(bytes.size(), 512));
  if (std::all_of(head.begin(), head.end(), is_text)) return "is a text file, not a dump";
  return "is not a dump of a known format";
}

}  // namespace residue
