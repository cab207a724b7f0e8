// Files on disk that belong to the modules of a core: found, compared by build-id, and used for the
// read-only pages that the core left out.
#pragma once

#include "formats/base/diagnostics.h"
#include "formats/elf/core_notes.h"
#include "formats/file_search.h"
#include "formats/image.h"

namespace residue::elf {

// What the kernel appends to the path of a mapped file that was removed or replaced since.
inline constexpr std::string_view kDeletedSuffix = " (deleted)";
std::string_view without_deleted(std::string_view path);

// Fills Module::file where a file with the build-id of the dump is found. One with another build-id
// is reported and never used; without a build-id in the dump nothing is.
void open_module_file(Image* image, Module* module, const FileSearch& search,
                      Diagnostics& diagnostics);

// Backs absent read-only regions by the module's file. Writable segments are never filled: the
// process may have changed them, and then the file tells lies.
void fill_from_files(Image* image, const CoreNotes& notes);

}  // namespace residue::elf
