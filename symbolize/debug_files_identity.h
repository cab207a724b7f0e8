// Whether a file on disk is the one that the dumped process had mapped.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "formats/image.h"
#include "symbolize/symbol_file.h"

namespace residue {

// Why `file` is not the module with `build_id`, in words; nullopt if it is. REQUIRES: `build_id` is
// not empty.
std::optional<std::string> differs_by_build_id(const SymbolFile& file, const std::string& build_id);

// Why `file` cannot be `module`, judged by program headers alone: the loadable segments' addresses
// and sizes, and what the dump has of the header itself. nullopt if nothing speaks against it.
// `is_debug`: a debug file, whose segments have addresses but no bytes.
std::optional<std::string> differs_by_headers(const SymbolFile& file, const Image& image,
                                              const Module& module, bool is_debug);

// CRC-32 (the one of zlib and ISO 3309) of a whole file, as .gnu_debuglink holds it.
uint32_t crc_of(std::span<const std::byte> bytes);

}  // namespace residue
