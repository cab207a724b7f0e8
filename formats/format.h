// Format: one entry per kind of dump file.
//
// A format's .cpp defines `const Format& NAME_format()` and its NAME stands in the list
// RESIDUE_FORMATS of CMakeLists.txt, from which the table behind open_dump() is generated.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "formats/base/diagnostics.h"
#include "formats/base/result.h"
#include "formats/file_search.h"
#include "formats/image.h"
#include "formats/packed/unpack.h"

namespace residue {

struct Format {
  const char* name;  // as in snapshot.format
  // Whether the first bytes are of this format; looks at no more than it needs.
  bool (*sniff)(std::span<const std::byte> bytes);
  // Reads the whole file. What is damaged but survivable goes to `diagnostics`.
  Result<Image> (*read)(MappedFile file, const FileSearch& search, Diagnostics& diagnostics);
};

// Opens a dump of any known format, compressed or not (see docs/formats/compressed.md). Fails with
// kUnsupported if no format knows the file, and with kNoSpace if it cannot be unpacked here.
// The first of the Image's files is the dump, unpacked. Image::dump_id is left to identify_dump().
// Offsets in errors and diagnostics are those in the dump itself unless they say "compressed".
Result<Image> open_dump(const std::string& path, const FileSearch& search, Diagnostics& diagnostics,
                        const UnpackProgress& progress = {});

// "elf-core, minidump": for messages.
std::string known_formats();

}  // namespace residue
