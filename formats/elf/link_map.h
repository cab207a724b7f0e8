// The dynamic linker's list of loaded objects, as it keeps it for debuggers: the names of modules
// in cores that do not list the mapped files.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "formats/image.h"

namespace residue::elf {

struct LoadedObject {
  Address record;     // of the link_map itself
  uint64_t bias = 0;  // l_addr
  Address dynamic;    // l_ld
  std::string path;   // l_name; empty for the program itself
};

// Walks r_debug, which the program's dynamic section points to (DT_DEBUG; on MIPS relative, by
// DT_MIPS_RLD_MAP_REL, or through DT_MIPS_RLD_MAP). The dynamic section is found from AT_PHDR.
// Empty if the program is static or the pages are not in the dump. The layout is that of the SVR4
// interface, which glibc, musl, and the BSDs' linkers keep alike.
std::vector<LoadedObject> read_link_map(const Image& image,
                                        const std::map<uint64_t, uint64_t>& auxv);

}  // namespace residue::elf
