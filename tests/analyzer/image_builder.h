// ImageBuilder: puts an Image together in memory, region by region and word by word, for tests.
//
// It owns all bytes. build() hands out an Image whose spans point into them: the builder must
// outlive the Image, and map() and grow() may not be called between build() and the last use of it.
// Words may be changed before or after.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/image.h"

namespace residue::test {

inline constexpr Permissions kNoAccess{false, false, false};
inline constexpr Permissions kRead{true, false, false};
inline constexpr Permissions kReadWrite{true, true, false};
inline constexpr Permissions kReadExecute{true, false, true};

// A variable for elf_symbol_file(): address as in the file, that is without the module's bias.
struct SymbolSpec {
  std::string name;
  uint64_t value;
  uint64_t size;
};

// The bytes of a minimal ELF-64 shared object that has nothing but a .symtab of data objects.
std::vector<std::byte> elf_symbol_file(const std::vector<SymbolSpec>& symbols);

class ImageBuilder {
 public:
  ImageBuilder();
  ImageBuilder(const ImageBuilder&) = delete;
  ImageBuilder& operator=(const ImageBuilder&) = delete;
  ~ImageBuilder() = default;

  // Maps [base, base + size), all zero and all in the dump. REQUIRES: nothing is mapped there yet.
  void map(uint64_t base, uint64_t size, Permissions permissions, RegionKind kind,
           std::string name = "", ModuleId module = kNone<ModuleId>);
  // Maps address space that nobody can access and that no dump holds.
  void reserve(uint64_t base, uint64_t size);
  // Makes the mapping at `base` longer by `bytes`.
  void grow(uint64_t base, uint64_t bytes);
  // Leaves [base, base + size) out of the dump; it stays mapped.
  void drop(uint64_t base, uint64_t size) { dropped_.emplace_back(base, size); }
  bool is_mapped(uint64_t address) const;
  uint64_t end_of_mapping(uint64_t base) const;

  // In the byte order that the header has then. REQUIRES: the bytes lie in one mapping.
  void put64(uint64_t address, uint64_t value) { put(address, value, 8); }
  void put32(uint64_t address, uint32_t value) { put(address, value, 4); }
  void put16(uint64_t address, uint16_t value) { put(address, value, 2); }
  void put8(uint64_t address, uint8_t value) { put(address, value, 1); }
  // A pointer-sized word, as the header has it then.
  void put_word(uint64_t address, uint64_t value) { put(address, value, image_.pointer_width); }
  void put_text(uint64_t address, std::string_view text, bool terminate = true);
  void fill(uint64_t address, uint64_t size, uint8_t value);
  uint64_t get64(uint64_t address) const { return get(address, 8); }
  uint32_t get32(uint64_t address) const { return static_cast<uint32_t>(get(address, 4)); }
  uint64_t get_word(uint64_t address) const { return get(address, image_.pointer_width); }

  ModuleId add_module(Module module);
  Module& module(ModuleId id) { return image_.modules[id.value()]; }
  // Index of the new thread. Its general purpose registers are zero, but for rsp and rip.
  size_t add_thread(uint32_t tid, uint64_t sp, uint64_t thread_pointer);
  Thread& thread(size_t index) { return image_.threads[index]; }
  void set_register(size_t thread, std::string_view name, uint64_t value);
  // Everything of the Image but regions, modules and threads.
  Image& header() { return image_; }
  // Takes ownership of bytes that an Image shall point to.
  std::span<const std::byte> keep(std::vector<std::byte> bytes);

  Image build() const;

 private:
  struct Mapping {
    uint64_t size;
    std::vector<std::byte> bytes;  // none if reserved
    Permissions permissions;
    RegionKind kind;
    std::string name;
    ModuleId module;
  };
  void put(uint64_t address, uint64_t value, unsigned width);
  uint64_t get(uint64_t address, unsigned width) const;
  // The power of 256 that byte `i` of `width` stands for.
  unsigned shift(unsigned i, unsigned width) const {
    return 8 * (image_.order == ByteOrder::kBig ? width - 1 - i : i);
  }
  std::byte* at(uint64_t address, uint64_t size);
  const std::byte* at(uint64_t address, uint64_t size) const;
  void add_regions(uint64_t base, const Mapping& mapping, Image* image) const;

  std::map<uint64_t, Mapping> mappings_;
  std::vector<std::pair<uint64_t, uint64_t>> dropped_;
  std::list<std::vector<std::byte>> kept_;
  Image image_;  // without files, which cannot be copied
};

}  // namespace residue::test
