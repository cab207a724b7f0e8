// Keys of `usage` that a diff has to give the same names (db/diff_keys.cpp).
#pragma once

#include <string>
#include <string_view>

namespace residue {

inline constexpr const char* kUnknownKey = "(unknown)";  // of chunks without a type or module
inline constexpr const char* kNobodyKey = "(nobody)";    // of chunks without an owner

// Where memory of the heap of this name comes from, without addresses. Key of chunks outside of
// mapped files in the dimension 'region', and of heaps in 'mapping'.
inline std::string heap_region_key(std::string_view heap) {
  if (heap.empty()) return "heap";
  if (heap == "main_arena") return "[heap]";
  if (heap == "mmapped") return "mmapped chunks";
  if (heap.starts_with("arena ")) return "thread arenas";
  return std::string(heap);
}

}  // namespace residue
