// AbiCore: synthetic cores of any class and byte order, put together from notes and loads.
//
// Written from the gABI; what a note holds is the test's business. Shares nothing with the reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace residue::testing {

// A width and a byte order, and integers written in them.
struct Abi {
  uint16_t machine = 62;
  bool is_64 = true;
  bool is_big = false;
  uint32_t flags = 0;  // e_flags

  unsigned word() const { return is_64 ? 8 : 4; }
};

class AbiBytes {
 public:
  explicit AbiBytes(const Abi& abi) : abi_(abi) {}

  AbiBytes& put(uint64_t value, unsigned size);
  AbiBytes& u16(uint64_t v) { return put(v, 2); }
  AbiBytes& u32(uint64_t v) { return put(v, 4); }
  AbiBytes& u64(uint64_t v) { return put(v, 8); }
  AbiBytes& word(uint64_t v) { return put(v, abi_.word()); }
  AbiBytes& text(const std::string& s, size_t field);  // cut or padded to the field
  AbiBytes& pad_to(size_t position);
  AbiBytes& bytes(const std::vector<std::byte>& more);
  size_t size() const { return bytes_.size(); }
  const std::vector<std::byte>& data() const { return bytes_; }

 private:
  Abi abi_;
  std::vector<std::byte> bytes_;
};

struct AbiSegment {
  uint32_t type = 1, flags = 6;
  uint64_t offset = 0, vaddr = 0, filesz = 0, memsz = 0;
};
// An ELF header with its program headers behind it. `type`: ET_DYN is 3, ET_CORE 4.
std::vector<std::byte> abi_elf(const Abi& abi, uint16_t type,
                               const std::vector<AbiSegment>& segments);
// One note, padded to 4 bytes.
std::vector<std::byte> abi_note(const Abi& abi, const std::string& name, uint32_t type,
                                const std::vector<std::byte>& descriptor);

class AbiCore {
 public:
  explicit AbiCore(const Abi& abi) : abi_(abi) {}

  AbiCore& note(const std::string& name, uint32_t type, const std::vector<std::byte>& descriptor);
  // memsz 0: as many as there are bytes.
  AbiCore& load(uint64_t vaddr, uint32_t flags, std::vector<std::byte> bytes, uint64_t memsz = 0);
  std::vector<std::byte> build() const;

 private:
  struct Load {
    uint64_t vaddr, memsz;
    uint32_t flags;
    std::vector<std::byte> bytes;
  };
  Abi abi_;
  std::vector<std::byte> notes_;
  std::vector<Load> loads_;
};

}  // namespace residue::testing
