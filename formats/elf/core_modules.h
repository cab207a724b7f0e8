// Modules of an ELF core: found from the mapped files and their ELF headers in the dump's own
// pages, matched by build-id with files on disk, which then supply the read-only pages the core
// left out.
#pragma once

#include "formats/base/diagnostics.h"
#include "formats/elf/core_notes.h"
#include "formats/file_search.h"
#include "formats/image.h"

namespace residue::elf {

// Fills image->modules, labels the regions that belong to them, and backs absent read-only regions
// by files whose build-id matches. REQUIRES: image->regions is complete and sorted.
void add_modules(Image* image, const CoreNotes& notes, const FileSearch& search,
                 Diagnostics& diagnostics);

}  // namespace residue::elf
