// From a module's ELF header in the dump's own pages to a Module: extent, bias, segments, build-id.
#pragma once

#include "formats/elf/elf_file.h"
#include "formats/image.h"

namespace residue::elf {

// The module whose file's first page is mapped at `start`. Fails if the headers there do not
// describe a loadable module of the process's own width and byte order.
Result<Module> parse_module(const Image& image, Address start);

}  // namespace residue::elf
