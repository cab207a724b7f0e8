#include "symbolize/symbol_file.h"

#include <algorithm>
#include <utility>

#include "formats/elf/elf_layout.h"

namespace residue {
namespace {

using namespace elf;

// What problem() says is for people: a file that is wrong everywhere does not need a longer text.
constexpr size_t kMaxProblem = 1000;
// Notes with a build-id lie in short segments; a claim of more is not searched to its end.
constexpr uint64_t kMaxNotes = 1 << 20;
constexpr std::string_view kZdebugMagic = "ZLIB";
constexpr size_t kZdebugHeader = 12;

std::string_view text_at(std::span<const std::byte> strings, uint64_t offset) {
  if (offset >= strings.size()) return {};
  const auto rest = strings.subspan(static_cast<size_t>(offset));
  const auto nul = std::find(rest.begin(), rest.end(), std::byte{0});
  if (nul == rest.end()) return {};
  return {static_cast<const char*>(static_cast<const void*>(rest.data())),
          static_cast<size_t>(nul - rest.begin())};
}

bool is_zdebug(std::string_view name) { return name.starts_with(".zdebug_"); }

// ".debug_info" and ".zdebug_info" are one section to whoever asks.
bool is_named(std::string_view have, std::string_view wanted) {
  if (have == wanted) return true;
  return is_zdebug(have) && wanted.starts_with(".debug_") && have.substr(2) == wanted.substr(1);
}

}  // namespace

SymbolFile::~SymbolFile() = default;

Result<std::unique_ptr<SymbolFile>> SymbolFile::open(const std::string& path) {
  RESIDUE_ASSIGN(MappedFile mapping, MappedFile::open(path));
  return of_mapping(std::move(mapping));
}

Result<std::unique_ptr<SymbolFile>> SymbolFile::of_mapping(MappedFile mapping) {
  std::unique_ptr<SymbolFile> file(new SymbolFile);
  file->path_ = mapping.path();
  file->mapping_ = std::move(mapping);
  file->bytes_ = file->mapping_.bytes();
  file->is_mapped_ = true;
  return finish(std::move(file));
}

Result<std::unique_ptr<SymbolFile>> SymbolFile::of_bytes(std::span<const std::byte> bytes,
                                                         std::string path, Keeper keeper) {
  std::unique_ptr<SymbolFile> file(new SymbolFile);
  file->path_ = std::move(path);
  file->bytes_ = bytes;
  file->is_mapped_ = keeper == Keeper::kMapping;
  return finish(std::move(file));
}

Result<std::unique_ptr<SymbolFile>> SymbolFile::of_memory(std::vector<std::byte> bytes,
                                                          std::string path) {
  std::unique_ptr<SymbolFile> file(new SymbolFile);
  file->path_ = std::move(path);
  file->vector_ = std::move(bytes);
  file->bytes_ = file->vector_;
  return finish(std::move(file));
}

Result<std::unique_ptr<SymbolFile>> SymbolFile::of_memory(UnpackedBytes bytes, std::string path) {
  std::unique_ptr<SymbolFile> file(new SymbolFile);
  file->path_ = std::move(path);
  file->memory_ = std::move(bytes);
  file->bytes_ = file->memory_.bytes();
  return finish(std::move(file));
}

Result<std::unique_ptr<SymbolFile>> SymbolFile::finish(std::unique_ptr<SymbolFile> file) {
  RESIDUE_ASSIGN(file->header_, read_header(file->bytes_));
  if (file->header_.type == kTypeCore) {
    return Error{ErrorCode::kUnsupported, "is a core, not a program or library", {}};
  }
  file->read_sections();
  file->read_build_id();
  return file;
}

void SymbolFile::read_sections() {
  const auto headers = read_section_headers(bytes_, header_);
  if (headers.size() < header_.section_count) {
    note_problem("its section table is cut: " + std::to_string(headers.size()) + " of " +
                 std::to_string(header_.section_count) + " entries are there");
  }
  std::span<const std::byte> names;
  if (header_.section_names < headers.size()) {
    names = raw_bytes({{}, headers[header_.section_names]});
  }
  if (names.empty() && !headers.empty()) note_problem("the names of its sections are missing");
  sections_.reserve(headers.size());
  unpacked_.resize(headers.size());
  for (const SectionHeader& header : headers) {
    sections_.push_back({text_at(names, header.name), header});
    if (is_packed(sections_.back())) {
      unpacked_[sections_.size() - 1] = std::make_unique<Unpacked>();
    }
  }
}

// The section is right where the segment may not be: `objcopy --only-keep-debug` of older releases
// leaves program headers that point to where the notes once were.
void SymbolFile::read_build_id() {
  for (const Section& section : sections_) {
    if (section.header.type != kSectionNote || section.name != ".note.gnu.build-id") continue;
    const auto raw = raw_bytes(section);
    build_id_ = find_build_id(raw.first(std::min<size_t>(raw.size(), kMaxNotes)), order());
    if (!build_id_.empty()) return;
  }
  build_id_ = file_build_id(bytes_);
}

const SymbolFile::Section* SymbolFile::find(std::string_view name) const {
  for (const Section& section : sections_) {
    if (section.header.type == kSectionNobits || section.header.size == 0) continue;
    if (is_named(section.name, name)) return &section;
  }
  return nullptr;
}

size_t SymbolFile::index_of(const Section& section) const {
  return static_cast<size_t>(&section - sections_.data());
}

bool SymbolFile::is_packed(const Section& section) const {
  if (section.header.type == kSectionNobits) return false;
  return (section.header.flags & kSectionFlagCompressed) != 0 || is_zdebug(section.name);
}

std::span<const std::byte> SymbolFile::raw_bytes(const Section& section) const {
  const SectionHeader& header = section.header;
  if (header.type == kSectionNobits || header.offset >= bytes_.size()) return {};
  return bytes_.subspan(
      static_cast<size_t>(header.offset),
      static_cast<size_t>(std::min<uint64_t>(header.size, bytes_.size() - header.offset)));
}

std::span<const std::byte> SymbolFile::section_bytes(size_t index) const {
  if (index >= sections_.size()) return {};
  const Section& section = sections_[index];
  Unpacked* unpacked = unpacked_[index].get();
  if (unpacked != nullptr) {
    std::call_once(unpacked->once, [&] { unpack(section, &unpacked->bytes); });
    return unpacked->bytes.bytes();
  }
  const auto raw = raw_bytes(section);
  if (section.header.type != kSectionNobits && raw.size() < section.header.size) {
    note_problem(std::string(section.name) + " is cut off: " + std::to_string(raw.size()) + " of " +
                 std::to_string(section.header.size) + " bytes are there");
  }
  return raw;
}

void SymbolFile::unpack(const Section& section, UnpackedBytes* out) const {
  const auto raw = raw_bytes(section);
  const auto result = [&]() -> Result<UnpackedBytes> {
    ByteCursor cursor(raw, order(), FileOffset(section.header.offset));
    if ((section.header.flags & kSectionFlagCompressed) == 0) {
      ByteCursor old(raw, ByteOrder::kBig, FileOffset(section.header.offset));
      RESIDUE_ASSIGN(const auto magic, old.take(kZdebugMagic.size()));
      if (!std::equal(magic.begin(), magic.end(), kZdebugMagic.begin(),
                      [](std::byte a, char b) { return a == static_cast<std::byte>(b); })) {
        return Error{ErrorCode::kCorrupt, "does not begin with ZLIB", old.offset()};
      }
      RESIDUE_ASSIGN(const uint64_t size, old.read<uint64_t>());
      return unpack_zlib(raw.subspan(kZdebugHeader), size);
    }
    // Elf32_Chdr: type, size, alignment; Elf64_Chdr: type, four reserved bytes, size, alignment.
    RESIDUE_ASSIGN(const uint32_t type, cursor.read<uint32_t>());
    if (header_.is_64) RESIDUE_TRY(cursor.skip(4));
    RESIDUE_ASSIGN(const uint64_t size, cursor.read_word(header_.word()));
    RESIDUE_TRY(cursor.skip(header_.word()));
    const auto packed = raw.subspan(cursor.position());
    if (type == kCompressZlib) return unpack_zlib(packed, size);
    if (type == kCompressZstd) return unpack_zstd(packed, size);
    return Error{ErrorCode::kUnsupported, "compression type " + std::to_string(type), {}};
  };
  auto unpacked = result();
  if (!unpacked) {
    note_problem(std::string(section.name) + " cannot be unpacked: " + to_string(unpacked.error()));
    return;
  }
  *out = std::move(unpacked).value();
  if (is_mapped_) release_pages(raw);
}

std::span<const std::byte> SymbolFile::section(std::string_view name) const {
  const Section* section = find(name);
  if (section == nullptr) return {};
  return section_bytes(index_of(*section));
}

std::optional<uint64_t> SymbolFile::section_address(std::string_view name) const {
  // Also one without bytes: a debug file says where the program's sections are.
  for (const Section& section : sections_) {
    if ((section.header.flags & kSectionFlagAlloc) == 0 || !is_named(section.name, name)) continue;
    return section.header.address;
  }
  return std::nullopt;
}

bool SymbolFile::has(std::string_view name) const { return find(name) != nullptr; }

std::string SymbolFile::problem() const {
  const std::lock_guard lock(problem_mutex_);
  return problem_;
}

void SymbolFile::note_problem(std::string text) const {
  const std::lock_guard lock(problem_mutex_);
  if (problem_.size() > kMaxProblem || problem_.find(text) != std::string::npos) return;
  if (!problem_.empty()) problem_ += "; ";
  problem_ += text;
}

void SymbolFile::release(std::string_view name) const {
  if (!is_mapped_) return;
  const Section* section = find(name);
  if (section != nullptr && !is_packed(*section)) release_pages(raw_bytes(*section));
}

}  // namespace residue
