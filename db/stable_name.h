// Keys of `usage` as they are called in every run and build of a program.
//
// Between two processes, or two versions of a library, addresses, thread ids and version numbers
// differ and mean nothing. stable_name() takes them out, so that what is the same thing gets the
// same name; two things may then share one, and their numbers are added.
#pragma once

#include <sqlite3.h>

#include <functional>
#include <string>
#include <string_view>

#include "formats/base/result.h"

namespace residue {

// Whether offsets into the module of this name mean the same on both sides: its build is the same.
using SameBuild = std::function<bool(std::string_view module)>;

// By dimension; one that is not known is left as it is.
//   size                 as it is
//   heap                 'arena 0x7f1200000030' -> 'arena'
//   module               'libfoo.so.1.2.3', 'libfoo-1.2.so' -> 'libfoo.so'
//   region, mapping      of a file the last component, as a module; ' (deleted)' goes
//   type, owner, shape,  '0x…', also after 'at '; 'thread 4711' -> 'thread'; Rust's hashes
//   site, allocator      ('::h' and 16 digits); 'libfoo.so.1+0x40' -> 'libfoo.so', but the offset
//                        stays where `same_build` says so; of a site the line number goes
std::string stable_name(std::string_view dimension, std::string_view key,
                        const SameBuild& same_build = nullptr);

// The SQL function stable_key(dimension, key), NULL for NULL.
Result<void> register_stable_key(sqlite3* db);

}  // namespace residue
