// Small pieces of text that every layer needs in the same shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace residue {

// "0x7f00"; no padding.
std::string hex(uint64_t value);

// "1a2b3c": two digits a byte, as build-ids are written.
std::string hex_bytes(std::span<const std::byte> bytes);

// Text from a dump made safe to print: control characters become '.', and what is not valid UTF-8
// becomes '?'. Bytes of a dump are not trusted to leave a terminal alone.
std::string printable(std::string_view text);

// The last component of a path.
std::string_view base_name(std::string_view path);

}  // namespace residue
