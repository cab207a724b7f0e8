#include "formats/format.h"

#include <sys/stat.h>

#include <array>
#include <ctime>

#include "formats/foreign_file.h"

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

// Enough of what is inside a compressed file for any format to know its own.
constexpr size_t kHead = size_t{64} << 10;

const Format* find_format(std::span<const std::byte> bytes) {
  for (const Format* format : formats()) {
    if (format->sniff(bytes)) return format;
  }
  return nullptr;
}

Error unknown(const std::string& what) {
  return Error{ErrorCode::kUnsupported, what + " (known formats: " + known_formats() + ")",
               FileOffset(0)};
}

// The end of a sentence that begins with the file's name.
std::string packed_as(const packed::Packing& packing) {
  return std::string("is ").append(packing.name).append("-compressed, and what is inside ");
}

// A dump that is compressed, unpacked to a temporary file. What is inside is looked at first: an
// archive or a log is not worth the time and the space.
Result<packed::Unpacked> unpack_dump(const MappedFile& file, const packed::Packing& packing,
                                     const UnpackProgress& progress, Diagnostics& diagnostics) {
  const auto head = packed::unpack_head(file.bytes(), packing, kHead);
  if (head.empty() || find_format(head) != nullptr) {
    auto unpacked = packed::unpack(file, packing, progress, diagnostics);
    if (unpacked && !unpacked->file.bytes().empty()) return unpacked;
    if (unpacked) return unknown(packed_as(packing) + describe_foreign({}));
    if (unpacked.error().code == ErrorCode::kNoSpace) return unpacked;
    std::string what = "is ";
    return std::move(unpacked).error().in(what.append(packing.name).append("-compressed"));
  }
  if (const packed::Packing* inner = packed::find_packing(head)) {
    return unknown(packed_as(packing) + "is " + inner->name + "-compressed again: unpack it once");
  }
  return unknown(packed_as(packing) + describe_foreign(head));
}

Result<Image> read_image(MappedFile file, const FileSearch& search, Diagnostics& diagnostics) {
  const Format* format = find_format(file.bytes());
  if (format == nullptr) return unknown(describe_foreign(file.bytes()));
  RESIDUE_ASSIGN(Image image, format->read(std::move(file), search, diagnostics));
  image.format = format->name;
  for (const MappedFile& mapped : image.files) image.holes.add(mapped.holes());
  return image;
}

Result<Image> read_packed(const MappedFile& file, const packed::Packing& packing,
                          const FileSearch& search, const UnpackProgress& progress,
                          Diagnostics& diagnostics) {
  RESIDUE_ASSIGN(auto unpacked, unpack_dump(file, packing, progress, diagnostics));
  const uint64_t size = unpacked.file.bytes().size();
  auto image = read_image(std::move(unpacked.file), search, diagnostics);
  if (!image) {
    // The offset is one in what was unpacked.
    std::string what = packed_as(packing);
    if (!unpacked.complete) what.append("is damaged and ");
    return std::move(image).error().in(what.append("cannot be read"));
  }
  image->packing = packing.name;
  image->unpacked_bytes = size;
  image->complete = image->complete && unpacked.complete;
  return image;
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

Result<Image> open_dump(const std::string& path, const FileSearch& search, Diagnostics& diagnostics,
                        const UnpackProgress& progress) {
  RESIDUE_ASSIGN(MappedFile file, MappedFile::open(path));
  const uint64_t size = file.bytes().size();
  const packed::Packing* packing = nullptr;
  if (find_format(file.bytes()) == nullptr) packing = packed::find_packing(file.bytes());
  RESIDUE_ASSIGN(Image image, packing != nullptr
                                  ? read_packed(file, *packing, search, progress, diagnostics)
                                  : read_image(std::move(file), search, diagnostics));
  image.source = path;
  image.source_bytes = size;
  image.taken_at = modification_time(path);
  return image;
}

}  // namespace residue
