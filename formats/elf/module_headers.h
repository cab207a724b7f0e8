// From a module's ELF header in the dump's own pages to a Module: extent, bias, segments, build-id.
#pragma once

#include "formats/elf/elf_file.h"
#include "formats/image.h"

namespace residue::elf {

// The module whose file's first page is mapped at `start`. Fails if the headers there do not
// describe a loadable module of the process's own width and byte order.
Result<Module> parse_module(const Image& image, Address start);

// The same where nothing but the header's magic says that a module starts here. Fails for a second
// copy of the header as well: where a file's first page holds the start of its data too, it is
// mapped once more in front of the data, and lies there about everything.
Result<Module> guess_module(const Image& image, Address start);

}  // namespace residue::elf
