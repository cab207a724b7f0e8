// SymbolFile: one ELF file opened for what it says about code and data: sections by name,
// decompressed when they are first asked for.
//
// Nothing in the file is trusted: a section table that is cut or damaged leaves the sections that
// can be read, and problem() says what is lost. Owns its mapping (or shares that of the Image).
// Every span lives as long as the SymbolFile. The const functions may be called from many threads.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/base/byte_cursor.h"
#include "formats/base/mapped_file.h"
#include "formats/base/result.h"
#include "formats/elf/elf_file.h"
#include "symbolize/unpack.h"

namespace residue {

class SymbolFile {
 public:
  // Who keeps bytes that are not ours.
  enum class Keeper : uint8_t {
    kMapping,  // a private mapping of a file, whose pages may be given back
    kOther,    // anything else: never touched
  };

  // Maps the file at `path`. Fails with kIo, or kUnsupported/kTruncated for what is no ELF file.
  static Result<std::unique_ptr<SymbolFile>> open(const std::string& path);
  static Result<std::unique_ptr<SymbolFile>> of_mapping(MappedFile file);
  // Over bytes that somebody else keeps alive (the Image's mapping, pages of the dump).
  static Result<std::unique_ptr<SymbolFile>> of_bytes(std::span<const std::byte> bytes,
                                                      std::string path,
                                                      Keeper keeper = Keeper::kOther);
  // Over bytes that it takes (an unpacked .gnu_debugdata, pages copied out of a dump).
  static Result<std::unique_ptr<SymbolFile>> of_memory(std::vector<std::byte> bytes,
                                                       std::string path);
  static Result<std::unique_ptr<SymbolFile>> of_memory(UnpackedBytes bytes, std::string path);

  ~SymbolFile();
  SymbolFile(const SymbolFile&) = delete;
  SymbolFile& operator=(const SymbolFile&) = delete;

  const std::string& path() const { return path_; }
  const elf::Header& header() const { return header_; }
  ByteOrder order() const { return header_.order; }
  const std::string& build_id() const { return build_id_; }    // lower-case hex, empty if none
  std::span<const std::byte> bytes() const { return bytes_; }  // the whole file

  // The contents as the compiler wrote them: SHF_COMPRESSED (zlib, zstd) and .zdebug_ unpacked.
  // Of a section that the end of the file cuts, what is there. Empty for one that is missing, has
  // no bytes, or cannot be unpacked. problem() says what was cut or damaged.
  std::span<const std::byte> section(std::string_view name) const;
  // Where the section would lie if the file were loaded at 0; nullopt if it is not loaded at all.
  std::optional<uint64_t> section_address(std::string_view name) const;
  // Whether the section is there and has bytes, without reading them.
  bool has(std::string_view name) const;
  // What is wrong with the file's sections, empty if nothing is.
  std::string problem() const;
  // Lets the kernel take back the pages of a section that was read through; they come back when
  // touched. Does nothing for unpacked ones.
  void release(std::string_view name) const;

  // The section table, for readers that go by type or index. `name` is a view into the file.
  struct Section {
    std::string_view name;
    elf::SectionHeader header;
  };
  const std::vector<Section>& sections() const { return sections_; }
  // Contents of sections()[index], as section() gives them; empty if there is no such section.
  std::span<const std::byte> section_bytes(size_t index) const;

 private:
  // Filled once, by whoever asks first.
  struct Unpacked {
    std::once_flag once;
    UnpackedBytes bytes;
  };

  SymbolFile() = default;
  static Result<std::unique_ptr<SymbolFile>> finish(std::unique_ptr<SymbolFile> file);
  void read_sections();
  void read_build_id();
  const Section* find(std::string_view name) const;
  size_t index_of(const Section& section) const;
  bool is_packed(const Section& section) const;
  std::span<const std::byte> raw_bytes(const Section& section) const;
  void unpack(const Section& section, UnpackedBytes* out) const;
  void note_problem(std::string text) const;

  std::string path_;
  MappedFile mapping_;
  UnpackedBytes memory_;
  std::vector<std::byte> vector_;
  std::span<const std::byte> bytes_;
  bool is_mapped_ = false;
  elf::Header header_;
  std::string build_id_;
  std::vector<Section> sections_;
  std::vector<std::unique_ptr<Unpacked>>
      unpacked_;  // by section; null for those stored as they are
  mutable std::mutex problem_mutex_;
  mutable std::string problem_;
};

}  // namespace residue
