#include "formats/format.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace residue {

// Generated from the list RESIDUE_FORMATS in CMakeLists.txt.
#define RESIDUE_FORMAT(name) const Format& name##_format();
#include "format_list.inc"
#undef RESIDUE_FORMAT

namespace {

std::vector<const Format*> formats() {
  return {
#define RESIDUE_FORMAT(name) &name##_format(),
#include "format_list.inc"
#undef RESIDUE_FORMAT
  };
}

// A dump carries no time of its own: the file's modification time is when it was written.
std::string modification_time(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return {};
  std::tm utc{};
  gmtime_r(&status.st_mtime, &utc);
  std::array<char, 32> text{};
  const size_t n = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {text.data(), n};
}

bool starts_with(std::span<const std::byte> bytes, std::string_view text) {
  return bytes.size() >= text.size() &&
         std::equal(text.begin(), text.end(), bytes.begin(),
                    [](char c, std::byte b) { return static_cast<std::byte>(c) == b; });
}

// The kinds of file that people pass by mistake, so that the message can say so.
std::string describe(std::span<const std::byte> bytes) {
  if (bytes.empty()) return "is empty";
  if (starts_with(bytes, "minidump FreeBSD")) {
    return "is a FreeBSD kernel minidump; only dumps of processes are read";
  }
  size_t text = 0;
  const auto head = bytes.first(std::min<size_t>(bytes.size(), 512));
  for (const std::byte b : head) {
    const auto c = std::to_integer<unsigned>(b);
    text += (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t' || c == '\r' ? 1U : 0U;
  }
  if (text == head.size()) return "is a text file, not a dump";
  return "is not a dump of a known format";
}

}  // namespace

std::string known_formats() {
  std::string names;
  for (const Format* format : formats()) {
    if (!names.empty()) names += ", ";
    names += format->name;
  }
  return names;
}

Result<Image> open_dump(const std::string& path, const FileSearch& search,
                        Diagnostics& diagnostics) {
  RESIDUE_ASSIGN(MappedFile file, MappedFile::open(path));
  for (const Format* format : formats()) {
    if (!format->sniff(file.bytes())) continue;
    const uint64_t size = file.bytes().size();
    RESIDUE_ASSIGN(Image image, format->read(std::move(file), search, diagnostics));
    image.source = path;
    image.source_bytes = size;
    image.format = format->name;
    image.taken_at = modification_time(path);
    return image;
  }
  return Error{ErrorCode::kUnsupported,
               describe(file.bytes()) + " (known formats: " + known_formats() + ")", FileOffset(0)};
}

}  // namespace residue
