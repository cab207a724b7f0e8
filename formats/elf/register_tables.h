// How the tables of register_layout.h are written down: for linux_registers.cpp and
// bsd_registers.cpp only.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "formats/elf/register_layout.h"

namespace residue::elf {

struct NamedRegister {
  const char* name;
  int16_t dwarf;
};

// Registers of one size that follow each other from `first` on.
template <size_t N>
constexpr std::array<RegisterField, N> consecutive(const NamedRegister (&names)[N], uint8_t size,
                                                   uint16_t first = 0) {
  std::array<RegisterField, N> fields{};
  for (size_t i = 0; i < N; ++i) {
    fields[i] = {names[i].name, static_cast<uint16_t>(first + i * size), size, names[i].dwarf};
  }
  return fields;
}

template <size_t N>
constexpr int16_t index_of(const std::array<RegisterField, N>& fields, std::string_view name) {
  for (size_t i = 0; i < N; ++i) {
    if (fields[i].name == name) return static_cast<int16_t>(i);
  }
  return -1;
}

// An empty name: the block does not hold it.
template <size_t N>
constexpr RegisterLayout layout_of(const std::array<RegisterField, N>& fields, uint16_t size,
                                   std::string_view pc, std::string_view sp, std::string_view tp,
                                   bool tp_is_split = false) {
  return {fields,     size, index_of(fields, pc), index_of(fields, sp), index_of(fields, tp),
          tp_is_split};
}

}  // namespace residue::elf
