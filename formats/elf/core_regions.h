// From program headers and NT_FILE to the Image's regions: sorted, disjoint, each with one backing.
#pragma once

#include <vector>

#include "formats/base/diagnostics.h"
#include "formats/elf/core_notes.h"
#include "formats/elf/elf_file.h"
#include "formats/image.h"

namespace residue::elf {

// Regions for every PT_LOAD of the core, split where the dumped bytes end, and absent ones for
// mapped files that have no PT_LOAD. `*complete` is cleared if the file ends before the bytes it
// announces.
std::vector<Region> build_regions(std::span<const std::byte> file,
                                  const std::vector<ProgramHeader>& headers,
                                  const std::vector<MappedFileEntry>& files, bool* complete,
                                  Diagnostics& diagnostics);

// Kinds that need threads and modules to be known: stacks, the brk heap, the vdso.
void classify_regions(Image* image, const std::map<uint64_t, uint64_t>& auxv);

}  // namespace residue::elf
