// ThreadLocals: where each thread's copy of a module's thread-local variables lies.
//
// glibc keeps, for every thread, a table of its modules' blocks (the DTV), and in each module's
// link_map the module's number in that table. A static program has no link_map; its only block is
// number 1. Blocks that the thread never used are not allocated, and then there is none.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "formats/image.h"

namespace residue {

class ThreadLocals {
 public:
  // REQUIRES: `image` outlives this.
  explicit ThreadLocals(const Image& image);

  // The block of `module` for the thread with this index; nullopt if there is none or it cannot be
  // told.
  std::optional<Address> block(size_t thread, ModuleId module) const;

  struct Place {
    ModuleId module;
    uint64_t offset;  // in the module's block
  };
  // Which module's block of that thread holds `a`.
  std::optional<Place> find(size_t thread, Address a) const;

 private:
  struct TlsModule {
    ModuleId module;
    uint64_t number;  // l_tls_modid
    uint64_t size;
  };
  const Image& image_;
  std::vector<TlsModule> modules_;
};

}  // namespace residue
