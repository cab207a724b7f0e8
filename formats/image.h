// Image: what a dump says about one process, in a form that does not depend on the format.
//
// A driver (one per format, see formats/format.h) turns untrusted bytes into an Image; nothing
// above formats/ knows the format. Word size and byte order are data here and end here: addresses
// are 64-bit, and words are read with the Image's pointer width and order.
//
// The Image owns the mapped dump and the mapped module files; every span it hands out lives as long
// as the Image. It is immutable once the driver has returned it and may be read from many threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/base/address.h"
#include "formats/base/byte_cursor.h"
#include "formats/base/holes.h"
#include "formats/base/mapped_file.h"

namespace residue {

// Instruction set and its variant; byte order and pointer width are told apart here only where the
// name that the world uses does so.
enum class Architecture : uint8_t {
  kUnknown,
  kX86,
  kX86_64,
  kArm,
  kAArch64,
  kRiscv32,
  kRiscv64,
  kPpc,
  kPpc64,    // big endian
  kPpc64Le,  // little endian
  kS390x,
  kMips,    // 32-bit, either order
  kMips64,  // 64-bit, either order
  kLoongArch64,
};
// "x86", "x86_64", "arm", "aarch64", "riscv64", "ppc64le", …: as in snapshot.arch.
const char* to_string(Architecture architecture);

// What a region is for, as far as the dump tells.
enum class RegionKind : uint8_t {
  kUnknown,
  kHeap,          // the brk heap
  kStack,         // holds a thread's stack pointer
  kModuleText,    // executable part of a module
  kModuleRodata,  // read-only part of a module that was never writable
  kModuleData,    // writable part of a module, also after RELRO made it read-only; .bss too
  kAnonymous,     // no file behind it
  kFile,          // a mapped file that is not a module, shared memory included
  kVdso,          // the kernel's code and data pages for user space
};
const char* to_string(RegionKind kind);

// Where a region's bytes come from.
enum class Backing : uint8_t {
  kDump,    // the dump holds them
  kFile,    // read from the module's file on disk, whose build-id matches
  kAbsent,  // nowhere: `bytes` is empty
};

struct Permissions {
  bool read = false, write = false, execute = false;
  friend bool operator==(Permissions, Permissions) = default;
};
std::string to_string(Permissions permissions);

// A mapped range with one backing. Regions are sorted and never overlap; a mapping of the process
// that is partly in the dump and partly not is several regions.
struct Region {
  AddressRange range;
  Permissions permissions;
  RegionKind kind = RegionKind::kUnknown;
  Backing backing = Backing::kAbsent;
  ModuleId module = kNone<ModuleId>;
  std::string name;                  // path of the mapped file, empty for anonymous memory
  std::span<const std::byte> bytes;  // range.size bytes, or none if kAbsent
};

// One loadable segment of a module, at its place in the process.
struct Segment {
  AddressRange range;
  Permissions permissions;
  uint64_t file_offset = 0;
  uint64_t file_size = 0;
};

// An executable or shared library.
struct Module {
  std::string path;
  std::string build_id;  // lower-case hex, from the dump's own pages; empty if it has none there
  AddressRange range;
  uint64_t bias = 0;  // address in the process minus address in the file
  std::vector<Segment> segments;
  std::optional<AddressRange> dynamic;          // PT_DYNAMIC
  std::optional<AddressRange> tls_image;        // PT_TLS: initialised part (size: memory size)
  std::optional<AddressRange> unwind_index;     // PT_GNU_EH_FRAME: .eh_frame_hdr
  std::optional<AddressRange> exception_index;  // PT_ARM_EXIDX
  bool is_executable = false;
  std::optional<Address> link_map;  // the dynamic linker's record of it
  // The file on disk, if it was found and its build-id is the one in the dump; empty otherwise.
  std::span<const std::byte> file;
  std::string file_path;
};

struct Register {
  const char* name = "";  // static storage
  uint64_t value = 0;
  int16_t dwarf = -1;  // number in DWARF's numbering of the architecture, -1 if it has none
};

struct Thread {
  uint32_t tid = 0;
  std::string name;
  std::vector<Register> registers;  // general purpose ones
  uint64_t pc = 0;
  uint64_t sp = 0;
  // The register or segment base that the ABI's TLS is relative to (x86-64: fs base), as it is: on
  // PowerPC and MIPS 0x7000 bytes behind what it stands for. 0 if the dump does not hold it.
  uint64_t thread_pointer = 0;
  std::span<const std::byte> extended_state;  // vector registers as dumped (x86-64: XSAVE area)
  bool crashed = false;
  uint32_t signal = 0;
  std::string reason;
  std::optional<Address> fault_address;
};

struct Image {
  std::string source;  // path as given
  uint64_t source_bytes = 0;
  std::string packing;          // "zstd", …: how the file is compressed; empty if it is not
  uint64_t unpacked_bytes = 0;  // what came out of it then
  std::string taken_at;         // UTC, ISO 8601: when the file was written
  std::string format;
  std::string os;
  Architecture architecture = Architecture::kUnknown;
  ByteOrder order = ByteOrder::kLittle;
  unsigned pointer_width = 8;
  uint64_t page_size = 4096;
  // AArch64: bits of a code pointer that hold its signature (NT_ARM_PAC_MASK); 0 if none do.
  uint64_t code_signature_mask = 0;
  // Bits of a pointer that take no part in the address (AArch64's top byte); 0 if none do.
  uint64_t address_tag_mask = 0;
  uint32_t pid = 0;
  std::string process;       // equal for dumps of one process, and of no two; empty if unknown
  std::string dump_id;       // equal for copies of one dump; empty if unknown
  std::string executable;    // path, or the short name if there is no path
  std::string command_line;  // as far as the dump keeps it
  bool complete = true;      // nothing that the dump announces is cut off

  std::vector<Region> regions;
  std::vector<Module> modules;
  std::vector<Thread> threads;
  // The dynamic linker's records (struct link_map) of all objects it loaded, in its order.
  std::vector<Address> link_maps;

  std::vector<MappedFile> files;  // owns what the spans above point into
  Holes holes;                    // of `files`: scans of memory leave them out

  // The region that holds `a`, or null.
  const Region* find_region(Address a) const;
  const Module* module_of(Address a) const;
  // The bytes from `a` on, at most `n`, as far as they lie together in the dump (in one region, or
  // in adjacent ones that are adjacent in the file too); empty where nothing is known.
  std::span<const std::byte> view(Address a, uint64_t n) const;
  // Copies across adjacent regions; returns how many bytes from `a` on could be read.
  uint64_t read(Address a, std::span<std::byte> out) const;
  // The address that a pointer to data means; of one to code (a return address).
  uint64_t untag(uint64_t pointer) const { return pointer & ~address_tag_mask; }
  uint64_t strip_code(uint64_t pointer) const {
    return pointer & ~(address_tag_mask | code_signature_mask);
  }
  // A pointer-sized word of the process.
  std::optional<uint64_t> word(Address a) const;
  template <std::unsigned_integral T>
  std::optional<T> value(Address a) const {
    const auto bytes = view(a, sizeof(T));
    if (bytes.size() >= sizeof(T)) return load<T>(bytes, order);
    // Across regions whose bytes lie apart.
    std::array<std::byte, sizeof(T)> copy{};
    if (bytes.empty() || read(a, copy) < sizeof(T)) return std::nullopt;
    return load<T>(copy, order);
  }
  // A NUL-terminated string of at most `limit` bytes; nullopt if it is not there or longer.
  std::optional<std::string_view> c_string(Address a, uint64_t limit) const;
};

}  // namespace residue
