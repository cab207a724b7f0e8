// RowSink: where rows go. The seam between SQL and whatever shows or collects its rows.
//
// For each result: begin() once with the column names, row() for each row, end() once (not called
// when the query fails on the way). A statement without columns calls nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace residue {

// One value as SQLite types it; std::monostate is NULL. Addresses are the bits of the uint64_t in
// an int64_t. Texts and blobs are views that live until the call that passes them returns.
using Cell =
    std::variant<std::monostate, int64_t, double, std::string_view, std::span<const std::byte>>;

class RowSink {
 public:
  virtual ~RowSink() = default;
  virtual void begin(std::span<const std::string> columns) = 0;
  // False: no more rows are wanted (a closed pipe, a limit); the query then ends without an error.
  virtual bool row(std::span<const Cell> cells) = 0;
  virtual void end() = 0;
};

}  // namespace residue
