// SymbolFile: one ELF file opened for what it says about code and data: sections by name,
// decompressed when they are first asked for.
//
// Owns its mapping (or shares that of the Image). Every span lives as long as the SymbolFile. The
// const functions may be called from many threads.
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

namespace residue {

class SymbolFile {
 public:
  // Maps the file at `path`. Fails with kIo, or kUnsupported/kTruncated for what is no ELF file.
  static Result<std::unique_ptr<SymbolFile>> open(const std::string& path);
  // Over bytes that somebody else keeps alive (the Image's mapping, pages of the dump).
  static Result<std::unique_ptr<SymbolFile>> of_bytes(std::span<const std::byte> bytes,
                                                      std::string path);
  // Over bytes that it takes (an unpacked .gnu_debugdata).
  static Result<std::unique_ptr<SymbolFile>> of_memory(std::vector<std::byte> bytes,
                                                       std::string path);

  const std::string& path() const;
  const elf::Header& header() const;
  ByteOrder order() const;
  const std::string& build_id() const;  // lower-case hex, empty if it has none

  // The contents as the compiler wrote them: SHF_COMPRESSED (zlib, zstd) and .zdebug_ unpacked.
  // Empty for a section that is missing, has no bytes, or is damaged (then problem() says why).
  std::span<const std::byte> section(std::string_view name) const;
  // Where the section would lie if the file were loaded at 0.
  std::optional<uint64_t> section_address(std::string_view name) const;
  // Whether the section is there, without reading it.
  bool has(std::string_view name) const;
  // What is wrong with the file's sections, empty if nothing is.
  std::string problem() const;
  // Lets the kernel take back the pages of a section that was read through; they come back when
  // touched. Does nothing for unpacked ones.
  void release(std::string_view name) const;

 private:
  SymbolFile() = default;
  // Filled in by the implementer.
};

}  // namespace residue
